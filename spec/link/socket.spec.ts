import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, connect as netConnect } from 'node:net'
import { inspect } from 'node:util'
import { expect } from 'chai'
import { attachReuseport, attachSocket, bpf, ClosedError, KernelError, Program, ReuseportSockArray } from '../../lib'
import { closeFd, duplicateFd } from '../../syscalls/fd'
import { openFds } from '../map/kit'
import { useStage } from '../support/attach/stage'
import { errorOf } from '../support/error'
import { eventually, requireRoot } from '../support/kernel'
import { useNamespace } from '../support/link/namespace'
import { counter, counting } from '../support/link/programs'
import { AF_INET, bind, bound, open, portOf, receive, send, sharePort } from '../support/link/sockets'

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
      for (const none of [null, undefined, 'socket'] as never[]) {
        expect(() => attachSocket(program, none)).to.throw(
          TypeError,
          /^socket is a socket of Node, or the fd of one, not /,
        )
      }
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

  it('an fd is of no socket once it is closed', () => {
    const fd = duplicateFd(bound(stage).fd)
    const attachment = attachSocket(filter(), fd)
    closeFd(fd)
    // The socket itself is there by its other fd, and keeps its filter.
    attachment.close()
    expect(attachment.closed).to.equal(true)
  })
})
