import { release } from 'node:os'
import { expect } from 'chai'
import {
  Arena,
  ArrayMap,
  BloomFilter,
  features,
  HashMap,
  HashOfMaps,
  KernelError,
  Queue,
  SkStorage,
  TaskStorage,
  UnsupportedError,
  u32,
  u64,
} from '../../lib'
import * as uapi from '../../syscalls/uapi'
import { openFds } from '../map/kit'
import { errorOf } from '../support/error'
import { hasFeature, requireRoot } from '../support/kernel'
import { recorded, type Sent } from '../support/recording-abi'

const EINVAL = -22
const ENOTSUPP = -524

/** A kernel that does not know a map type. */
function without(type: number) {
  return ({ command, attr }: Sent) => {
    if (command !== uapi.BPF_MAP_CREATE || attr === undefined) return undefined
    return new DataView(attr.buffer).getUint32(0, true) === type ? EINVAL : undefined
  }
}

describe('UnsupportedError', () => {
  before(function () {
    requireRoot(this)
  })

  it('says what the kernel has not got, and from when on it would', () => {
    const fds = openFds()
    recorded(() => {
      const create = () => BloomFilter.create({ name: 'seen', value: u64, maxEntries: 8 })
      const error = errorOf(create) as UnsupportedError
      expect(error).to.be.instanceOf(UnsupportedError)
      expect(error).to.be.instanceOf(KernelError)
      expect(error).to.include({
        name: 'UnsupportedError',
        code: 'EINVAL',
        errno: -22,
        command: 'BPF_MAP_CREATE',
        object: "BloomFilter 'seen'",
        feature: 'maps of type bloom_filter',
        since: '5.16',
      })
      expect(error.message).to.include(
        `EINVAL: BPF_MAP_CREATE on BloomFilter 'seen': this kernel (Linux ${release()}) has no maps of type bloom_filter: `,
      )
      expect(error.message).to.match(/they came with Linux 5\.16\)?$/)
      const [said, ...stack] = error.stack?.split('\n') ?? []
      expect(said).to.equal(`UnsupportedError: ${error.message}`)
      expect(stack.join()).to.match(/mapCreate.*bloom-filter/)
    }, without(uapi.BPF_MAP_TYPE_BLOOM_FILTER))
    expect(openFds()).to.equal(fds)
  })

  it('comes of every family, those that are made in a way of their own too', () => {
    const cases: [number, () => unknown][] = [
      [uapi.BPF_MAP_TYPE_ARENA, () => Arena.create({ pages: 1 })],
      [uapi.BPF_MAP_TYPE_QUEUE, () => Queue.create({ value: u32, maxEntries: 1 })],
      [uapi.BPF_MAP_TYPE_SK_STORAGE, () => SkStorage.create({ value: u32 })],
      [uapi.BPF_MAP_TYPE_HASH_OF_MAPS, () => outer(HashMap.spec({ key: u32, value: u32, maxEntries: 1 }))],
      [uapi.BPF_MAP_TYPE_TASK_STORAGE, () => outer(TaskStorage.spec({ value: u32 }))],
    ]
    const outer = (inner: Parameters<typeof HashOfMaps.create>[0]['inner']) =>
      HashOfMaps.create({ key: u32, maxEntries: 1, inner })
    for (const [type, create] of cases) {
      recorded(() => {
        const name = uapi.mapTypeName(type).slice('BPF_MAP_TYPE_'.length).toLowerCase()
        expect(errorOf(create)).to.be.instanceOf(UnsupportedError).with.property('feature', `maps of type ${name}`)
      }, without(type))
    }
  })

  it('is not thrown where the kernel has the type, and refuses for another reason', () => {
    if (!hasFeature('mapType', 'arena')) return
    const error = errorOf(() => Arena.create({ pages: 1, mapExtra: 5 }))
    expect(error).to.be.instanceOf(KernelError).and.not.instanceOf(UnsupportedError)
    expect(error.message).to.match(/the address of a page/)
  })

  it('is not thrown where it cannot be told', () => {
    recorded(
      () => {
        const error = errorOf(() => Queue.create({ value: u32, maxEntries: 1 }))
        expect(error).to.be.instanceOf(KernelError).and.not.instanceOf(UnsupportedError)
        expect(error.code).to.equal('EPERM')
      },
      ({ command }) => (command === uapi.BPF_MAP_CREATE ? -1 : undefined),
    )
  })

  it('tells a flag that the kernel lacks from a type', () => {
    /** map_flags in the attr */
    const FLAGS = 16
    recorded(
      () => {
        const create = () => ArrayMap.create({ value: u32, maxEntries: 1, dynamicSize: true })
        const error = errorOf(create) as UnsupportedError
        expect(error).to.be.instanceOf(UnsupportedError)
        expect([error.feature, error.since]).to.deep.equal([
          'inner arrays of differing lengths (BPF_F_INNER_MAP)',
          '5.10',
        ])
      },
      ({ command, attr }) => {
        if (command !== uapi.BPF_MAP_CREATE || attr === undefined || attr.length < FLAGS + 4) return undefined
        const flags = new DataView(attr.buffer).getUint32(FLAGS, true)
        return (flags & uapi.BPF_F_INNER_MAP) !== 0 ? EINVAL : undefined
      },
    )
  })

  it('comes of taking an entry out in one step', () => {
    recorded(
      () => {
        using map = HashMap.create({ name: 'ports', key: u32, value: u32, maxEntries: 1 })
        const error = errorOf(() => map.getAndDelete(1)) as UnsupportedError
        expect(error).to.be.instanceOf(UnsupportedError)
        expect(error).to.include({ code: 'ENOTSUPP', command: 'BPF_MAP_LOOKUP_AND_DELETE_ELEM', since: '5.14' })
        expect(error.message).to.match(
          /on HashMap#\d+ 'ports': this kernel .* has no look-ups that delete, on hash maps/,
        )
      },
      ({ command }) => (command === uapi.BPF_MAP_LOOKUP_AND_DELETE_ELEM ? ENOTSUPP : undefined),
    )
  })

  it('stays one with what an outer map says around it', () => {
    using outer = HashOfMaps.create({ key: u32, maxEntries: 1, inner: Queue.spec({ value: u32, maxEntries: 1 }) })
    recorded(() => {
      const error = errorOf(() => outer.set(1, [7])) as UnsupportedError
      expect(error).to.be.instanceOf(UnsupportedError)
      expect(error.feature).to.equal('maps of type queue')
    }, without(uapi.BPF_MAP_TYPE_QUEUE))
    expect(outer.size).to.equal(0)
  })

  it('is what this kernel says of what it really lacks', () => {
    const lacking = (
      [
        ['arena', () => Arena.create({ pages: 1 })],
        ['bloom_filter', () => BloomFilter.create({ value: u32, maxEntries: 1 })],
        ['task_storage', () => TaskStorage.create({ value: u32 })],
      ] as const
    ).filter(([name]) => features.mapType(name) === false)
    for (const [name, create] of lacking) {
      expect(errorOf(create)).to.be.instanceOf(UnsupportedError).with.property('feature', `maps of type ${name}`)
    }
  })
})
