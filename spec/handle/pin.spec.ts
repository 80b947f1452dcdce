import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { HashMap, type Program, u32 } from '../../lib'
import { removePin } from '../../lib/handle/pin'
import { loadXdp } from '../program/kit'
import { useBpffs } from '../support/kernel'

type Pinned = HashMap<number, number> | Program

/** What is pinned, and goes about it in the same way. */
const KINDS: readonly [what: string, make: () => Pinned][] = [
  ['a map', () => HashMap.create({ name: 'pinned', key: u32, value: u32, maxEntries: 1 })],
  ['a program', () => loadXdp({ name: 'pinned' })],
]

describe('a pin', () => {
  const bpffs = useBpffs()
  const home = process.cwd()
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-'))
  })
  afterEach(() => {
    process.chdir(home)
    rmSync(folder, { recursive: true })
  })

  for (const [what, make] of KINDS) {
    describe(`of ${what}`, () => {
      it('is found again from another working directory', () => {
        using pinned = make()
        const path = join(bpffs.path, 'relative')
        process.chdir(bpffs.path)
        pinned.pin('relative')
        expect(existsSync(path)).to.equal(true)
        process.chdir(folder)
        expect(pinned.unpin()).to.equal(true)
        expect(existsSync(path)).to.equal(false)
      })

      it('is the last one, until it is removed, by whatever path', () => {
        using pinned = make()
        const [first, second] = [join(bpffs.path, 'first'), join(bpffs.path, 'second')]
        pinned.pin(first)
        pinned.pin(second)
        expect(pinned.unpin(first)).to.equal(true)
        process.chdir(bpffs.path)
        expect(pinned.unpin('second')).to.equal(true)
        expect(() => pinned.unpin()).to.throw(TypeError, `${pinned.description} was not pinned by this object`)
      })

      it('is not taken for the symbolic link that leads to it', () => {
        using pinned = make()
        const [path, link] = [join(bpffs.path, 'behind'), join(folder, 'link')]
        pinned.pin(path)
        symlinkSync(path, link)
        expect(() => pinned.unpin(link)).to.throw(RangeError, 'is a symbolic link: no pin')
        expect([existsSync(link), existsSync(path)]).to.deep.equal([true, true])
        expect(pinned.unpin()).to.equal(true)
      })

      it('has a path, of letters, and one that is said in messages', () => {
        using pinned = make()
        expect(() => pinned.pin('')).to.throw(RangeError, 'path')
        expect(() => pinned.pin(7 as never)).to.throw(TypeError, 'path')
        expect(() => pinned.unpin('')).to.throw(RangeError, 'path')
        expect(() => pinned.unpin(7 as never)).to.throw(TypeError, 'path')
        const path = join(bpffs.path, 'a.b')
        expect(() => pinned.pin(path)).to.throw(
          `EPERM: BPF_OBJ_PIN on ${pinned.description} at ${path}: a pin's name may not hold a dot`,
        )
      })
    })
  }

  it('that is not there is not removed', () => {
    expect(removePin(join(bpffs.path, 'none'))).to.equal(false)
    expect(removePin(join(folder, 'none'))).to.equal(false)
  })
})
