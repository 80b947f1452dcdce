import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, rmdirSync } from 'node:fs'
import net from 'node:net'
import { inspect } from 'node:util'
import { expect } from 'chai'
import { HashOfMaps, KernelError, struct, u32, u64 } from '../../lib'
import { possibleCpus } from '../../lib/cpu/possible'
import { cgroupStorageKey, LegacyCgroupStorage, LegacyPerCpuCgroupStorage } from '../../lib/map/legacy-storage'
import { CgroupStorage, InodeStorage, SkStorage, TaskStorage } from '../../lib/map/local-storage'
import { abi } from '../../syscalls/abi'
import { progAttach, progDetach } from '../../syscalls/bpf-attach'
import { progLoad } from '../../syscalls/bpf-prog'
import { closeFd } from '../../syscalls/fd'
import * as uapi from '../../syscalls/uapi'
import { errorOf } from '../support/error'
import { mapIds, needs, requireFeature, requireRoot } from '../support/kernel'
import { insn } from '../support/programs'
import { openFds } from './kit'

const PIDFD_OPEN = 434 // on every architecture

const cgroup2 = () =>
  readFileSync('/proc/self/mounts', 'latin1')
    .split('\n')
    .map((line) => line.split(' '))
    .find(([, , type]) => type === 'cgroup2')?.[1]

const Stats = struct({ packets: u64, mark: u32 })
const first = { packets: 1n, mark: 2 }
const second = { packets: 3n, mark: 4 }

describe('local storage', () => {
  before(function () {
    requireRoot(this)
  })

  /** All that a storage can do, for an owner, by way of two handles. */
  function exercise(map: SkStorage<typeof first>, owner: number, stranger: number): void {
    const other = map.spec.fromId(map.id) as typeof map
    try {
      expect([other.get(owner), other.has(owner), other.delete(owner)]).to.deep.equal([undefined, false, false])
      expect(errorOf(() => map.set(owner, first, { only: 'replace' })).code).to.equal('ENOENT')
      expect(map.set({ fd: owner }, first, { only: 'create' })).to.equal(map)
      expect(other.get({ fd: owner })).to.deep.equal(first)
      expect(errorOf(() => map.set(owner, second, { only: 'create' })).code).to.equal('EEXIST')
      other.set(owner, second)
      expect([map.get(owner), map.has(owner)]).to.deep.equal([second, true])
      expect([other.delete(owner), map.delete(owner)]).to.deep.equal([true, false])
      const wrong = errorOf(() => map.get(stranger)) as KernelError
      expect(wrong).to.be.instanceOf(KernelError)
      expect(wrong.message).to.match(/(EBADF|ENOTSOCK): .*: the key must be the fd of an? /)
      for (const none of [0, -1, 1.5]) expect(() => map.get(none)).to.throw(RangeError, /^key: .*file descriptor/)
      expect(() => map.get('5' as never)).to.throw(TypeError, /^key:/)
      expect(map.info()).to.deep.include({ flags: ['NO_PREALLOC'], maxEntries: 0 })
      expect(map.info().btfId).to.be.above(0)
    } finally {
      other.close()
    }
  }

  it('of sockets', async () => {
    const server = net.createServer().listen(0)
    await once(server, 'listening')
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle
    try {
      using map = SkStorage.create({ name: 'per_socket', value: Stats })
      exercise(map, fd, map.fd)
    } finally {
      await once(server.close(), 'close')
    }
  })

  it('of inodes', function () {
    let map: InodeStorage<typeof first>
    try {
      map = InodeStorage.create({ name: 'per_file', value: Stats })
    } catch (error) {
      if ((error as KernelError).code === 'EINVAL') this.skip()
      throw error
    }
    using owned = map
    const [one, two] = [openSync(__filename, 'r'), openSync(__filename, 'r')]
    try {
      exercise(owned as never, one, 99_999)
      // It is the file's, whatever it was opened as.
      owned.set(one, first)
      expect(owned.get(two)).to.deep.equal(first)
      owned.delete(two)
    } finally {
      closeSync(one)
      closeSync(two)
    }
  })

  it('of tasks, and gone with them', async function () {
    requireFeature(this, 'mapType', 'task_storage')
    const child = spawn('sleep', ['60'], { stdio: 'ignore' })
    const pidfd = abi().syscall(PIDFD_OPEN, child.pid as number, 0, 0)
    expect(pidfd).to.be.above(0)
    try {
      using map = TaskStorage.create({ name: 'per_task', value: Stats })
      exercise(map as never, pidfd, map.fd)
      map.set(pidfd, first)
      child.kill('SIGKILL')
      await once(child, 'close')
      expect(map.get(pidfd)).to.equal(undefined)
      expect(errorOf(() => map.set(pidfd, first)).message).to.match(/ENOENT.*or the owner is gone/)
    } finally {
      child.kill('SIGKILL')
      closeFd(pidfd)
    }
  })

  it('of cgroups', function () {
    requireFeature(this, 'mapType', 'cgrp_storage')
    const root = cgroup2()
    needs(this, root !== undefined, 'a cgroup2 file system')
    const folder = `${root}/ebpf-ts-storage-${process.pid}`
    mkdirSync(folder)
    const fd = openSync(folder, 'r')
    try {
      using map = CgroupStorage.create({ name: 'per_cgroup', value: Stats })
      exercise(map as never, fd, map.fd)
    } finally {
      closeSync(fd)
      rmdirSync(folder)
    }
  })

  it('is made with BTF of its own, which it does not leave open', () => {
    const [fds, btfs] = [openFds(), mapIds('btf')]
    using map = SkStorage.create({ value: Stats })
    expect(openFds()).to.equal(fds + 1)
    const { btfId } = map.info()
    expect(btfs).to.not.include(btfId)
    expect(mapIds('btf')).to.include(btfId)
    expect(errorOf(() => SkStorage.create({ value: { ...u32, size: 1 << 20 } })).message).to.match(/E2BIG.*larger than/)
    expect(openFds()).to.equal(fds + 1)
    expect(map.closed).to.equal(false)
  })

  it('fills a new inner map', async () => {
    const server = net.createServer().listen(0)
    await once(server, 'listening')
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle
    try {
      using outer = HashOfMaps.create({ key: u32, maxEntries: 1, inner: SkStorage.spec({ value: u64 }) })
      outer.set(1, [[fd, 5n]])
      expect(outer.use(1, (inner) => inner.get(fd))).to.equal(5n)
    } finally {
      await once(server.close(), 'close')
    }
  })

  it('of the deprecated kind has an entry for each attached program', function () {
    const root = cgroup2()
    needs(this, root !== undefined, 'a cgroup2 file system')
    const folder = `${root}/ebpf-ts-legacy-${process.pid}`
    mkdirSync(folder)
    const cgroup = openSync(folder, 'r')
    const opened: number[] = []
    try {
      using plain = LegacyCgroupStorage.create({ name: 'legacy', key: cgroupStorageKey, value: Stats })
      using perCpu = LegacyPerCpuCgroupStorage.create({ name: 'legacy_cpu', key: cgroupStorageKey, value: u32 })
      // r0 = bpf_get_local_storage(map, 0), for both: that is what makes them the program's.
      const local = (fd: number) => [
        ...insn(0x18, 1, uapi.BPF_PSEUDO_MAP_FD, 0, fd),
        ...insn(0, 0, 0, 0, 0),
        ...insn(0xb7, 2, 0, 0, 0),
        ...insn(0x85, 0, 0, 0, 81),
      ]
      const insns = Uint8Array.from([
        ...local(plain.fd),
        ...local(perCpu.fd),
        ...insn(0xb7, 0, 0, 0, 1),
        ...insn(0x95, 0, 0, 0, 0),
      ])
      const prog = progLoad({
        prog_type: uapi.BPF_PROG_TYPE_CGROUP_SKB,
        expected_attach_type: uapi.BPF_CGROUP_INET_EGRESS,
        insns,
        license: 'GPL',
      })
      opened.push(prog)
      const key = { cgroup: BigInt(fstatSync(cgroup).ino), attachType: uapi.BPF_CGROUP_INET_EGRESS }
      expect([plain.size, plain.get(key), plain.has(key)]).to.deep.equal([0, undefined, false])
      expect(errorOf(() => plain.set(key, first)).message).to.match(/ENOENT.*when a program with this map is attached/)
      const attachment = { target_fd: cgroup, attach_bpf_fd: prog, attach_type: uapi.BPF_CGROUP_INET_EGRESS }
      progAttach(attachment)
      try {
        using other = LegacyCgroupStorage.fromId(plain.id, { key: cgroupStorageKey, value: Stats })
        expect([...other]).to.deep.equal([[key, { packets: 0n, mark: 0 }]])
        plain.set(key, first)
        expect(other.get(key)).to.deep.equal(first)
        expect(inspect(other)).to.match(/u32 \} → struct .* 1 fd \d+\n.*packets: 1n/)
        const ones = Array<number>(possibleCpus()).fill(7)
        perCpu.set(key, ones)
        expect(perCpu.snapshot()).to.deep.equal(new Map([[key, ones]]))
      } finally {
        progDetach(attachment)
      }
    } finally {
      for (const fd of opened) closeFd(fd)
      closeSync(cgroup)
      rmdirSync(folder)
    }
  })
})
