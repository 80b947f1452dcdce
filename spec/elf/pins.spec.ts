import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { type BpfMap, type HashOfMaps, MapMismatchError, openMap, ProgArray } from '../../lib'
import { type Abi, abi, setAbi } from '../../syscalls/abi'
import { NR } from '../../syscalls/numbers'
import { BPF_OBJ_PIN } from '../../syscalls/uapi'
import { inChild } from '../support/child'
import { errorOf } from '../support/error'
import { useBpffs } from '../support/kernel'
import { fixture, needsKernel, open, PACKET } from './kit'

const EEXIST = 17

type Outer = HashOfMaps<number, BpfMap>

/** Does something before the n-th pin is made, or answers in the kernel's place. */
function beforePin(n: number, run: () => unknown) {
  const libc = abi()
  let pins = 0
  const between: Abi = {
    ...libc,
    syscall(nr, a, ...rest) {
      const answer = nr === NR.bpf && a === BPF_OBJ_PIN && (++pins === n || n === 0) ? run() : undefined
      return typeof answer === 'number' ? answer : libc.syscall(nr, a, ...rest)
    },
  }
  setAbi(between)
  return { [Symbol.dispose]: () => void setAbi(libc) }
}

/** The same object, loaded by another process, which ends: the ids of its maps. */
function loadElsewhere(name: string, pins: string): Record<string, number> {
  const { stdout, stderr } = inChild(
    ({ load, input }) => {
      const { BpfObject } = load<typeof import('../../lib')>('lib')
      const { path, pins } = input as { path: string; pins: string }
      const app = BpfObject.open(path).load({ pins })
      console.log(JSON.stringify(Object.fromEntries(Object.entries(app.maps).map(([name, map]) => [name, map.id]))))
      app.close()
    },
    { input: { path: fixture(name), pins }, built: true },
  )
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout)
}

describe('objects whose maps are pinned by name, when others load them too', function () {
  this.timeout(300_000)
  const bpffs = useBpffs()

  beforeEach(function () {
    needsKernel(this)
  })

  for (const [n, when] of [
    [1, 'before any pin is made'],
    [2, 'between two pins'],
  ] as const) {
    it(`share what is pinned: another process ${when}`, () => {
      const pins = join(bpffs.path, `race${n}`)
      const fds = readdirSync('/proc/self/fd').length
      let theirs: Record<string, number> = {}
      {
        using _ = beforePin(n, () => {
          theirs = loadElsewhere('pinned', pins)
        })
        using app = open('pinned').load({ pins })
        expect(Object.keys(theirs)).to.include.members(['pinned_outer', 'pinned_array'])
        for (const name of ['pinned_outer', 'pinned_array']) {
          using pinned = openMap({ pin: join(pins, name) })
          expect([name, app.maps[name]?.id, theirs[name]]).to.deep.equal([name, pinned.id, pinned.id])
        }
        // What is in the outer map that both have is there for both.
        using outer = openMap({ pin: join(pins, 'pinned_outer') }) as unknown as Outer
        expect([...outer.inners()]).to.have.length(1)
      }
      expect(readdirSync(pins)).to.have.members(['pinned_outer', 'pinned_array'])
      expect(readdirSync('/proc/self/fd').length).to.equal(fds)
    })
  }

  it('give up where it never ends, and leave nothing', () => {
    const pins = join(bpffs.path, 'never')
    const fds = readdirSync('/proc/self/fd').length
    using _ = beforePin(0, () => -EEXIST)
    expect(errorOf(() => open('pinned').load({ pins }))).to.include({ code: 'EEXIST', command: 'BPF_OBJ_PIN' })
    expect(existsSync(pins)).to.equal(false)
    expect(readdirSync('/proc/self/fd').length).to.equal(fds)
  })

  it('keep the inner maps of an outer map that is there, unless told otherwise', () => {
    const pins = join(bpffs.path, 'kept')
    const inside = (map: BpfMap | undefined) => Array.from((map as Outer).inners(), ([key, { id }]) => [key, id])
    using first = open('pinned').load({ pins })
    const live = inside(first.maps.pinned_outer)
    expect(live).to.deep.equal([[1, first.maps.none?.id]])
    ;(first.maps.pinned_outer as Outer).set(5, first.maps.none as BpfMap)
    {
      using app = open('pinned').load({ pins })
      expect(inside(app.maps.pinned_outer)).to.have.deep.members([...live, [5, first.maps.none?.id]])
    }
    using app = open('pinned').load({ pins, values: 'replace' })
    expect(app.maps.none?.id).not.to.equal(first.maps.none?.id)
    // What the source says nothing of stays.
    expect(inside(first.maps.pinned_outer)).to.have.deep.members([
      [1, app.maps.none?.id],
      [5, first.maps.none?.id],
    ])
    // Not where the object does not come to be: other programs use it.
    const odd = open('pinned')
    if (odd.maps.pinned_array !== undefined) odd.maps.pinned_array.maxEntries = 7
    expect(errorOf(() => odd.load({ pins, values: 'replace' }))).to.be.instanceOf(MapMismatchError)
    expect(inside(first.maps.pinned_outer)).to.deep.include([1, app.maps.none?.id])
    expect(errorOf(() => odd.load({ pins, values: 'new' as never })).message).to.equal(
      "values is 'keep' or 'replace', not 'new'",
    )
  })

  it('put their own programs into an array of programs that is there: tail calls go to the version that was loaded last', () => {
    const pins = join(bpffs.path, 'versions')
    const load = (version: number) => {
      const object = open('versions')
      if (object.globals.version !== undefined) object.globals.version.value = version
      return object.load({ pins })
    }
    const first = load(1)
    expect(first.programs.entry?.run({ data: PACKET }).retval).to.equal(1)
    first.close()
    using second = load(2)
    expect(second.programs.entry?.run({ data: PACKET }).retval).to.equal(2)

    // One of the caller's is filled too, in the slots that the source fills.
    using own = ProgArray.create({ maxEntries: 4 })
    const object = open('versions')
    using app = object.load({ maps: { jumps: own } })
    expect(app.programs.entry?.run({ data: PACKET }).retval).to.equal(1)
    expect([...own.keys()]).to.deep.equal([2])
  })
})
