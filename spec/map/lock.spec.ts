import { expect } from 'chai'
import { ArrayMap, HashMap, struct, u32, u64 } from '../../lib'
import { btfLoad } from '../../syscalls/bpf-btf'
import { closeFd } from '../../syscalls/fd'
import * as uapi from '../../syscalls/uapi'
import { errorOf } from '../support/error'
import { requireFeature, requireRoot } from '../support/kernel'
import { recorded } from '../support/recording-abi'
import { GUARDED_ID, guardedBtf, KEY_ID } from './guarded'
import { fdNumber } from './kit'

const Guarded = struct({ lock: u32, a: u32, b: u64 })

describe('values with a bpf_spin_lock', () => {
  let btf: { fd: number; keyTypeId: number; valueTypeId: number }

  before(function () {
    requireRoot(this)
    btf = { fd: btfLoad({ btf: guardedBtf() }), keyTypeId: KEY_ID, valueTypeId: GUARDED_ID }
  })
  after(() => {
    if (btf !== undefined) closeFd(btf.fd)
  })

  it('are read and written under their lock, in a hash', () => {
    recorded((recording) => {
      using map = HashMap.create({ name: 'guarded', key: u32, value: Guarded, maxEntries: 4, btf })
      expect(map.info().btfId).to.be.above(0)
      expect(fdNumber(map.fd, 'value_size')).to.equal(16)
      map.set(1, { lock: 0, a: 1, b: 2n })
      map.set(1, { lock: 77, a: 3, b: 4n }, { lock: true, only: 'replace' })
      const sent = recording.bpf(uapi.BPF_MAP_UPDATE_ELEM).at(-1)?.attr as Uint8Array
      expect(new DataView(sent.buffer).getUint32(24, true)).to.equal(uapi.BPF_F_LOCK | uapi.BPF_EXIST)
      // The lock is the kernel's: what user space writes there is not taken, and reads as zero.
      using other = HashMap.fromId(map.id, { key: u32, value: Guarded })
      expect(other.get(1, { lock: true })).to.deep.equal({ lock: 0, a: 3, b: 4n })
      expect(other.getMany([1, 2], { lock: true })).to.deep.equal([{ lock: 0, a: 3, b: 4n }, undefined])
    })
  })

  it('are given away under their lock', function () {
    requireFeature(this, 'lookupAndDelete')
    using map = HashMap.create({ name: 'guarded', key: u32, value: Guarded, maxEntries: 4, btf })
    map.set(1, { lock: 0, a: 3, b: 4n })
    expect(map.getAndDelete(1, { lock: true })).to.deep.equal({ lock: 0, a: 3, b: 4n })
    expect(map.has(1)).to.equal(false)
  })

  it('are written in batches under their locks', () => {
    using map = HashMap.create({ key: u32, value: Guarded, maxEntries: 100, btf })
    const entries = Array.from({ length: 50 }, (_, n) => [n, { lock: 0, a: n, b: BigInt(n) }] as const)
    expect(map.setMany(entries, { lock: true })).to.equal(50)
    expect(map.snapshot()).to.deep.equal(new Map(entries))
  })

  it('are elements of an array too', () => {
    using list = ArrayMap.create({ value: Guarded, maxEntries: 2, btf })
    list.set(1, { lock: 0, a: 5, b: 6n }, { lock: true })
    expect(list.get(1, { lock: true })).to.deep.equal({ lock: 0, a: 5, b: 6n })
  })

  it('must have a lock to be locked', () => {
    using map = HashMap.create({ key: u32, value: u64, maxEntries: 2 })
    const words = /EINVAL.*lock: true needs a bpf_spin_lock in the value, told by BTF/
    expect(errorOf(() => map.set(1, 1n, { lock: true })).message).to.match(words)
    map.set(1, 1n)
    expect(errorOf(() => map.get(1, { lock: true })).message).to.match(words)
  })

  it('are refused where the BTF is that of another size', () => {
    expect(errorOf(() => HashMap.create({ key: u32, value: u64, maxEntries: 2, btf })).code).to.equal('EINVAL')
  })
})
