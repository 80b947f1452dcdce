import { expect } from 'chai'
import { ClosedError, type Codec, HashMap, mapped, struct, u32, u64 } from '../../lib'
import { Queue } from '../../lib/map/queue'
import { mapCreate } from '../../syscalls/bpf'
import { BPF_MAP_TYPE_HASH } from '../../syscalls/uapi-map'
import { requireFeature, requireRoot } from '../support/kernel'
import { openFds } from './kit'

/** A map with the number of the fd that was closed last: `create` would use that for BTF meanwhile. */
function heirOf(): HashMap<number, number> {
  const fd = mapCreate({ map_type: BPF_MAP_TYPE_HASH, key_size: 4, value_size: 4, max_entries: 8, map_flags: 0 })
  return HashMap.fromFd(fd, { key: u32, value: u32 })
}

/** Codecs and the values given to them are code: it may do anything with the very map that is being used. */
describe('a map used in the middle of its own operations', () => {
  let map: HashMap<number, number>
  /** The same map with plain codecs. */
  let plain: HashMap<number, number>
  let onKey: ((key: number) => void) | undefined
  let onValue: ((value: number) => void) | undefined
  let onRead: ((value: number) => void) | undefined

  const key: Codec<number> = mapped(
    u32,
    (raw) => raw,
    (given: number) => {
      const run = onKey
      onKey = undefined
      run?.(given)
      return given
    },
  )
  const value: Codec<number> = mapped(
    u32,
    (raw) => {
      const run = onRead
      onRead = undefined
      run?.(raw)
      return raw
    },
    (given: number) => {
      const run = onValue
      onValue = undefined
      run?.(given)
      return given
    },
  )

  before(function () {
    requireRoot(this)
  })
  beforeEach(() => {
    map = HashMap.create({ name: 'mirror', key, value, maxEntries: 64 })
    plain = HashMap.fromId(map.id, { key: u32, value: u32 })
    onKey = onValue = onRead = undefined
  })
  afterEach(() => {
    map.close()
    plain.close()
  })

  it('sets in a set', () => {
    map.set(9, 9)
    onKey = () => map.set(1, 10)
    onValue = () => {
      onValue = () => map.set(3, 30)
      map.set(2, 20)
    }
    map.set(4, 40)
    expect(plain.snapshot()).to.deep.equal(
      new Map([
        [9, 9],
        [1, 10],
        [2, 20],
        [3, 30],
        [4, 40],
      ]),
    )
  })

  it('gets, deletes, lists and clears in a get', () => {
    plain.setMany([
      [1, 10],
      [2, 20],
      [3, 30],
    ])
    onKey = () => expect(map.get(2)).to.equal(20)
    expect(map.get(1)).to.equal(10)
    onRead = () => expect(map.get(3)).to.equal(30)
    expect(map.get(1)).to.equal(10)
    onKey = () => expect([...map].length).to.equal(3)
    expect(map.has(1)).to.equal(true)
    onKey = () => expect(map.delete(2)).to.equal(true)
    expect(map.delete(1)).to.equal(true)
    onKey = () => expect(map.clear()).to.equal(1)
    expect(map.delete(3)).to.equal(false)
    expect(plain.size).to.equal(0)
  })

  it('clears in the midst of giving away', function () {
    requireFeature(this, 'lookupAndDelete')
    plain.set(3, 30)
    onKey = () => expect(map.clear()).to.equal(1)
    expect(map.getAndDelete(3)).to.equal(undefined)
    expect(plain.size).to.equal(0)
  })

  it('sets in a getter of the value that is being set', () => {
    const Stats = struct({ packets: u64, bytes: u64 })
    using stats = HashMap.create({ key: u32, value: Stats, maxEntries: 8 })
    stats.set(1, {
      get packets() {
        stats.set(2, { packets: 5n, bytes: 6n })
        return 1n
      },
      bytes: 2n,
    })
    expect(stats.snapshot()).to.deep.equal(
      new Map([
        [1, { packets: 1n, bytes: 2n }],
        [2, { packets: 5n, bytes: 6n }],
      ]),
    )
  })

  it('does so in batches', () => {
    const entries = Array.from({ length: 20 }, (_, n): [number, number] => [n, n])
    onKey = () => map.setMany(entries.map(([k]) => [k + 30, 1] as const))
    map.setMany(entries)
    expect(plain.size).to.equal(40)
    onKey = () => map.deleteMany(entries.map(([k]) => k + 30))
    expect(map.deleteMany(entries.map(([k]) => k))).to.equal(20)
    expect(plain.size).to.equal(0)
  })

  it('is usable after a codec has thrown', () => {
    onValue = () => {
      throw new Error('mine')
    }
    expect(() => map.set(1, 1)).to.throw('mine')
    expect(plain.size).to.equal(0)
    plain.set(1, 7)
    onRead = () => {
      throw new Error('mine')
    }
    expect(() => map.get(1)).to.throw('mine')
    expect(map.get(1)).to.equal(7)
  })

  it('pushes in a push', () => {
    let again = true
    const codec: Codec<number> = mapped(
      u32,
      (raw) => raw,
      (given: number) => {
        if (again) {
          again = false
          queue.push(100)
        }
        return given
      },
    )
    using queue = Queue.create({ value: codec, maxEntries: 4 })
    queue.push(1)
    expect([queue.pop(), queue.pop(), queue.pop()]).to.deep.equal([100, 1, undefined])
  })

  describe('that closes itself', () => {
    const operations: readonly [string, () => unknown][] = [
      ['get', () => map.get(1)],
      ['has', () => map.has(1)],
      ['set', () => map.set(1, 1)],
      ['delete', () => map.delete(1)],
      ['getAndDelete', () => map.getAndDelete(1)],
      ['getMany', () => map.getMany([1, 2])],
      ['setMany', () => map.setMany([[1, 1]])],
      ['setMany in a batch', () => map.setMany([1, 2, 3, 4, 5, 6].map((n) => [n, n] as const))],
      ['deleteMany', () => map.deleteMany([1, 2, 3, 4, 5, 6])],
    ]
    for (const [name, run] of operations) {
      it(`says so in the midst of ${name}, and does nothing to what has its fd now`, () => {
        plain.set(1, 5)
        const fds = openFds()
        const { fd } = map
        let heir: HashMap<number, number> | undefined
        onKey = () => {
          map.close()
          heir = heirOf()
          heir.set(1, 6)
        }
        expect(run).to.throw(ClosedError, /HashMap.*'mirror' is closed/)
        expect(heir?.fd).to.equal(fd)
        expect(heir?.snapshot()).to.deep.equal(new Map([[1, 6]]))
        expect(plain.snapshot()).to.deep.equal(new Map([[1, 5]]))
        heir?.close()
        expect(openFds()).to.equal(fds - 1)
      })
    }

    it('says so in an operation within an operation', () => {
      map.set(1, 1)
      let heir: HashMap<number, number> | undefined
      onKey = () => {
        onKey = () => {
          map.close()
          heir = HashMap.create({ key: u32, value: u32, maxEntries: 8 })
        }
        map.set(2, 2)
      }
      expect(() => map.set(3, 3)).to.throw(ClosedError)
      expect(heir?.size).to.equal(0)
      expect(plain.snapshot()).to.deep.equal(new Map([[1, 1]]))
      heir?.close()
    })

    it('still gives the value that was read before', () => {
      map.set(1, 5)
      onRead = () => map.close()
      expect(map.get(1)).to.equal(5)
      expect(map.closed).to.equal(true)
    })
  })
})
