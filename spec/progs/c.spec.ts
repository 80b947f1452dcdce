import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { ROOT } from '../support/built'
import { pending } from '../support/kernel'

const FOLDER = join(ROOT, 'progs', 'c')
const FILES = readdirSync(FOLDER)
const SOURCES = FILES.filter((name) => name.endsWith('.bpf.c'))
const HEADERS = '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nint x;\n'

/** EM_BPF of elf.h, at e_machine. */
const BPF_MACHINE = 247
const MACHINE_AT = 18

/** clang's options, or what is missing. CLANG names another clang than the one in the PATH. */
const CLANG = process.env.CLANG ?? 'clang'
const TARGET = ['-O2', '-g', '-target', 'bpf', '-Wall', '-Werror', ...multiarch()]

/** Debian has asm/types.h in a folder of the machine's, which clang leaves out when it compiles for BPF. */
function multiarch(): string[] {
  const { stdout } = spawnSync(CLANG, ['-print-multiarch'], { encoding: 'utf8' })
  const triple = stdout?.trim() || `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`
  return ['-idirafter', `/usr/include/${triple}`]
}

function missing(): string | undefined {
  const { error, status, stderr } = spawnSync(CLANG, [...TARGET, '-fsyntax-only', '-x', 'c', '-'], { input: HEADERS })
  if (error !== undefined) return 'needs clang'
  return status === 0 ? undefined : `needs the headers of libbpf-dev: ${`${stderr}`.split('\n')[0]}`
}

describe('the programs of the stories in C', function () {
  this.timeout(300_000)

  it('are there, and beside each the object that is made of it', () => {
    expect(SOURCES).to.include.members(['uid-syscalls.bpf.c', 'live-config.bpf.c'])
    const objects = FILES.filter((name) => name.endsWith('.bpf.o'))
    expect(objects).to.have.members(SOURCES.map((name) => name.replace(/c$/, 'o')))
  })

  for (const source of SOURCES) {
    it(`${source} is compiled without a warning`, function () {
      const reason = missing()
      if (reason !== undefined) pending(this, reason)
      const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-c-'))
      try {
        const object = join(folder, 'program.o')
        const args = [...TARGET, '-c', join(FOLDER, source), '-o', object]
        execFileSync(CLANG, args, { stdio: ['ignore', 'ignore', 'pipe'] })
        const elf = readFileSync(object)
        expect(elf.readUInt16LE(MACHINE_AT)).to.equal(BPF_MACHINE)
        for (const section of ['.maps', '.BTF', 'license']) expect(elf.includes(`${section}\0`), section).to.equal(true)
      } finally {
        rmSync(folder, { recursive: true })
      }
    })
  }
})
