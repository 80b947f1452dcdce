import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { inChild, type There } from '../support/child'
import { EXTENSION } from '../support/compiled'
import { pending } from '../support/kernel'

/** What users import. */
const ENTRIES = ['syscalls/index', 'lib/index']

function output(run: (there: There) => unknown, entry: string, platform?: string, arch?: string): string[] {
  const fake = (name: string, value: string | undefined) =>
    value === undefined ? '' : `Object.defineProperty(process, '${name}', { value: '${value}' });`
  const prelude = fake('platform', platform) + fake('arch', arch)
  const { stdout, stderr, status } = inChild(run, { input: entry, prelude })
  if (status !== 0) throw new Error(stderr)
  return stdout.split('\n').filter(Boolean)
}

describe('importing', () => {
  for (const entry of ENTRIES) {
    describe(entry, () => {
      before(function () {
        if (!existsSync(join(__dirname, '../..', `${entry}${EXTENSION}`))) pending(this, `there is no ${entry}`)
      })

      it('opens nothing, loads no koffi, and leaves the process free to end', () => {
        const lines = output(({ load, input }) => {
          const { readdirSync } = require('node:fs') as typeof import('node:fs')
          // ts-node has read everything else by then.
          const before = readdirSync('/proc/self/fd').length
          load(input)
          const loaded = Object.keys(require.cache).filter((path) => /koffi|syscalls.libc/.test(path))
          console.log(loaded.length, readdirSync('/proc/self/fd').length - before)
          console.log(Object.keys(load<object>(input)).length > 3)
          // Sees that the question is asked the right way.
          load<typeof import('../../syscalls/abi')>('syscalls/abi').abi()
          console.log(Object.keys(require.cache).some((path) => path.includes('koffi')))
        }, entry)
        expect(lines).to.deep.equal(['0 0', 'true', 'true'])
      })

      for (const [platform, arch, text] of [
        ['darwin', 'arm64', 'bpf(2) is a Linux system call, and this is darwin'],
        ['win32', 'x64', 'bpf(2) is a Linux system call, and this is win32'],
        ['linux', 'mips', 'no system call numbers for the architecture mips'],
      ] as const) {
        it(`works on ${platform} ${arch}, and the first call says why it does not`, () => {
          const lines = output(
            ({ load, input }) => {
              load(input)
              const { mapInfo } = load<typeof import('../../syscalls')>('syscalls/index')
              for (let i = 0; i < 2; i++) {
                try {
                  mapInfo(5)
                } catch (error) {
                  console.log(`${(error as { code?: string }).code}: ${(error as Error).message}`)
                }
              }
              console.log(Object.keys(require.cache).some((path) => path.includes('koffi')))
            },
            entry,
            platform,
            arch,
          )
          expect(lines).to.have.lengthOf(3)
          for (const line of lines.slice(0, 2)) expect(line).to.include(`ERR_EBPF_PLATFORM: ${text}`)
          expect(lines[2]).to.equal('false')
        })
      }
    })
  }
})
