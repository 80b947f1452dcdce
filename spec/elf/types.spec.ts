import { readdirSync } from 'node:fs'
import { expect } from 'chai'
import type { ArrayMap, ArrayOfMaps, LpmTrie, PerCpuArrayMap } from '../../lib'
import { BpfObject, HashMap, KernelError, u32 } from '../../lib'
import { errorOf } from '../support/error'
import { bytesOf, needsKernel, open, PACKET } from './kit'

/** An object with a parameter whose name is none of C's: the kernel does not take such types. */
function misnamed(name: string): Uint8Array {
  const bytes = Buffer.from(bytesOf(name))
  const at = bytes.indexOf('\0ctx\0')
  if (at < 0) throw new Error(`${name} has no such parameter`)
  bytes[at + 2] = 1
  return new Uint8Array(bytes)
}

describe('types that the kernel refuses', () => {
  beforeEach(function () {
    needsKernel(this)
  })

  it('are left out: of arrays whose keys are no u32, of tries whose keys are no struct, and of templates', () => {
    using app = open('keys').load()
    const { by_enum, by_bytes, by_number, of_maps, hashed } = app.maps
    const typed = [by_enum, by_bytes, by_number, hashed].map((map) => map?.info().btfId !== 0)
    expect(typed).to.deep.equal([false, false, false, true])
    // What they say is read by them all the same.
    const perCpu = by_enum as PerCpuArrayMap<bigint>
    expect(new Set(perCpu.get(1))).to.deep.equal(new Set([0n]))
    ;(by_bytes as ArrayMap<number>).set(2, 7)
    expect((by_bytes as ArrayMap<number>).get(2)).to.equal(7)
    expect((by_number as LpmTrie<unknown, unknown>).maxEntries).to.equal(4)
    ;(of_maps as ArrayOfMaps<ArrayMap<bigint>>).set(1, [3n, 4n].entries())
    expect(app.programs.read?.run({ data: PACKET }).retval).to.equal(4)
  })

  it('are left out of maps whose sizes were changed since', () => {
    const object = open('keys')
    const { hashed } = object.maps
    if (hashed === undefined) throw new Error('there is no such map')
    hashed.valueSize = 16
    {
      using app = object.load()
      expect(app.maps.hashed?.info()).to.include({ valueSize: 16, btfId: 0 })
    }
    hashed.valueSize = 4
    hashed.value = u32
    using app = object.load()
    expect(app.maps.hashed?.info()).to.include({ valueSize: 4 })
  })

  it('of the object as a whole are left out, and told where something then fails', () => {
    const object = BpfObject.open(misnamed('values'), { name: 'odd' })
    using other = HashMap.create({ key: u32, value: u32, maxEntries: 1 })
    const fds = readdirSync('/proc/self/fd').length
    {
      using app = object.load()
      expect(Object.keys(app.programs)).not.to.deep.equal([])
      expect(Object.values(app.maps).map((map) => map.info().btfId)).to.deep.equal(Object.keys(app.maps).map(() => 0))
    }
    // A failure that has nothing to do with it is told with it.
    const error = errorOf(() => BpfObject.open(misnamed('choice')).load({ maps: { queue: other } }))
    expect((error.cause as Error).message).to.match(/^EINVAL: BPF_BTF_LOAD .*Invalid arg/)
    expect(readdirSync('/proc/self/fd').length).to.equal(fds)
  })

  it('are the cause that is told where it cannot do without', () => {
    const error = errorOf(() => BpfObject.open(misnamed('struct_ops')).load())
    expect(error).to.be.instanceOf(KernelError)
    expect(error).to.include({ command: 'BPF_BTF_LOAD', code: 'EINVAL' })
    expect(error.message).to.match(/the kernel says of its types: .*Invalid arg/)
  })
})
