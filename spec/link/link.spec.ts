import { closeSync, existsSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect } from 'chai'
import {
  ArrayMap,
  attachTcx,
  attachXdp,
  bpf,
  ClosedError,
  KernelError,
  Link,
  links,
  openMap,
  Program,
  u32,
} from '../../lib'
import type { LinkInfo } from '../../lib/link/info'
import { typesAt } from '../../lib/link/types-at'
import { LE } from '../../syscalls/attr-common'
import { duplicateFd } from '../../syscalls/fd'
import { viewOf } from '../../syscalls/netlink'
import { BPF_LINK_GET_FD_BY_ID, BPF_LINK_UPDATE, BPF_OBJ_GET_INFO_BY_FD } from '../../syscalls/uapi'
import { openFds } from '../map/kit'
import { requireAttach } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { errorOf } from '../support/error'
import { eventually, hasFeature, mapIds, useBpffs } from '../support/kernel'
import { libc } from '../support/link/libc'
import { device, useNamespace } from '../support/link/namespace'
import { counter } from '../support/link/programs'
import { bound, received, send } from '../support/link/sockets'
import { type Recording, recorded, type Sent } from '../support/recording-abi'

const PASS = 2
const EAGAIN = 11
const ENOENT = 2
const CLONE_NEWNET = 0x40000000

describe('a link', () => {
  const namespace = useNamespace()
  const bpffs = useBpffs()
  const stage = useStage()
  before(function () {
    requireAttach(this, 'xdp')
  })

  const program = (index = 0) => counter(stage, 'xdp', PASS, { index })
  const attached = () => device('lo').xdp?.prog.id

  // Where a pin was the last to go, that is a little later: its inode is freed after a grace period.
  afterEach(() => eventually(() => attached() === undefined, 'the link of the spec is gone'))

  async function ping(): Promise<void> {
    const { fd, port } = bound(stage)
    send(fd, 8, '127.0.0.1', port)
    await received(fd)
    stage.close(fd)
  }

  it('tells what it is: by info(), by inspect, as text and as JSON', () => {
    const count = program()
    const link = stage.using(attachXdp(count, 'lo'))
    expect(link.info()).to.deep.equal({ id: link.id, type: 'xdp', programId: count.id, ifindex: 1 })
    expect(mapIds('link')).to.include(link.id)
    expect(link.type).to.equal('xdp')
    expect(link.programId).to.equal(count.id)
    expect(`${link}`).to.equal(`Link#${link.id} xdp on lo`)
    expect(inspect(link)).to.equal(`Link#${link.id} xdp on lo → Program#${count.id} 'count0' fd ${link.fd}`)
    expect(JSON.parse(JSON.stringify(link))).to.deep.equal(link.info())
    link.close()
    expect(inspect(link)).to.equal(`Link#${link.id} xdp on lo closed`)
    expect(JSON.parse(JSON.stringify(link))).to.deep.equal({ type: 'xdp', closed: true })
  })

  it('is not updated where the option is misspelt that would have made it certain what is replaced', () => {
    const [first, second] = [program(), program(1)]
    const link = stage.using(attachXdp(first, 'lo'))
    expect(() => link.update(second, { replacin: second } as never)).to.throw(
      TypeError,
      "no option is called 'replacin': did you mean 'replacing'?",
    )
    expect(attached()).to.equal(first.id)
  })

  it('is not made of what is no program, and says what that is', () => {
    using map = ArrayMap.create({ name: 'hits', value: u32, maxEntries: 1 })
    const code = bpf`exit`
    const load = "program is a Program, not its code: Program.load({ type: 'xdp', code }) makes one"
    for (const [given, message] of [
      [{}, 'program is a Program, or the fd of one, not {}'],
      [undefined, 'program is a Program, or the fd of one, not undefined'],
      [code, load],
      [code.bytes(), load],
      [map, `${map.description} is a bpf-map, not a bpf-prog`],
      [{ fd: 'three' }, "program must be an fd, or what has one: { fd: 'three' } has none"],
    ] as const) {
      expect(() => attachXdp(given as never, 'lo')).to.throw(TypeError, message)
    }
    const closed = program()
    closed.close()
    expect(() => attachXdp(closed, 'lo')).to.throw(ClosedError)
  })

  it('ends the attachment when it is closed, by using as well', async () => {
    {
      using link = attachXdp(program(), 'lo')
      expect(attached()).to.equal(link.programId)
      await ping()
      expect(stage.count()).to.be.greaterThan(0)
    }
    expect(attached()).to.equal(undefined)
    const before = stage.count()
    await ping()
    expect(stage.count()).to.equal(before)
  })

  it('is found by its id, by its pin and by its fd, and among all links', () => {
    const link = stage.using(attachXdp(program(), 'lo'))
    const path = join(bpffs.path, 'link')
    link.pin(path)
    for (const open of [
      () => Link.fromId(link.id),
      () => Link.fromPin(path),
      () => Link.fromFd(duplicateFd(link.fd)),
    ]) {
      using same = open()
      expect(same.info()).to.deep.equal(link.info())
      expect(same.fd).not.to.equal(link.fd)
      expect(same.description).to.equal(link.description)
    }
    const fds = openFds()
    const all = [...links()]
    expect(all.map(({ id }) => id)).to.include(link.id)
    expect(all.every((each) => each.closed)).to.equal(true)
    for (const { id } of links()) if (id === link.id) break
    expect(openFds()).to.equal(fds)
    expect(link.unpin()).to.equal(true)
    expect(link.unpin(path)).to.equal(false)
  })

  it('does not name the device of another network namespace, which has the same number', () => {
    const made = [stage.using(attachXdp(program(), 'lo'))]
    if (hasFeature('attach', 'tcx') === true)
      made.push(stage.using(attachTcx(counter(stage, 'sched_cls', -1), 'lo', 'ingress')))
    const found = () =>
      made.map(({ id }) => {
        using link = Link.fromId(id)
        return link.description
      })
    const here = found()
    expect(here).to.deep.equal(made.map((link) => link.description))
    const own = openSync('/proc/thread-self/ns/net', 'r')
    libc.setns(namespace.home, CLONE_NEWNET)
    try {
      const words = ' ifindex 1 (perhaps of another network namespace)'
      expect(found()).to.deep.equal(here.map((text) => text.replace(/ lo$/, words)))
      // Of those that this process has made it knows the name.
      expect(made.map((link) => link.description)).to.deep.equal(here)
    } finally {
      libc.setns(own, CLONE_NEWNET)
      closeSync(own)
    }
    expect(found()).to.deep.equal(here)
  })

  it('among all links, one that is being made is passed over, and one that is gone by now', () => {
    const link = stage.using(attachXdp(program(), 'lo'))
    const ids = () => [...links()].map(({ id }) => id)
    const opening =
      (errno: number) =>
      ({ command, attr }: Sent) =>
        command === BPF_LINK_GET_FD_BY_ID && viewOf(attr as Uint8Array).getUint32(0, LE) === link.id ? errno : undefined
    const making = opening(-EAGAIN)
    expect(ids()).to.include(link.id)
    recorded(() => expect(ids()).not.to.include(link.id), opening(-ENOENT))
    recorded(() => {
      expect(ids()).not.to.include(link.id)
      const error = errorOf(() => Link.fromId(link.id))
      expect(error).to.include({ code: 'EAGAIN' })
      expect(error.message).to.contain('the link is just being made')
      // Nor does it keep a message from being told in which others are looked for.
      expect(errorOf(() => attachXdp(program(1), 'lo')).message).to.contain('is attached there already')
    }, making)
  })

  it('of a kind that is younger than the library tells what all links tell', () => {
    const link = stage.using(attachXdp(program(), 'lo'))
    /** struct bpf_link_info of a kernel to come: longer, and of a type that there is not yet. */
    const tomorrow = ({ command, attr }: Sent, { bytesAt }: Recording) => {
      if (command !== BPF_OBJ_GET_INFO_BY_FD || attr === undefined) return undefined
      const [room, address] = [viewOf(attr).getUint32(4, LE), Number(viewOf(attr).getBigUint64(8, LE))]
      const info = viewOf(bytesAt(address, room))
      for (const [i, word] of [99, 4711, 42].entries()) info.setUint32(i * 4, word, LE)
      for (let at = 16; at < room; at++) info.setUint8(at, 0xff)
      return 0
    }
    recorded(() => {
      using young = Link.fromFd(duplicateFd(link.fd))
      expect(young.info()).to.deep.equal({ id: 4711, type: 'type 99', programId: 42 })
      expect(`${young}`).to.equal('Link#4711 type 99')
      expect(JSON.parse(JSON.stringify(young))).to.deep.equal(young.info())
      for (const each of links()) expect(each.type).to.equal('type 99')
    }, tomorrow)
  })

  it('unpins where it has pinned, also from another folder', () => {
    const link = stage.using(attachXdp(program(), 'lo'))
    const home = process.cwd()
    const path = join(bpffs.path, 'here')
    try {
      process.chdir(bpffs.path)
      link.pin('here')
      process.chdir(home)
      expect(existsSync(path)).to.equal(true)
      expect(link.unpin()).to.equal(true)
      expect(existsSync(path)).to.equal(false)
      link.pin(path)
      process.chdir(bpffs.path)
      using same = Link.fromPin('here')
      process.chdir(home)
      expect(same.unpin()).to.equal(true)
    } finally {
      process.chdir(home)
    }
    expect(existsSync(path)).to.equal(false)
  })

  it('outlives its handle by a pin, and is detached by whoever opens that', async () => {
    const path = join(bpffs.path, 'pinned')
    const count = program()
    const link = attachXdp(count, 'lo')
    link.pin(path)
    link.close()
    const { id } = count
    count.close()
    expect(attached()).to.equal(id)
    await ping()
    expect(stage.count()).to.be.greaterThan(0)
    using again = Link.fromPin(path)
    again.detach()
    expect(attached()).to.equal(undefined)
    expect(again.unpin()).to.equal(true)
  })

  it('ends with its pin, when nobody holds it', async () => {
    const path = join(bpffs.path, 'last')
    const link = attachXdp(program(), 'lo')
    link.pin(path)
    const { id } = link
    link.unpin()
    expect(attached()).to.equal(link.programId)
    link.pin(path)
    link.close()
    expect(attached()).not.to.equal(undefined)
    using last = Link.fromPin(path)
    last.unpin()
    last.close()
    await eventually(() => attached() === undefined && !mapIds('link').includes(id), 'the link is gone')
  })

  it('swaps its program, and only for the one that is expected', async () => {
    const [first, second] = [program(0), program(1)]
    const link = stage.using(attachXdp(first, 'lo'))
    const error = errorOf(() => link.update(second, { replacing: second }))
    expect(error).to.be.instanceOf(KernelError).and.include({ code: 'EPERM', command: 'BPF_LINK_UPDATE' })
    expect(attached()).to.equal(first.id)
    link.update(second, { replacing: first })
    const { id } = second
    expect(attached()).to.equal(id)
    expect(link.programId).to.equal(id)
    const before = stage.count(0)
    await ping()
    expect(stage.count(1)).to.be.greaterThan(0)
    expect(stage.count(0)).to.equal(before)
    // Kept by the link alone.
    second.close()
    expect(attached()).to.equal(id)
    link.update(program(2))
    await ping()
    expect(stage.count(2)).to.be.greaterThan(0)
  })

  it('keeps its program from one of another type, before the kernel is asked', () => {
    const first = program()
    const link = stage.using(attachXdp(first, 'lo'))
    const other = counter(stage, 'socket_filter', 0)
    recorded((recording) => {
      const error = errorOf(() => link.update(other))
      expect(error).to.be.instanceOf(TypeError)
      expect(error.message).to.equal(
        `Link#${link.id} xdp on lo takes a program of type xdp: ${other.description} is of type socket_filter`,
      )
      expect(recording.bpf(BPF_LINK_UPDATE)).to.deep.equal([])
    })
    expect(attached()).to.equal(first.id)
  })

  it('knows the type that it takes by its hook', () => {
    const common = { id: 1, programId: 1 }
    const of = (type: string, attachType?: string) => typesAt({ ...common, type, attachType } as LinkInfo)
    expect(of('netkit', 'netkit_peer')).to.deep.equal(['sched_cls'])
    expect(of('tcx', 'tcx_egress')).to.deep.equal(['sched_cls'])
    expect(of('cgroup', 'cgroup_sock_ops')).to.deep.equal(['sock_ops'])
    expect(of('netns', 'flow_dissector')).to.deep.equal(['flow_dissector'])
    expect(of('sockmap', 'sk_msg_verdict')).to.deep.equal(['sk_msg'])
    // What is younger than the library, and what keeps its program, the kernel itself has to refuse.
    expect(of('netns', 'attach type 999')).to.deep.equal([])
    expect(of('perf_event')).to.deep.equal([])
  })

  it('is detached, and tells so; twice is fine', () => {
    const link = stage.using(attachXdp(program(), 'lo'))
    link.detach()
    expect(attached()).to.equal(undefined)
    link.detach()
    expect(link.info()).to.include({ type: 'xdp', ifindex: 0 })
    expect(errorOf(() => link.update(program()))).to.include({ code: 'ENOLINK' })
    using found = Link.fromId(link.id)
    expect(`${found}`).to.equal(`Link#${link.id} xdp, detached`)
  })

  it('refuses what is no link, and leaves it to whoever has it', () => {
    using map = ArrayMap.create({ value: u32, maxEntries: 1 })
    const path = join(bpffs.path, 'map')
    map.pin(path)
    const other = program()
    const fds = openFds()
    expect(errorOf(() => Link.fromPin(path))).to.be.instanceOf(TypeError)
    expect(errorOf(() => Link.fromPin(path)).message).to.equal(`${path} is a bpf-map, not a bpf_link`)
    expect(errorOf(() => Link.fromFd(map.fd))).to.be.instanceOf(TypeError)
    expect(errorOf(() => Link.fromFd(other.fd))).to.be.instanceOf(TypeError)
    expect(errorOf(() => Link.fromFd(0))).to.be.instanceOf(RangeError)
    expect(errorOf(() => Link.fromId(0))).to.be.instanceOf(RangeError)
    expect(errorOf(() => Link.fromId(0xffffffff))).to.include({ code: 'ENOENT', command: 'BPF_LINK_GET_FD_BY_ID' })
    expect(errorOf(() => Link.fromId(0xffffffff)).message).to.include('no link has this id')
    expect(errorOf(() => Link.fromPin(join(bpffs.path, 'none')))).to.include({ code: 'ENOENT', command: 'BPF_OBJ_GET' })
    expect(openFds()).to.equal(fds)
    expect(map.get(0)).to.equal(0)
  })

  it('is known for a link by whatever wants another object, however it was opened', () => {
    const link = stage.using(attachXdp(program(), 'lo'))
    const path = join(bpffs.path, 'no-program')
    link.pin(path)
    using pinned = Link.fromPin(path)
    using found = Link.fromId(link.id)
    const fds = openFds()
    for (const [open, wanted] of [
      [() => Program.fromPin(path), 'bpf-prog'],
      [() => openMap({ pin: path }), 'bpf-map'],
      [() => attachXdp(pinned, 'lo'), 'bpf-prog'],
      ...[link, pinned, found].map(({ fd }) => [() => Program.fromFd(fd), 'bpf-prog'] as const),
    ] as const) {
      const error = errorOf(open)
      expect(error).to.be.instanceOf(TypeError)
      // By the name that it has for who gave it: a path, the link itself, or an fd.
      expect(error.message).to.match(new RegExp(`^(fd \\d+|${path}|.*#\\d+.*) is a bpf_link, not a ${wanted}$`))
    }
    expect(openFds()).to.equal(fds)
    pinned.unpin()
  })

  it('says that it is closed', () => {
    const link = attachXdp(program(), 'lo')
    const { id } = link
    link.close()
    link.close()
    for (const use of [() => link.fd, () => link.info(), () => link.detach(), () => link.update(program())]) {
      expect(errorOf(use)).to.be.instanceOf(ClosedError)
    }
    expect(errorOf(() => link.pin(join(bpffs.path, 'closed')))).to.be.instanceOf(ClosedError)
    expect(link.id).to.equal(id)
  })

  it('refuses to be made by anyone but the kernel', () => {
    const Constructor = Link as unknown as new () => Link
    expect(errorOf(() => new Constructor())).to.be.instanceOf(TypeError)
  })

  it('refuses what is no program', () => {
    using map = ArrayMap.create({ value: u32, maxEntries: 1 })
    const link = stage.using(attachXdp(program(), 'lo'))
    expect(errorOf(() => link.update(map))).to.be.instanceOf(TypeError)
    expect(errorOf(() => link.update(0))).to.be.instanceOf(RangeError)
    const closed = program()
    closed.close()
    expect(errorOf(() => link.update(closed))).to.be.instanceOf(ClosedError)
    expect(link.programId).to.equal(attached())
  })
})
