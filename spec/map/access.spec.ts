import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { ArrayMap, HashMap, MapMismatchError, openMap, u32, u64 } from '../../lib'
import { objPin } from '../../syscalls/bpf'
import { progLoad } from '../../syscalls/bpf-prog'
import { closeFd } from '../../syscalls/fd'
import { BPF_PROG_TYPE_SOCKET_FILTER } from '../../syscalls/uapi'
import { errorOf } from '../support/error'
import { eventually, linuxBefore, mapIds, pending, requireRoot, useBpffs } from '../support/kernel'
import { returning } from '../support/programs'
import { runInChild } from '../support/run'
import { fdInfo, openFds } from './kit'

const Ports = HashMap.spec({ name: 'ports', key: u32, value: u64, maxEntries: 8 })

describe('who may do what with a map', () => {
  before(function () {
    requireRoot(this)
  })

  describe('a frozen map', () => {
    it('is read, and written no more, through every handle', () => {
      using map = Ports.create()
      map.set(1, 1n)
      expect(map.info()).to.include({ frozen: false, access: 'read-write' })
      using other = Ports.fromId(map.id)
      map.freeze()
      expect(fdInfo(other.fd, 'frozen')).to.equal('1')
      expect(other.info().frozen).to.equal(true)
      expect(other.get(1)).to.equal(1n)
      expect([...other]).to.deep.equal([[1, 1n]])
      const words = /^EPERM: BPF_MAP_\w+ on HashMap#\d+ 'ports'.*: the map is frozen: user space can no longer write/
      const many = Array.from({ length: 6 }, (_, n): [number, bigint] => [n, 0n])
      expect(errorOf(() => other.set(2, 2n)).message).to.match(words)
      expect(errorOf(() => map.delete(1)).message).to.match(words)
      expect(errorOf(() => map.getAndDelete(1)).message).to.match(words)
      expect(errorOf(() => map.setMany(many)).message).to.match(words)
      expect(errorOf(() => map.deleteMany([1, 2, 3, 4, 5])).message).to.match(words)
      expect(errorOf(() => map.clear()).message).to.match(words)
      expect(errorOf(() => map.freeze()).message).to.match(/(EPERM|EBUSY): BPF_MAP_FREEZE.*frozen/)
      expect(other.get(1)).to.equal(1n)
    })

    it('is refused as such also where no fd is left to find out more', async () => {
      const { stdout, stderr } = await runInChild(
        `
        const { HashMap, u32 } = require('./lib')
        const map = HashMap.create({ key: u32, value: u32, maxEntries: 1 })
        map.freeze()
        const seen = []
        const attempt = (run) => { try { return run() } catch (error) { return [error.name, error.code] } }
        const fds = []
        try { for (;;) fds.push(require('fs').openSync('/dev/null')) } catch {}
        seen.push(attempt(() => map.set(1, 1)), attempt(() => map.info().maxEntries), attempt(() => map.info().frozen ?? 'unknown'))
        for (const fd of fds) require('fs').closeSync(fd)
        console.log(JSON.stringify([...seen, map.info().frozen]))
        `,
        { maxFds: 64 },
      )
      expect(JSON.parse(stdout), stderr).to.deep.equal([['KernelError', 'EPERM'], 1, 'unknown', true])
    })
  })

  describe('a handle', () => {
    it('that is read-only reads', () => {
      using map = Ports.create()
      map.set(1, 1n)
      using reader = Ports.fromId(map.id, { access: 'read-only' })
      expect(reader.info().access).to.equal('read-only')
      expect(reader.get(1)).to.equal(1n)
      expect(reader.snapshot()).to.deep.equal(new Map([[1, 1n]]))
      const words = /EPERM: .*this handle is read-only/
      expect(errorOf(() => reader.set(2, 2n)).message).to.match(words)
      expect(errorOf(() => reader.delete(1)).message).to.match(words)
      expect(errorOf(() => reader.clear()).message).to.match(words)
      map.set(2, 2n)
      expect(reader.size).to.equal(2)
    })

    it('that is read-only does not freeze', function () {
      if (linuxBefore(6, 12)) pending(this, 'kernels up to Linux 6.1 let a read-only handle freeze')
      using map = Ports.create()
      using reader = Ports.fromId(map.id, { access: 'read-only' })
      expect(errorOf(() => reader.freeze()).message).to.match(/EPERM: .*this handle is read-only/)
      map.set(1, 1n)
    })

    it('that is write-only writes', () => {
      using map = Ports.create()
      using writer = Ports.fromId(map.id, { access: 'write-only' })
      writer.set(1, 1n)
      expect(map.get(1)).to.equal(1n)
      expect(writer.info().access).to.equal('write-only')
      const words = /EPERM: .*this handle is write-only/
      expect(errorOf(() => writer.get(1)).message).to.match(words)
      expect(errorOf(() => [...writer]).message).to.match(words)
      expect(errorOf(() => [...writer.keys()]).message).to.match(words)
      expect(errorOf(() => writer.getAndDelete(1)).message).to.match(words)
      expect(writer.delete(1)).to.equal(true)
    })

    it('is made read-only by a flag, which is the handle’s alone', () => {
      using map = HashMap.create({ key: u32, value: u32, maxEntries: 2, flags: ['RDONLY'] })
      expect(errorOf(() => map.set(1, 1)).message).to.match(/this handle is read-only/)
      expect(map.info().flags).to.deep.equal([])
      using writer = HashMap.fromId(map.id, { key: u32, value: u32 })
      writer.set(1, 1)
      expect(map.get(1)).to.equal(1)
    })

    it('takes no other access', () => {
      using map = Ports.create()
      expect(() => Ports.fromId(map.id, { access: 'all' as never })).to.throw(TypeError, /access is 'read-write'/)
    })
  })

  describe('a pin', () => {
    const bpffs = useBpffs()

    it('outlives the handle, and is opened by its path', async () => {
      const path = join(bpffs.path, 'ports')
      const map = Ports.create()
      const { id } = map
      map.set(1, 1n)
      map.pin(path)
      expect(existsSync(path)).to.equal(true)
      map.close()
      using again = HashMap.fromPin(path, { key: u32, value: u64 })
      expect([again.id, again.get(1), again.name]).to.deep.equal([id, 1n, 'ports'])
      using reader = Ports.fromPin(path, { access: 'read-only' })
      expect(errorOf(() => reader.set(1, 2n)).message).to.match(/this handle is read-only/)
      expect(again.unpin(path)).to.equal(true)
      expect(existsSync(path)).to.equal(false)
      expect(again.unpin(path)).to.equal(false)
      again.close()
      reader.close()
      await eventually(() => !mapIds().includes(id), 'the map is gone with its last reference')
    })

    it('is remembered by the object that made it', () => {
      using map = Ports.create()
      expect(() => map.unpin()).to.throw(TypeError, /was not pinned by this object/)
      const path = join(bpffs.path, 'mine')
      map.pin(path)
      expect(map.unpin()).to.equal(true)
      expect(existsSync(path)).to.equal(false)
      expect(() => map.unpin()).to.throw(TypeError, /was not pinned by this object/)
    })

    it('is refused where it cannot be, in words', () => {
      using map = Ports.create()
      const path = join(bpffs.path, 'taken')
      map.pin(path)
      expect(errorOf(() => map.pin(path)).message).to.match(/^EEXIST: .*something is pinned at this path already/)
      expect(errorOf(() => map.pin(join(tmpdir(), 'ebpf-ts-no-pin'))).message).to.match(/not on a bpf file system/)
      expect(errorOf(() => map.pin(join(bpffs.path, 'no/folder'))).code).to.equal('ENOENT')
      expect(() => map.pin('')).to.throw(RangeError)
      expect(() => map.pin(7 as never)).to.throw(TypeError)
      expect(errorOf(() => Ports.fromPin(join(bpffs.path, 'none'))).message).to.match(/ENOENT.*nothing is pinned/)
      expect(map.unpin(path)).to.equal(true)
    })

    it('is not removed where there is a file instead', () => {
      const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-'))
      try {
        const file = join(folder, 'precious')
        writeFileSync(file, 'x')
        using map = Ports.create()
        expect(() => map.unpin(file)).to.throw(RangeError, /is not on a bpf file system/)
        expect(existsSync(file)).to.equal(true)
        expect(map.unpin(join(folder, 'absent'))).to.equal(false)
      } finally {
        rmSync(folder, { recursive: true })
      }
    })

    it('of another kind of map is refused, and so is a program’s', () => {
      using map = Ports.create()
      mkdirSync(join(bpffs.path, 'folder'))
      const path = join(bpffs.path, 'folder/ports')
      map.pin(path)
      const fds = openFds()
      const error = errorOf(() => ArrayMap.fromPin(path, { value: u64 }))
      expect(error).to.be.instanceOf(MapMismatchError)
      expect(error.message).to.match(/map 'ports' is of type HASH, not ARRAY \(ArrayMap\)/)
      map.unpin()
      const prog = progLoad({ prog_type: BPF_PROG_TYPE_SOCKET_FILTER, insns: returning(0), license: 'GPL' })
      try {
        objPin(path, prog)
        expect(() => Ports.fromPin(path)).to.throw(TypeError, `${path} is a bpf-prog, not a bpf-map`)
        expect(() => openMap({ pin: path })).to.throw(TypeError, `${path} is a bpf-prog, not a bpf-map`)
        expect(() => Ports.fromFd(prog)).to.throw(TypeError, /is a bpf-prog, not a bpf-map/)
        map.unpin(path)
      } finally {
        closeFd(prog)
      }
      expect(openFds()).to.equal(fds)
    })
  })
})
