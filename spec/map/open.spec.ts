import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect } from 'chai'
import { ArrayMap, ArrayOfMaps, HashMap, HashOfMaps, KernelError, MapMismatchError, u32, u64 } from '../../lib'
import { maps, openMap } from '../../lib/map/open'
import { RawMap } from '../../lib/map/raw'
import { mapCreate } from '../../syscalls/bpf'
import { btfLoad } from '../../syscalls/bpf-btf'
import { closeFd, duplicateFd } from '../../syscalls/fd'
import * as uapi from '../../syscalls/uapi'
import { kernelBtf } from '../support/btf'
import { inChild } from '../support/child'
import { errorOf } from '../support/error'
import { mapIds, needs, pending, requireRoot, useBpffs } from '../support/kernel'
import { smallBtf } from '../support/programs'
import { openFds } from './kit'

const Ports = HashMap.spec({ name: 'ports', key: u32, value: u64, maxEntries: 8 })

describe('opening what exists', () => {
  before(function () {
    requireRoot(this)
  })

  describe('by its type alone', () => {
    const bpffs = useBpffs()

    it('reads bytes where no codecs are given, and the map carries no BTF', () => {
      using map = Ports.fromFd(
        mapCreate({ map_type: uapi.BPF_MAP_TYPE_HASH, key_size: 4, value_size: 8, max_entries: 8, map_name: 'ports' }),
      )
      map.set(1, 2n)
      using found = openMap({ id: map.id })
      if (!(found instanceof HashMap)) throw new Error(`a ${found.constructor.name}`)
      expect([...found]).to.deep.equal([[Uint8Array.of(1, 0, 0, 0), Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0)]])
      found.set(Uint8Array.of(3, 0, 0, 0), Uint8Array.of(4, 0, 0, 0, 0, 0, 0, 0))
      expect(map.get(3)).to.equal(4n)
    })

    it('reads values by the BTF that maps are made with, and bytes where those are asked for', () => {
      using map = Ports.create()
      map.set(1, 2n)
      using found = openMap<number, bigint>({ id: map.id })
      if (!(found instanceof HashMap)) throw new Error(`a ${found.constructor.name}`)
      expect([...found]).to.deep.equal([[1, 2n]])
      found.set(3, 4n)
      expect(map.get(3)).to.equal(4n)
      using raw = openMap({ id: map.id }, { raw: true })
      expect(raw instanceof HashMap && raw.get(Uint8Array.of(3, 0, 0, 0))?.[0]).to.equal(4)
    })

    it('reads values where codecs are given, and refuses those of other sizes', () => {
      using map = Ports.create()
      map.set(1, 2n)
      using found = openMap({ id: map.id }, { key: u32, value: u64 })
      expect(found instanceof HashMap && found.get(1)).to.equal(2n)
      const fds = openFds()
      const error = errorOf(() => openMap({ id: map.id }, { key: u64 }))
      expect(error).to.be.instanceOf(MapMismatchError)
      expect(error).to.include({ attribute: 'keySize', expected: 8, actual: 4 })
      expect(openFds()).to.equal(fds)
    })

    it('finds a map by its pin, and by an fd that it then owns', () => {
      using map = Ports.create()
      const path = join(bpffs.path, 'ports')
      map.pin(path)
      using pinned = openMap({ pin: path }, { access: 'read-only' })
      expect([pinned.id, pinned.info().access]).to.deep.equal([map.id, 'read-only'])
      map.unpin()
      const fd = duplicateFd(map.fd)
      const owner = openMap({ fd })
      expect(owner.fd).to.equal(fd)
      owner.close()
      expect(() => closeFd(fd)).to.throw(KernelError, /EBADF/)
    })

    it('leaves an fd alone that it refuses', () => {
      using map = Ports.create()
      const fd = duplicateFd(map.fd)
      try {
        expect(() => openMap({ fd }, { key: u64 })).to.throw(MapMismatchError)
        expect(() => HashMap.fromFd(fd, { key: u64, value: u64 })).to.throw(MapMismatchError)
        expect(() => ArrayMap.fromFd(fd, { value: u64 })).to.throw(MapMismatchError)
        // An outer map that fits on the outside, but holds other maps.
        using outer = HashOfMaps.create({ key: u32, maxEntries: 2, inner: Ports })
        outer.set(1, [[1, 1n]])
        const outerFd = duplicateFd(outer.fd)
        const wrong = { key: u32, inner: HashMap.spec({ key: u32, value: u32, maxEntries: 8 }) }
        expect(() => HashOfMaps.fromFd(outerFd, wrong)).to.throw(MapMismatchError)
        closeFd(outerFd)
      } finally {
        // Throws where somebody closed it.
        closeFd(fd)
      }
    })

    it('refuses what says nothing', () => {
      for (const source of [undefined, null, 5, 'ports']) {
        expect(() => openMap(source as never)).to.throw(TypeError, /openMap takes \{ id \}, \{ pin \} or \{ fd \}/)
      }
      expect(() => openMap({ id: 0 })).to.throw(RangeError, /0 cannot be id/)
      expect(() => openMap({ id: '5' as never })).to.throw(TypeError)
      expect(() => openMap({ fd: 0 })).to.throw(RangeError, /standard input/)
      expect(() => openMap({ pin: 5 as never })).to.throw(TypeError)
      expect(() => openMap({} as never)).to.throw(TypeError)
      expect(errorOf(() => openMap({ id: 0x7fffffff })).message).to.match(/ENOENT.*no map has this id/)
    })

    it('finds out what the inner maps of an outer map are', () => {
      using outer = ArrayOfMaps.create({
        name: 'outer',
        maxEntries: 3,
        inner: ArrayMap.spec({ value: u32, maxEntries: 2, dynamicSize: true }),
      })
      outer.set(2, [[0, 7]])
      const fds = openFds()
      using found = openMap({ id: outer.id })
      if (!(found instanceof ArrayOfMaps)) throw new Error(`a ${found.constructor.name}`)
      expect(openFds()).to.equal(fds + 1)
      expect(found.snapshot()).to.deep.equal(new Map([[2, [7, 0]]]))
      // What was found is good enough to install more.
      found.set(0, [[1, 9]] as never)
      expect(outer.use(0, (inner) => inner.get(1))).to.equal(9)
      using told = openMap({ id: outer.id }, { inner: ArrayMap.spec({ value: u32, maxEntries: 2, dynamicSize: true }) })
      expect((told as typeof outer).snapshot()).to.deep.equal(
        new Map([
          [0, [0, 9]],
          [2, [7, 0]],
        ]),
      )
    })

    it('gives the ids of an outer map of which nothing is known', () => {
      using outer = HashOfMaps.create({ name: 'outer', key: u32, maxEntries: 3, inner: Ports })
      using found = openMap({ id: outer.id })
      expect(found).to.be.instanceOf(RawMap)
      expect(inspect(found)).to.match(/^RawMap#\d+ 'outer' HASH_OF_MAPS, 4 → 4 bytes 3 fd \d+$/)
      using inner = Ports.create()
      outer.set(5, inner)
      const id = new Uint8Array(Uint32Array.of(inner.id).buffer)
      const raw = found as RawMap
      expect([...raw]).to.deep.equal([[Uint8Array.of(5, 0, 0, 0), id]])
      expect([...raw.keys()]).to.deep.equal([Uint8Array.of(5, 0, 0, 0)])
      outer.set(7, inner)
      expect(new Map([...raw].map(([key, value]) => [key[0], value]))).to.deep.equal(
        new Map([
          [5, id],
          [7, id],
        ]),
      )
      expect([raw.get(Uint8Array.of(5, 0, 0, 0)), raw.has(Uint8Array.of(6, 0, 0, 0))]).to.deep.equal([id, false])
      expect(() => raw.spec.create()).to.throw(TypeError, /can be opened by this library, not made/)
    })
  })

  it('gives a map of a kind that is not made here as raw bytes', function () {
    const btf = kernelBtf(this)
    const name = 'bpf_struct_ops_tcp_congestion_ops'
    if (!btf.has(name)) pending(this, 'struct_ops of TCP congestion control')
    const type = btf.struct(name)
    const btfFd = btfLoad({ btf: smallBtf() })
    try {
      const fd = mapCreate({
        map_type: uapi.BPF_MAP_TYPE_STRUCT_OPS,
        key_size: 4,
        value_size: btf.sizeOf(type),
        max_entries: 1,
        map_name: 'congestion',
        btf_fd: btfFd,
        btf_vmlinux_value_type_id: type,
      })
      using found = openMap({ fd })
      expect(found).to.be.instanceOf(RawMap)
      expect(found.type).to.equal('STRUCT_OPS')
      expect(inspect(found)).to.match(/^RawMap#\d+ 'congestion' STRUCT_OPS, 4 → \d+ bytes 1 fd \d+$/)
      const value = (found as RawMap).get(new Uint8Array(4))
      expect(value).to.deep.equal(new Uint8Array(btf.sizeOf(type)))
      expect([...(found as RawMap)]).to.have.length(1)
      const listed = [...maps()].find((map) => map.name === 'congestion')
      expect(listed?.constructor.name).to.equal('RawMap')
    } finally {
      closeFd(btfFd)
    }
  })

  describe('all maps of the system', () => {
    it('come one after the other, each closed behind its step', () => {
      using one = Ports.create({ name: 'first' })
      using two = ArrayMap.create({ name: 'second', value: u32, maxEntries: 2 })
      const fds = openFds()
      const seen = new Map<number, string>()
      const walked: { readonly closed: boolean; readonly fd: number }[] = []
      for (const map of maps()) {
        expect(openFds()).to.equal(fds + 1)
        expect(map.closed).to.equal(false)
        seen.set(map.id, `${map.constructor.name} ${map.name}`)
        walked.push(map)
      }
      expect(openFds()).to.equal(fds)
      expect(walked.every((map) => map.closed)).to.equal(true)
      expect(() => walked[0]?.fd).to.throw(
        / is closed: maps\(\) closes it when its step ends; openMap\(\{ id: map.id \}\)/,
      )
      expect([seen.get(one.id), seen.get(two.id)]).to.deep.equal(['HashMap first', 'ArrayMap second'])
      expect(mapIds()).to.include.members([one.id, two.id])
    })

    it('are left in the middle without a trace', () => {
      using map = Ports.create()
      const fds = openFds()
      for (const _ of maps()) break
      expect(() => {
        for (const _ of maps()) throw new Error('mine')
      }).to.throw('mine')
      expect(openFds()).to.equal(fds)
      expect(map.closed).to.equal(false)
    })

    it('may vanish under way', () => {
      const passing = Array.from({ length: 20 }, () => Ports.create({ name: 'passing' }))
      const ids = new Set(passing.map((map) => map.id))
      let met = 0
      for (const map of maps()) {
        if (!ids.has(map.id)) continue
        met++
        for (const one of passing.splice(0)) one.close()
      }
      expect(met).to.be.within(1, 20)
    })

    it('need CAP_SYS_ADMIN, and that is said', function () {
      needs(this, process.geteuid?.() === 0, 'root')
      const child = inChild(({ load }) => {
        const { maps: list, openMap: open } = load('lib/map/open') as typeof import('../../lib/map/open')
        // All of koffi and libc is loaded before the privilege goes.
        list().next().value?.close()
        process.setgroups?.([])
        process.setgid?.(65534)
        process.setuid?.(65534)
        for (const run of [() => [...list()], () => open({ id: 1 })]) {
          try {
            run()
          } catch (error) {
            console.log((error as Error).message)
          }
        }
      })
      const lines = child.stdout.trim().split('\n')
      expect(lines, child.stderr).to.have.length(2)
      expect(lines[0]).to.match(/^EPERM: BPF_MAP_GET_NEXT_ID: needs CAP_SYS_ADMIN.*lacks CAP_BPF and CAP_SYS_ADMIN/)
      expect(lines[1]).to.match(/^EPERM: BPF_MAP_GET_FD_BY_ID on map#1: needs CAP_SYS_ADMIN/)
    })
  })
})
