import { existsSync, readFileSync } from 'node:fs'
import { expect } from 'chai'
import { NR, SYSCALLS } from '../../syscalls/numbers'
import { pending } from '../support/kernel'

/** Where Linux distributions have the kernel's numbers for a machine; Debian's cross packages among them. */
const HEADERS: Record<string, string[]> = {
  x64: ['/usr/include/x86_64-linux-gnu/asm/unistd_64.h', '/usr/include/asm/unistd_64.h'],
  ia32: ['/usr/include/x86_64-linux-gnu/asm/unistd_32.h', '/usr/include/asm/unistd_32.h'],
  arm64: ['/usr/include/asm-generic/unistd.h'],
  riscv64: ['/usr/include/asm-generic/unistd.h'],
  loong64: ['/usr/include/asm-generic/unistd.h'],
  arm: ['/usr/arm-linux-gnueabihf/include/asm/unistd-eabi.h'],
  ppc64: ['/usr/powerpc64le-linux-gnu/include/asm/unistd_64.h'],
}

/** What a header calls a call of ours: 32-bit machines have the 64-bit variants under other names. */
function candidates(arch: string, call: string): string[] {
  if (arch === 'arm' || arch === 'ia32') {
    if (call === 'fcntl') return ['fcntl64']
    if (call === 'mmap') return ['mmap2']
  }
  // The generic table gives these two their name by the size of a pointer: __NR3264_fcntl.
  return [call, `3264_${call}`]
}

function numberIn(header: string, name: string): number | undefined {
  const found = new RegExp(`^#define __NR_?${name}\\s+\\(?(?:__NR_SYSCALL_BASE\\s*\\+\\s*)?(\\d+)\\)?\\s*$`, 'm').exec(
    header,
  )
  return found?.[1] === undefined ? undefined : Number(found[1])
}

describe('system call numbers', () => {
  for (const [arch, numbers] of Object.entries(SYSCALLS)) {
    it(`of ${arch} are those of the kernel's header`, function () {
      const path = HEADERS[arch]?.find((path) => existsSync(path))
      if (path === undefined) return pending(this, `no ${HEADERS[arch]?.[0]}`)
      const header = readFileSync(path, 'latin1')
      for (const [call, number] of Object.entries(numbers)) {
        const there = candidates(arch, call).map((name) => numberIn(header, name))
        expect(
          there.find((n) => n !== undefined),
          call,
        ).to.equal(number)
      }
    })
  }

  it('have a header each', () => {
    expect(Object.keys(HEADERS).sort()).to.deep.equal(Object.keys(SYSCALLS).sort())
  })

  it('of this machine are in use', function () {
    if (SYSCALLS[process.arch] === undefined) return pending(this, `${process.arch} is not among them`)
    expect(NR).to.equal(SYSCALLS[process.arch])
  })
})
