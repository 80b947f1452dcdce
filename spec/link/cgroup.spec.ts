import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import {
  attachCgroup,
  attached,
  bpf,
  type CgroupHook,
  type CgroupOptions,
  ClosedError,
  KernelError,
  Link,
  Program,
  type ProgramOptions,
} from '../../lib'
import { progQuery } from '../../syscalls'
import { ATTACH_TYPES } from '../../syscalls/uapi-names'
import { openFds } from '../map/kit'
import { ownCgroupFolder } from '../support/attach/network'
import { requireAttach, requireLinux, requireLsm } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { errorOf } from '../support/error'
import { eventually, useBpffs } from '../support/kernel'
import { libc } from '../support/link/libc'
import { useNamespace } from '../support/link/namespace'
import { counter, counting } from '../support/link/programs'
import * as net from '../support/link/sockets'

/** What lets everything go on. */
const ALLOW = 1

describe('programs at cgroups', () => {
  useNamespace()
  const stage = useStage()
  const bpffs = useBpffs()
  let folder = ''
  beforeEach(function () {
    requireAttach(this, 'cgroup')
    folder = ownCgroupFolder(this, stage)
  })

  /** What the kernel says by a way of the spec's own. */
  function ids(path: string, hook: CgroupHook): number[] {
    const target_fd = openSync(path, 'r')
    try {
      const prog_ids = new Uint32Array(64)
      const { count } = progQuery({ target_fd, attach_type: ATTACH_TYPES[hook], prog_ids })
      return [...prog_ids.subarray(0, count)]
    } finally {
      closeSync(target_fd)
    }
  }

  function unixPath(): string {
    const path = mkdtempSync(join(tmpdir(), 'ebpf-ts-'))
    stage.later(() => rmSync(path, { recursive: true }))
    return path
  }

  async function message(address: string): Promise<void> {
    const [to, from] = [net.bound(stage, address), net.open(stage, net.familyOf(address))]
    net.send(from, 8, address, to.port)
    await net.received(to.fd, true)
  }

  function connected(address: string): number {
    const { port } = net.bound(stage, address)
    const fd = net.open(stage, net.familyOf(address))
    net.connect(fd, address, port)
    return fd
  }

  /** Two sockets of one family: one is bound, and the other sends to it. */
  async function unixMessage(): Promise<void> {
    const path = join(unixPath(), 'socket')
    const [to, from] = [net.open(stage, net.AF_UNIX), net.open(stage, net.AF_UNIX)]
    net.bind(to, path)
    net.bind(from, `${path}-from`)
    net.send(from, 8, path)
    await net.received(to, true)
  }

  function unixConnected(): number {
    const path = join(unixPath(), 'socket')
    const [to, from] = [net.open(stage, net.AF_UNIX), net.open(stage, net.AF_UNIX)]
    net.bind(to, path)
    net.bind(from, `${path}-from`)
    net.connect(from, path)
    return from
  }

  const SOL_SOCKET = 1
  const SO_SNDBUF = 7
  const option = (set: boolean) => {
    const fd = net.open(stage, net.AF_INET)
    if (set) libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, Int32Array.of(8192), 4)
    else libc.getsockopt(fd, SOL_SOCKET, SO_SNDBUF, new Int32Array(1), Uint32Array.of(4))
  }

  /** What makes the kernel run the programs of a hook. */
  const hooks: Record<CgroupHook, { readonly type: ProgramOptions['type']; readonly trigger: () => unknown }> = {
    cgroup_inet_ingress: { type: 'cgroup_skb', trigger: () => message('127.0.0.1') },
    cgroup_inet_egress: { type: 'cgroup_skb', trigger: () => message('127.0.0.1') },
    cgroup_inet_sock_create: { type: 'cgroup_sock', trigger: () => net.openAndClose(net.AF_INET) },
    cgroup_inet_sock_release: { type: 'cgroup_sock', trigger: () => net.openAndClose(net.AF_INET) },
    cgroup_inet4_post_bind: { type: 'cgroup_sock', trigger: () => net.bound(stage, '127.0.0.1') },
    cgroup_inet6_post_bind: { type: 'cgroup_sock', trigger: () => net.bound(stage, '::1') },
    cgroup_sock_ops: { type: 'sock_ops', trigger: () => net.connection(stage) },
    cgroup_device: { type: 'cgroup_device', trigger: () => closeSync(openSync('/dev/null', 'r')) },
    cgroup_inet4_bind: { type: 'cgroup_sock_addr', trigger: () => net.bound(stage, '127.0.0.1') },
    cgroup_inet6_bind: { type: 'cgroup_sock_addr', trigger: () => net.bound(stage, '::1') },
    cgroup_inet4_connect: { type: 'cgroup_sock_addr', trigger: () => connected('127.0.0.1') },
    cgroup_inet6_connect: { type: 'cgroup_sock_addr', trigger: () => connected('::1') },
    cgroup_unix_connect: { type: 'cgroup_sock_addr', trigger: unixConnected },
    cgroup_udp4_sendmsg: { type: 'cgroup_sock_addr', trigger: () => message('127.0.0.1') },
    cgroup_udp6_sendmsg: { type: 'cgroup_sock_addr', trigger: () => message('::1') },
    cgroup_unix_sendmsg: { type: 'cgroup_sock_addr', trigger: unixMessage },
    cgroup_udp4_recvmsg: { type: 'cgroup_sock_addr', trigger: () => message('127.0.0.1') },
    cgroup_udp6_recvmsg: { type: 'cgroup_sock_addr', trigger: () => message('::1') },
    cgroup_unix_recvmsg: { type: 'cgroup_sock_addr', trigger: unixMessage },
    cgroup_inet4_getpeername: { type: 'cgroup_sock_addr', trigger: () => net.peerPortOf(connected('127.0.0.1')) },
    cgroup_inet6_getpeername: { type: 'cgroup_sock_addr', trigger: () => net.peerPortOf(connected('::1')) },
    cgroup_unix_getpeername: { type: 'cgroup_sock_addr', trigger: () => net.peerPortOf(unixConnected()) },
    cgroup_inet4_getsockname: { type: 'cgroup_sock_addr', trigger: () => net.portOf(connected('127.0.0.1')) },
    cgroup_inet6_getsockname: { type: 'cgroup_sock_addr', trigger: () => net.portOf(connected('::1')) },
    cgroup_unix_getsockname: { type: 'cgroup_sock_addr', trigger: () => net.portOf(unixConnected()) },
    cgroup_sysctl: { type: 'cgroup_sysctl', trigger: () => readFileSync('/proc/sys/kernel/ostype') },
    cgroup_getsockopt: { type: 'cgroup_sockopt', trigger: () => option(false) },
    cgroup_setsockopt: { type: 'cgroup_sockopt', trigger: () => option(true) },
    lsm_cgroup: { type: 'lsm', trigger: () => net.bound(stage, '127.0.0.1') },
  }

  for (const [name, { type, trigger }] of Object.entries(hooks)) {
    const hook = name as CgroupHook
    it(`${hook}: is hit, updated and detached`, async function () {
      if (hook === 'lsm_cgroup') requireLsm(this, hook)
      if (hook.includes('unix')) requireLinux(this, 6, 7, 'hooks of Unix sockets')
      const more = hook === 'lsm_cgroup' ? { attachTo: 'socket_bind' } : {}
      const program = (index: number) => counter(stage, type, ALLOW, { index, expectedAttachType: hook, ...more })
      const [first, second] = [program(0), program(1)]
      const link = stage.using(attachCgroup(first, folder))
      expect(link).to.be.instanceOf(Link)
      expect(link.info()).to.deep.equal({
        type: 'cgroup',
        id: link.id,
        programId: first.id,
        cgroupId: statSync(folder, { bigint: true }).ino,
        attachType: hook,
      })
      expect(`${link}`).to.equal(`Link#${link.id} ${hook} of ${folder}`)
      // Programs of LSM at cgroups are told with their flags only (__cgroup_bpf_query).
      if (hook !== 'lsm_cgroup') expect(ids(folder, hook)).to.deep.equal([first.id])
      expect(attached(hook, folder).programs.map(({ programId }) => programId)).to.deep.equal([first.id])
      await trigger()
      expect(stage.count(0)).to.be.greaterThan(0)
      link.update(second, { replacing: first })
      const before = stage.count(0)
      await trigger()
      expect(stage.count(0)).to.equal(before)
      expect(stage.count(1)).to.be.greaterThan(0)
      link.detach()
      const last = stage.count(1)
      await trigger()
      expect(stage.count(1)).to.equal(last)
      expect(attached(hook, folder).programs).to.deep.equal([])
    })
  }

  const deny = (index = 0) =>
    stage.using(
      Program.load({
        type: 'cgroup_sock',
        name: 'deny',
        expectedAttachType: 'cgroup_inet_sock_create',
        code: bpf`
          ${counting(stage, index)}
          r0 = 0
          exit`,
      }),
    )
  const code = (run: () => unknown) => (errorOf(run) as { code?: string }).code

  it('decides, beside others: one that says no is enough', () => {
    const allow = counter(stage, 'cgroup_sock', ALLOW, { expectedAttachType: 'cgroup_inet_sock_create' })
    using allowing = attachCgroup(allow, folder)
    net.openAndClose(net.AF_INET)
    const denying = attachCgroup(deny(1), folder)
    expect(code(() => net.openAndClose(net.AF_INET))).to.equal('EPERM')
    expect(ids(folder, 'cgroup_inet_sock_create')).to.deep.equal([allowing.programId, denying.programId])
    denying.close()
    net.openAndClose(net.AF_INET)
    expect(ids(folder, 'cgroup_inet_sock_create')).to.deep.equal([allow.id])
  })

  it('takes the fd of a folder, and leaves it open', () => {
    const fd = openSync(folder, 'r')
    try {
      using link = attachCgroup(deny(), { fd })
      expect(code(() => net.openAndClose(net.AF_INET))).to.equal('EPERM')
      expect(`${link}`).to.contain(`cgroup_inet_sock_create of the cgroup of fd ${fd}`)
      using same = Link.fromId(link.id)
      expect(`${same}`).to.contain(`of cgroup ${statSync(folder).ino}`)
    } finally {
      closeSync(fd)
    }
    net.openAndClose(net.AF_INET)
  })

  it('stays by its pin', async () => {
    const path = join(bpffs.path, 'cgroup')
    const link = attachCgroup(deny(), folder)
    link.pin(path)
    link.close()
    expect(code(() => net.openAndClose(net.AF_INET))).to.equal('EPERM')
    using again = Link.fromPin(path)
    again.unpin()
    again.close()
    // The last reference of all went with a pin, so the end may come a little later.
    await eventually(() => ids(folder, 'cgroup_inet_sock_create').length === 0, 'it is detached')
    net.openAndClose(net.AF_INET)
  })

  it('stands where it is put among others', function () {
    requireLinux(this, 6, 17, 'an order among the programs of a cgroup')
    const hook = 'cgroup_inet_sock_create'
    const program = () => counter(stage, 'cgroup_sock', ALLOW, { expectedAttachType: hook })
    const [a, b, c] = [program(), program(), program()]
    using last = attachCgroup(a, folder)
    using first = attachCgroup(b, folder, { place: 'first' })
    using between = attachCgroup(c, folder, { place: { before: last } })
    expect(ids(folder, hook)).to.deep.equal([b.id, c.id, a.id])
    const { revision } = attached(hook, folder)
    if (revision === undefined) throw new Error('no revision')
    const closed = [between, first].map((link) => link.close())
    expect(closed).to.have.length(2)
    const late = () => attachCgroup(c, folder, { expectedRevision: revision })
    expect(errorOf(late)).to.include({ code: 'ESTALE' })
    expect(ids(folder, hook)).to.deep.equal([a.id])
  })

  it('an order is kept or refused, never ignored', () => {
    const hook = 'cgroup_inet_sock_create'
    using last = attachCgroup(counter(stage, 'cgroup_sock', ALLOW, { expectedAttachType: hook }), folder)
    let first: Link
    try {
      first = attachCgroup(deny(1), folder, { place: 'first' })
    } catch (error) {
      expect(error).to.be.instanceOf(KernelError).and.include({ code: 'EINVAL' })
      expect((error as KernelError).message).to.contain('6.17')
      expect(ids(folder, hook)).to.deep.equal([last.programId])
      return
    }
    expect(ids(folder, hook)).to.deep.equal([first.programId, last.programId])
    first.close()
  })

  it('does not mind that the cgroup is gone', () => {
    for (const mode of ['multi', 'exclusive', 'override'] as const) {
      const path = join(folder, mode)
      mkdirSync(path)
      const attachment = attachCgroup(deny(0), path, { mode })
      const fd = openSync(path, 'r')
      rmdirSync(path)
      try {
        const late = errorOf(() => attachCgroup(deny(1), fd, { mode }))
        expect(late).to.include({ code: 'ENOENT' })
        expect(late.message).to.contain('the cgroup has been removed')
        expect(errorOf(() => attached('cgroup_device', fd)).message).to.contain('the cgroup has been removed')
      } finally {
        closeSync(fd)
      }
      // The kernel lets go of a link a little after the cgroup.
      if (mode !== 'multi') expect(errorOf(() => attachment.update(deny(1)))).to.include({ code: 'ENOLINK' })
      expect(attachment.info()).to.include({ type: 'cgroup' })
      attachment.detach()
      attachment.detach()
      attachment.close()
      expect(attachment.closed).to.equal(true)
    }
  })

  it('tells what it is as JSON, which has no bigints', () => {
    using link = attachCgroup(deny(), folder)
    const inode = `${statSync(folder).ino}`
    expect(JSON.parse(JSON.stringify(link))).to.include({ type: 'cgroup', id: link.id, cgroupId: inode })
  })

  describe('wrong arguments', () => {
    it('a path that is none of a cgroup', () => {
      const program = deny()
      const fds = openFds()
      expect(errorOf(() => attachCgroup(program, '/tmp')).message).to.match(
        /^\/tmp is not in the file system of cgroups of version 2, which is mounted at \//,
      )
      expect(errorOf(() => attachCgroup(program, '/tmp'))).to.be.instanceOf(RangeError)
      expect(code(() => attachCgroup(program, join(folder, 'nowhere')))).to.equal('ENOENT')
      expect(code(() => attachCgroup(program, join(folder, 'cgroup.procs')))).to.equal('ENOTDIR')
      expect(errorOf(() => attachCgroup(program, 0))).to.be.instanceOf(RangeError)
      expect(errorOf(() => attached('cgroup_device', '/tmp'))).to.be.instanceOf(RangeError)
      for (const use of [
        () => attachCgroup(program, program.fd),
        () => attachCgroup(program, program.fd, { mode: 'override' }),
        () => attached('cgroup_device', program.fd),
      ]) {
        expect(errorOf(use)).to.include({ code: 'EBADF' })
        expect(errorOf(use).message).to.contain('not that of the folder of a cgroup')
      }
      expect(openFds()).to.equal(fds)
    })

    it('a neighbour that is not there, and a revision that is past', function () {
      requireLinux(this, 6, 17, 'an order among the programs of a cgroup')
      const [program, other] = [deny(0), deny(1)]
      const error = (options: CgroupOptions) =>
        errorOf(() => attachCgroup(program, folder, options as { place: 'first' }))
      expect(error({ place: { before: other } }).message).to.match(/^EINVAL: .*: the neighbour is not attached there/)
      expect(error({ expectedRevision: 99n }).message).to.match(/^ESTALE: .*has changed since \(expectedRevision\)$/)
      const negative = error({ expectedRevision: -1n })
      expect(negative).to.be.instanceOf(RangeError)
      expect(negative.message).to.match(/^-1 cannot be expectedRevision/)
    })

    it('a neighbour that is a link of another hook, or detached', function () {
      requireLinux(this, 6, 17, 'an order among the programs of a cgroup')
      const silent = counter(stage, 'cgroup_skb', ALLOW)
      using elsewhere = attachCgroup(silent, folder, { hook: 'cgroup_inet_egress' })
      using detached = attachCgroup(counter(stage, 'cgroup_skb', ALLOW), folder, { hook: 'cgroup_inet_ingress' })
      detached.detach()
      for (const before of [elsewhere, detached]) {
        const error = errorOf(() => attachCgroup(silent, folder, { hook: 'cgroup_inet_ingress', place: { before } }))
        expect(error.message).to.match(/^E(?:NOENT|INVAL): .*: the neighbour is not attached there[,;] or the /)
      }
    })

    it('a program whose hook the kernel alone knows', () => {
      using hidden = Program.fromId(deny().id)
      for (const mode of ['multi', 'exclusive'] as const) {
        const error = errorOf(() => attachCgroup(hidden, folder, { hook: 'cgroup_inet_sock_release', mode }))
        expect(error).to.be.instanceOf(KernelError).and.include({ code: 'EINVAL' })
        expect(error.message).to.contain('the program was loaded for another hook (expectedAttachType)')
      }
    })

    it('no cgroup', () => {
      for (const [cgroup, given] of [
        [undefined, 'undefined'],
        [null, 'null'],
        [{}, 'object'],
      ] as const) {
        const error = errorOf(() => attachCgroup(deny(), cgroup as never))
        expect(error).to.be.instanceOf(TypeError)
        expect(error.message).to.equal(`cgroup is the path of its folder, or an fd of that, not ${given}`)
      }
    })

    it('a program of another type, for another hook, or that does not tell its hook', () => {
      const filter = counter(stage, 'socket_filter', 0)
      const fds = openFds()
      expect(errorOf(() => attachCgroup(filter, folder)).message).to.match(
        /takes a program of type cgroup_skb or .*: Program#\d+ 'count0' is of type socket_filter/,
      )
      const other = errorOf(() => attachCgroup(deny(), folder, { hook: 'cgroup_inet4_bind' }))
      expect(other).to.be.instanceOf(TypeError)
      expect(other.message).to.contain('cgroup_inet4_bind of')
      const release = errorOf(() => attachCgroup(deny(), folder, { hook: 'cgroup_inet_sock_release' }))
      expect(release.message).to.contain(
        'was loaded for cgroup_inet_sock_create: it cannot be attached to cgroup_inet_sock_release',
      )
      const silent = counter(stage, 'cgroup_skb', ALLOW)
      expect(errorOf(() => attachCgroup(silent, folder)).message).to.contain(
        'does not tell its hook: say one of cgroup_inet_ingress, cgroup_inet_egress',
      )
      expect(errorOf(() => attachCgroup(silent, folder, { hook: 'cgroup_skb' as never }))).to.be.instanceOf(TypeError)
      expect(errorOf(() => attached('nosuch' as never, folder))).to.be.instanceOf(TypeError)
      // The programs above are the stage's.
      expect(openFds()).to.equal(fds + 3)
    })

    it('a hook for a program that fits two, and one that has only one', async () => {
      const silent = counter(stage, 'cgroup_skb', ALLOW)
      using egress = attachCgroup(silent, folder, { hook: 'cgroup_inet_egress' })
      expect(egress.info()).to.include({ attachType: 'cgroup_inet_egress' })
      await message('127.0.0.1')
      expect(stage.count()).to.equal(1)
      using device = attachCgroup(counter(stage, 'cgroup_device', ALLOW, { index: 1 }), folder)
      expect(device.info()).to.include({ attachType: 'cgroup_device' })
    })

    it('a program that is closed', () => {
      const closed = deny()
      closed.close()
      expect(errorOf(() => attachCgroup(closed, folder))).to.be.instanceOf(ClosedError)
    })
  })
})
