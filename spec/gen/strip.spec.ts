import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { BpfObject } from '../../lib/elf'
import { withoutDebugging } from '../../lib/gen/strip'
import { needsFixtures } from '../elf/kit'
import { ROOT } from '../support/built'
import { pending, requireRoot } from '../support/kernel'
import { OBJECTS } from './kit'

describe('an object without its debug information', function () {
  this.timeout(300_000)

  beforeEach(function () {
    needsFixtures(this)
  })

  it('is what it was, where it has none', () => {
    for (const path of OBJECTS) {
      const bytes = new Uint8Array(readFileSync(path))
      expect(withoutDebugging(bytes, path)).to.equal(bytes)
    }
  })

  it('says and does what it did with it', function () {
    requireRoot(this)
    const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-strip-'))
    try {
      const file = join(folder, 'flows.bpf.o')
      compile(this, file)
      const whole = new Uint8Array(readFileSync(file))
      const small = withoutDebugging(whole, file)
      expect(Buffer.from(whole).includes('.debug_info')).to.equal(true)
      expect(small.length).to.be.below(whole.length * 0.7)
      const [one, other] = [whole, small].map((bytes) => BpfObject.open(bytes, { name: 'flows.bpf.o' }))
      expect({ ...other?.maps }).to.deep.equal({ ...one?.maps })
      expect({ ...other?.programs }).to.deep.equal({ ...one?.programs })
      const variables = (object?: BpfObject) =>
        Object.values(object?.globals ?? {}).map(({ name, section, offset, typeId, value }) => {
          return { name, section, offset, typeId, value }
        })
      expect(variables(other)).to.deep.equal(variables(one)).and.have.length.above(3)
      using app = other?.load()
      expect(app?.programs.count?.run({ data: new Uint8Array(14) }).retval).to.equal(103)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

/** With -g, and nothing taken out afterwards. */
function compile(context: Mocha.Context, file: string): void {
  const source = join(ROOT, 'spec', 'fixtures', 'flows.bpf.c')
  try {
    const headers = ['-idirafter', `/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`]
    execFileSync('clang', ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', ...headers, '-c', source, '-o', file], {
      stdio: 'pipe',
    })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    pending(context, 'no clang is here')
  }
}
