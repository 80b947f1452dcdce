import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, connect as netConnect } from 'node:net'
import { inspect } from 'node:util'
import { expect } from 'chai'
import {
  attached,
  attachReuseport,
  attachSocket,
  attachSockmap,
  bpf,
  ClosedError,
  HashMap,
  KernelError,
  Link,
  Program,
  ReuseportSockArray,
  type SockHash,
  SockMap,
  type SockmapHook,
  u32,
} from '../../lib'
import { closeFd, duplicateFd } from '../../syscalls/fd'
import { BPF_LINK_CREATE } from '../../syscalls/uapi'
import { openFds } from '../map/kit'
import { requireAttach, requireLinux } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { errorOf } from '../support/error'
import { eventually, linuxBefore, pending, requireRoot } from '../support/kernel'
import { useNamespace } from '../support/link/namespace'
import { counter, counting } from '../support/link/programs'
import {
  AF_INET,
  bind,
  bound,
  connection,
  open,
  portOf,
  receive,
  received,
  send,
  sharePort,
} from '../support/link/sockets'
import { recorded } from '../support/recording-abi'

const EINVAL = 22
/** What a socket filter returns: bytes of the packet that the socket gets. */
const ALL = -1
const NONE = 0

describe('programs at sockets', () => {
  useNamespace()
  const stage = useStage()
  before(function () {
    requireRoot(this)
  })
  const filter = (index = 0, result = ALL) => counter(stage, 'socket_filter', result, { index })

  describe('attachSocket', () => {
    /** Sends to the port; whether it comes out at the fd. Index 0 counts what is dropped. */
    async function arrives(fd: number, port: number): Promise<boolean> {
      const before = stage.count(0)
      send(bound(stage).fd, 8, '127.0.0.1', port)
      let arrived = false
      await eventually(() => {
        arrived = receive(fd) !== undefined
        return arrived || stage.count(0) > before
      }, 'it has arrived, or is dropped')
      return arrived
    }

    it('is hit, updated and detached', async () => {
      const { fd, port } = bound(stage)
      const [first, second] = [filter(0, NONE), filter(1, ALL)]
      const attachment = attachSocket(first, fd)
      expect(inspect(attachment)).to.equal(`socket fd ${fd} → Program#${first.id} 'count0'`)
      expect(attachment.info()).to.deep.equal({ type: 'socket', programId: first.id })
      expect(await arrives(fd, port)).to.equal(false)
      attachment.update(second, { replacing: first })
      expect(await arrives(fd, port)).to.equal(true)
      expect([stage.count(0), stage.count(1)]).to.deep.equal([1, 1])
      attachment.update(first)
      expect(await arrives(fd, port)).to.equal(false)
      attachment.close()
      expect(await arrives(fd, port)).to.equal(true)
      expect([stage.count(0), stage.count(1)]).to.deep.equal([2, 1])
      expect(errorOf(() => attachment.update(second))).to.be.instanceOf(ClosedError)
    })

    it('takes a socket of node:dgram, and one of node:net', async () => {
      const socket = createSocket('udp4').bind(0, '127.0.0.1')
      await once(socket, 'listening')
      let messages = 0
      socket.on('message', () => messages++)
      const { port } = socket.address()
      const sender = bound(stage)
      using attachment = attachSocket(filter(0, NONE), socket)
      send(sender.fd, 8, '127.0.0.1', port)
      await eventually(() => stage.count() === 1, 'the packet is dropped')
      attachment.close()
      send(sender.fd, 8, '127.0.0.1', port)
      await eventually(() => messages === 1, 'the packet is received')
      socket.close()
      await once(socket, 'close')

      const server = createServer((peer) => peer.pipe(peer)).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const client = netConnect((server.address() as { port: number }).port, '127.0.0.1')
      await once(client, 'connect')
      using counted = attachSocket(filter(1), client)
      client.write('hello')
      expect(String((await once(client, 'data'))[0])).to.equal('hello')
      expect(stage.count(1)).to.be.greaterThan(0)
      client.destroy()
      await once(client, 'close')
      // The socket is gone, and the filter with it.
      expect(`${counted}`).to.equal('socket, gone')
      counted.close()
      server.close()
      await once(server, 'close')
    })

    it('does not touch another socket that has got the number', async () => {
      const first = bound(stage)
      const attachment = attachSocket(filter(0, NONE), first.fd)
      stage.close(first.fd)
      const second = open(stage, AF_INET)
      expect(second).to.equal(first.fd)
      bind(second, '127.0.0.1')
      const theirs = attachSocket(filter(1, NONE), second)
      attachment.close()
      send(bound(stage).fd, 8, '127.0.0.1', portOf(second))
      await eventually(() => stage.count(1) === 1, 'their filter is still there')
      theirs.close()
    })

    it('leaves the socket to the attachment that came after it', async () => {
      const { fd, port } = bound(stage)
      const first = attachSocket(filter(2, ALL), fd)
      const second = attachSocket(filter(0, NONE), fd)
      first.close()
      expect(await arrives(fd, port)).to.equal(false)
      const third = attachSocket(filter(1, ALL), fd)
      expect(errorOf(() => second.update(filter(0, NONE)))).to.include({ code: 'ENOLINK' })
      expect(await arrives(fd, port)).to.equal(true)
      expect(stage.count(1)).to.equal(1)
      second.close()
      third.close()
      expect(await arrives(fd, port)).to.equal(true)
      expect(stage.count(1)).to.equal(1)
    })

    it('does not mind that whoever had the socket has closed it', () => {
      const fds = openFds()
      for (const gone of [-1, undefined]) {
        let fd: number | undefined = duplicateFd(bound(stage).fd)
        const owner = {
          get fd() {
            if (fd === undefined) throw new Error('it is closed')
            return fd
          },
        }
        const attachment = attachSocket(filter(), owner)
        closeFd(fd)
        fd = gone
        expect(`${attachment}`).to.equal('socket, gone')
        expect(errorOf(() => attachment.update(filter()))).to.be.instanceOf(RangeError)
        attachment.close()
        expect(attachment.closed).to.equal(true)
      }
      // Two sockets and four programs, which are the stage's, with their map.
      expect(openFds()).to.equal(fds + 7)
    })

    it('stays without its object as long as the socket is there', async () => {
      const { fd, port } = bound(stage)
      const program = filter(0, NONE)
      const attachment = attachSocket(program, fd)
      program.close()
      expect(await arrives(fd, port)).to.equal(false)
      attachment.detach()
      attachment.detach()
      expect(await arrives(fd, port)).to.equal(true)
      expect(errorOf(() => attachment.update(filter()))).to.include({ code: 'ENOLINK' })
      attachment.close()
    })

    it('refuses what is no socket, or none yet, and programs of other types', () => {
      const program = filter()
      const xdp = counter(stage, 'xdp', 2)
      const { fd } = bound(stage)
      const unbound = createSocket('udp4')
      const fds = openFds()
      expect(errorOf(() => attachSocket(program, unbound)).message).to.contain('not bound yet')
      unbound.close()
      expect(errorOf(() => attachSocket(program, program)).message).to.equal(`fd ${program.fd} is no socket`)
      expect(errorOf(() => attachSocket(program, 0))).to.be.instanceOf(RangeError)
      expect(errorOf(() => attachSocket(program, null as never))).to.be.instanceOf(TypeError)
      expect(errorOf(() => attachSocket(xdp, fd)).message).to.equal(
        `socket fd ${fd} takes a program of type socket_filter: Program#${xdp.id} 'count0' is of type xdp`,
      )
      expect(openFds()).to.equal(fds)
      program.close()
      expect(errorOf(() => attachSocket(program, fd))).to.be.instanceOf(ClosedError)
    })
  })

  describe('attachReuseport', () => {
    /** Sockets that share a port. */
    function group(count = 2): { readonly fds: number[]; readonly port: number } {
      const fds = Array.from({ length: count }, () => open(stage, AF_INET))
      let port = 0
      for (const fd of fds) {
        sharePort(fd)
        bind(fd, '127.0.0.1', port)
        port = portOf(fd)
      }
      return { fds, port }
    }

    /** Which of the sockets gets what is sent to their port. */
    async function receiver(fds: readonly number[], port: number): Promise<number> {
      send(bound(stage).fd, 8, '127.0.0.1', port)
      let found = -1
      await eventually(() => {
        found = fds.findIndex((fd) => receive(fd) !== undefined)
        return found >= 0
      }, 'one of them has got it')
      return found
    }

    it('a socket filter says which: is hit, updated and detached', async () => {
      const { fds, port } = group()
      const attachment = attachReuseport(filter(0, 0), fds[0] as number)
      expect(attachment.type).to.equal('reuseport')
      for (let i = 0; i < 4; i++) expect(await receiver(fds, port)).to.equal(0)
      attachment.update(filter(1, 1))
      for (let i = 0; i < 4; i++) expect(await receiver(fds, port)).to.equal(1)
      expect([stage.count(0), stage.count(1)]).to.deep.equal([4, 4])
      attachment.close()
      await receiver(fds, port)
      expect([stage.count(0), stage.count(1)]).to.deep.equal([4, 4])
    })

    it('a program of sk_reuseport selects from a map', async () => {
      const { fds, port } = group()
      using sockets = ReuseportSockArray.create({ maxEntries: 1 })
      sockets.set(0, fds[1] as number)
      const code = bpf`
        r6 = r1
        ${counting(stage)}
        *(u32 *)(r10 - 8) = 0
        r1 = r6
        r2 = ${sockets} ll
        r3 = r10
        r3 += -8
        r4 = 0
        call bpf_sk_select_reuseport
        r0 = 1
        exit`
      using program = Program.load({ type: 'sk_reuseport', code })
      using attachment = attachReuseport(program, fds[0] as number)
      for (let i = 0; i < 3; i++) expect(await receiver(fds, port)).to.equal(1)
      sockets.set(0, fds[0] as number)
      for (let i = 0; i < 3; i++) expect(await receiver(fds, port)).to.equal(0)
      expect(stage.count()).to.equal(6)
      expect(attachment.programId).to.equal(program.id)
    })

    it('refuses a socket that shares nothing', () => {
      const { fd } = bound(stage)
      const program = filter()
      const fds = openFds()
      const error = errorOf(() => attachReuseport(program, fd))
      expect(error).to.be.instanceOf(KernelError).and.include({ code: 'EINVAL', command: 'SO_ATTACH_REUSEPORT_EBPF' })
      expect(error.message).to.contain('SO_REUSEPORT')
      expect(openFds()).to.equal(fds)
      expect(errorOf(() => attachReuseport(counter(stage, 'xdp', 2), fd))).to.be.instanceOf(TypeError)
    })
  })

  describe('attachSockmap', () => {
    before(function () {
      requireAttach(this, 'sockmap')
    })
    const PASS = 1
    const DROP = 0
    let map: SockMap | SockHash<number>
    beforeEach(() => {
      map = stage.using(SockMap.create({ maxEntries: 4 }))
    })
    const verdict = (index = 0, result = PASS) => counter(stage, 'sk_skb', result, { index })

    it('sk_skb_stream_verdict: what sockets receive; is hit, updated and detached', async () => {
      const [first, second] = [verdict(0), verdict(1)]
      const attachment = attachSockmap(first, map, 'sk_skb_stream_verdict')
      // By a link from 6.10 on, and by an object of the same interface before.
      expect(attachment instanceof Link).to.equal(!linuxBefore(6, 10))
      expect(attachment.type).to.equal('sockmap')
      expect(attachment.info()).to.include({ type: 'sockmap', programId: first.id })
      expect(`${attachment}`).to.contain(`sk_skb_stream_verdict of map#${map.id}`)
      // Each with a connection of its own: a socket keeps what was there when it was put in.
      const passes = async () => {
        const { client, server } = connection(stage)
        map.set(0, server)
        send(client, 5)
        expect(await received(server)).to.equal(5)
      }
      await passes()
      expect(stage.count(0)).to.be.greaterThan(0)
      expect(errorOf(() => attachment.update(second, { replacing: second }))).to.include({ code: 'EPERM' })
      attachment.update(second, { replacing: first })
      const before = stage.count(0)
      await passes()
      expect(stage.count(0)).to.equal(before)
      expect(stage.count(1)).to.be.greaterThan(0)
      attachment.close()
      const last = stage.count(1)
      await passes()
      expect(stage.count(1)).to.equal(last)
    })

    it('sk_msg_verdict: what sockets send', async () => {
      const program = counter(stage, 'sk_msg', DROP)
      using attachment = attachSockmap(program, map)
      expect(`${attachment}`).to.contain('sk_msg_verdict of map#')
      const { client, server } = connection(stage)
      map.set(0, client)
      expect(errorOf(() => send(client, 5)).code).to.equal('EACCES')
      expect(stage.count()).to.equal(1)
      map.delete(0)
      send(client, 6)
      expect(await received(server)).to.equal(6)
      expect(attachment.programId).to.equal(program.id)
    })

    it('sk_skb_stream_parser: with a verdict', async () => {
      // The whole of what is there is one message.
      const parser = bpf`
        r6 = r1
        ${counting(stage)}
        r0 = *(u32 *)(r6 + 0)
        exit`
      const program = stage.using(
        Program.load({ type: 'sk_skb', code: parser, expectedAttachType: 'sk_skb_stream_parser' }),
      )
      using parsing = attachSockmap(program, map)
      using judging = attachSockmap(verdict(1), map, 'sk_skb_stream_verdict')
      expect(parsing.description).to.contain('sk_skb_stream_parser')
      const { client, server } = connection(stage)
      map.set(0, server)
      send(client, 5)
      expect(await received(server)).to.equal(5)
      expect([stage.count(0) > 0, stage.count(1) > 0]).to.deep.equal([true, true])
      expect(judging.closed).to.equal(false)
    })

    it('sk_skb_verdict: of sockets of UDP too', async function () {
      requireLinux(this, 5, 13, 'verdicts without a parser')
      const { fd, port } = bound(stage)
      using attachment = attachSockmap(verdict(), map, 'sk_skb_verdict')
      map.set(0, fd)
      send(bound(stage).fd, 8, '127.0.0.1', port)
      await eventually(() => stage.count() === 1, 'the packet is seen')
      expect(attachment.type).to.equal('sockmap')
    })

    it('attached() tells which program is there', function () {
      requireLinux(this, 5, 17, 'answers of a sockmap')
      const program = verdict()
      expect(attached('sk_skb_stream_verdict', map).programs).to.deep.equal([])
      using attachment = attachSockmap(program, map, 'sk_skb_stream_verdict')
      expect(attached('sk_skb_stream_verdict', map).programs).to.deep.equal([
        { programId: program.id, linkId: undefined },
      ])
      attachment.close()
      expect(attached('sk_skb_stream_verdict', map).programs).to.deep.equal([])
    })

    it('a place that is taken: EBUSY by a link, another program without', function () {
      requireLinux(this, 6, 10, 'links to sockmaps')
      using first = attachSockmap(verdict(0), map, 'sk_skb_stream_verdict')
      const second = verdict(1)
      const fds = openFds()
      const error = errorOf(() => attachSockmap(second, map, 'sk_skb_stream_verdict'))
      expect(error).to.be.instanceOf(KernelError).and.include({ code: 'EBUSY', command: 'BPF_LINK_CREATE' })
      expect(openFds()).to.equal(fds)
      expect(attached('sk_skb_stream_verdict', map).programs.map(({ programId }) => programId)).to.deep.equal([
        first.programId,
      ])
    })

    it('without a link: does not touch what somebody else has put there', async function () {
      if (!linuxBefore(6, 10)) pending(this, 'the kernel has links to sockmaps')
      const ours = attachSockmap(verdict(0), map, 'sk_skb_stream_verdict')
      const theirs = attachSockmap(verdict(1), map, 'sk_skb_stream_verdict')
      ours.close()
      const { client, server } = connection(stage)
      map.set(0, server)
      send(client, 5)
      await eventually(() => stage.count(1) > 0, 'the other program is still there')
      theirs.close()
    })

    it('without links to sockmaps: replaces its own program alone', function () {
      requireLinux(this, 5, 17, 'answers of a sockmap')
      const [ours, theirs, third] = [verdict(0), verdict(1), verdict(2)]
      const ids = () => attached('sk_skb_stream_verdict', map).programs.map(({ programId }) => programId)
      recorded(
        () => {
          using attachment = attachSockmap(ours, map, 'sk_skb_stream_verdict')
          expect(attachment).not.to.be.instanceOf(Link)
          attachment.update(third, { replacing: ours })
          expect(ids()).to.deep.equal([third.id])
          using other = attachSockmap(theirs, map, 'sk_skb_stream_verdict')
          expect(errorOf(() => attachment.update(ours, { replacing: third }))).to.include({ code: 'ENOLINK' })
          attachment.close()
          expect(ids()).to.deep.equal([theirs.id])
          other.detach()
          other.detach()
          expect(errorOf(() => other.update(ours))).to.include({ code: 'ENOLINK' })
        },
        ({ command }) => (command === BPF_LINK_CREATE ? -EINVAL : undefined),
      )
      expect(ids()).to.deep.equal([])
    })

    it('refuses other maps, other programs, and hooks that there are not', () => {
      const program = verdict()
      const xdp = counter(stage, 'xdp', 2)
      using other = HashMap.create({ key: u32, value: u32, maxEntries: 1 })
      const fds = openFds()
      const wrong = errorOf(() => attachSockmap(program, other, 'sk_skb_stream_verdict'))
      expect(wrong).to.be.instanceOf(TypeError)
      expect(wrong.message).to.contain('a SOCKMAP or SOCKHASH: map#')
      const none = errorOf(() => attached('sk_msg_verdict', other))
      expect(none.message).to.match(/^(EOPNOTSUPP: .* neither a SOCKMAP nor a SOCKHASH$|EINVAL: )/)
      expect(errorOf(() => attachSockmap(program, program, 'sk_skb_stream_verdict'))).to.be.instanceOf(TypeError)
      expect(errorOf(() => attachSockmap(xdp, map)).message).to.contain('takes a program of type sk_skb or sk_msg')
      expect(errorOf(() => attachSockmap(program, map, 'sk_msg_verdict')).message).to.contain('of type sk_msg: ')
      expect(errorOf(() => attachSockmap(program, map)).message).to.contain('does not tell its hook')
      expect(errorOf(() => attachSockmap(program, map, 'xdp' as SockmapHook))).to.be.instanceOf(TypeError)
      expect(openFds()).to.equal(fds)
      program.close()
      expect(errorOf(() => attachSockmap(program, map, 'sk_skb_stream_verdict'))).to.be.instanceOf(ClosedError)
    })
  })

  it('an fd is of no socket once it is closed', () => {
    const fd = duplicateFd(bound(stage).fd)
    const attachment = attachSocket(filter(), fd)
    closeFd(fd)
    // The socket itself is there by its other fd, and keeps its filter.
    attachment.close()
    expect(attachment.closed).to.equal(true)
  })
})
