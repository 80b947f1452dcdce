import { once } from 'node:events'
import net from 'node:net'
import { inspect } from 'node:util'
import { expect } from 'chai'
import { HashOfMaps, u32 } from '../../lib'
import { ReuseportSockArray, SockHash, SockMap, XskMap } from '../../lib/map/sockets'
import { abi } from '../../syscalls/abi'
import { LE } from '../../syscalls/attr-common'
import { closeFd } from '../../syscalls/fd'
import { errorOf } from '../support/error'
import { eventually, needs, pending, requireFeature, requireRoot } from '../support/kernel'
import { openFds } from './kit'

/** System call numbers of x86-64 and of the generic table; specs alone open raw sockets. */
const SYSCALLS: Readonly<Record<string, { socket: number; getsockopt: number; setsockopt: number; bind: number }>> = {
  x64: { socket: 41, getsockopt: 55, setsockopt: 54, bind: 49 },
  arm64: { socket: 198, getsockopt: 209, setsockopt: 208, bind: 200 },
}

describe('maps of sockets', () => {
  const NR = SYSCALLS[process.arch]
  const servers: net.Server[] = []
  const fds: number[] = []

  before(function () {
    requireRoot(this)
    needs(this, NR !== undefined, 'the numbers of socket calls on this machine')
  })
  afterEach(async () => {
    for (const fd of fds.splice(0)) closeFd(fd)
    await Promise.all(servers.splice(0).map((server) => once(server.close(), 'close')))
  })

  function call(name: keyof (typeof SYSCALLS)[string], ...args: [number, number, number, number?, number?]): number {
    return abi().syscall(NR?.[name] as number, ...args)
  }

  async function listening(): Promise<number> {
    const server = net.createServer().listen(0, '127.0.0.1')
    servers.push(server)
    await once(server, 'listening')
    return (server as unknown as { _handle: { fd: number } })._handle.fd
  }

  /** SO_COOKIE, by getsockopt(2). */
  function cookie(fd: number): bigint {
    const buffer = new ArrayBuffer(16)
    const view = new DataView(buffer)
    view.setUint32(8, 8, LE)
    const address = abi().addressOf(buffer)
    expect(call('getsockopt', fd, 1, 57, address, address + 8)).to.equal(0)
    return view.getBigUint64(0, LE)
  }

  function socket(domain: number, type: number, protocol = 0): number {
    const fd = call('socket', domain, type, protocol)
    expect(fd, 'socket(2)').to.be.above(0)
    fds.push(fd)
    return fd
  }

  for (const [name, make] of [
    ['SockMap', () => SockMap.create({ name: 'socks', maxEntries: 3 })],
    ['SockHash', () => SockHash.create({ name: 'socks', key: u32, maxEntries: 3 })],
  ] as const) {
    describe(name, () => {
      it('takes sockets by their fds, and gives their cookies', async () => {
        const [one, two] = [await listening(), await listening()]
        using map = make()
        expect(map.set(1, one)).to.equal(map)
        expect(map.setMany([[2, { fd: two }]])).to.equal(1)
        using other = map.spec.fromId(map.id) as typeof map
        expect(other.cookieOf(1)).to.equal(cookie(one))
        expect(other.cookieOf(0)).to.equal(undefined)
        expect(other.snapshot()).to.deep.equal(
          new Map([
            [1, cookie(one)],
            [2, cookie(two)],
          ]),
        )
        expect([other.size, other.has(1), other.has(0)]).to.deep.equal([2, true, false])
        expect(inspect(other)).to.match(/socket fd 2\/3 fd \d+\n.*→ \d+n\n.*→ \d+n$/)
        expect([map.delete(1), map.delete(1), map.delete(0)]).to.deep.equal([true, false, false])
        expect([...other.keys()]).to.deep.equal([2])
      })

      it('lets a socket go that is closed', async () => {
        const fd = await listening()
        using map = make()
        map.set(1, fd)
        expect(map.size).to.equal(1)
        await Promise.all(servers.splice(0).map((server) => once(server.close(), 'close')))
        await eventually(() => map.size === 0, 'the closed socket is out of the map')
      })

      it('has conditions', async () => {
        const fd = await listening()
        using map = make()
        expect(errorOf(() => map.set(1, fd, { only: 'replace' })).code).to.equal('ENOENT')
        map.set(1, fd, { only: 'create' })
        expect(errorOf(() => map.set(1, fd, { only: 'create' })).code).to.equal('EEXIST')
      })

      it('says what is no socket', () => {
        using map = make()
        expect(errorOf(() => map.set(1, map)).message).to.match(/ENOTSOCK.*the fd is no socket/)
        expect(errorOf(() => map.set(1, 99999)).message).to.match(/EBADF.*the fd is not open/)
        const unconnected = socket(2, 1)
        expect(errorOf(() => map.set(1, unconnected)).message).to.match(/EOPNOTSUPP.*once they are connected or listen/)
        expect(() => map.set(1, 0)).to.throw(RangeError, /standard input/)
        expect(() => map.set(1, 5n as never)).to.throw(TypeError, /a cookie cannot be written/)
        expect(map.size).to.equal(0)
      })
    })
  }

  it('tell an index past the end from an empty slot', () => {
    using map = SockMap.create({ maxEntries: 3 })
    expect(map.delete(2)).to.equal(false)
    expect(errorOf(() => map.delete(3)).message).to.match(/EINVAL.*the index is past the end: there are 3 slots/)
    expect(errorOf(() => map.set(3, map)).code).to.be.oneOf(['E2BIG', 'ENOTSOCK'])
  })

  it('with values of 4 bytes are written only', async () => {
    const fd = await listening()
    using map = SockHash.create({ key: u32, maxEntries: 3, valueSize: 4 })
    map.set(1, fd)
    expect(errorOf(() => map.cookieOf(1)).message).to.match(/ENOSPC.*a cookie needs valueSize: 8/)
    expect(inspect(map)).to.match(/socket fd 3 fd \d+$/)
    expect(map.delete(1)).to.equal(true)
    expect(() => SockMap.spec({ maxEntries: 1, valueSize: 6 as never })).to.throw(RangeError, /valueSize is 4 or 8/)
    const open = openFds()
    expect(errorOf(() => SockHash.fromId(map.id, { key: u32 }))).to.include({ attribute: 'valueSize', actual: 4 })
    expect(openFds()).to.equal(open)
  })

  it('fill a new inner map', async () => {
    const fd = await listening()
    using outer = HashOfMaps.create({ key: u32, maxEntries: 2, inner: SockMap.spec({ maxEntries: 2 }) })
    outer.set(1, [[0, fd]])
    expect(outer.snapshot()).to.deep.equal(new Map([[1, new Map([[0, cookie(fd)]])]]))
  })

  it('of one SO_REUSEPORT group are a ReuseportSockArray', () => {
    using map = ReuseportSockArray.create({ name: 'group', maxEntries: 2 })
    const udp = socket(2, 2)
    expect(errorOf(() => map.set(0, udp)).message).to.match(/EINVAL.*bound, with SO_REUSEPORT set before/)
    const one = new ArrayBuffer(4)
    new DataView(one).setUint32(0, 1, LE)
    expect(call('setsockopt', udp, 1, 15, abi().addressOf(one), 4)).to.equal(0)
    const address = new ArrayBuffer(16)
    new DataView(address).setUint16(0, 2, LE)
    expect(call('bind', udp, abi().addressOf(address), 16)).to.equal(0)
    map.set(0, udp)
    expect(map.cookieOf(0)).to.equal(cookie(udp))
    expect([...map]).to.deep.equal([[0, cookie(udp)]])
    expect(errorOf(() => map.set(1, udp)).message).to.match(/EBUSY.*in a REUSEPORT_SOCKARRAY already/)
    expect([map.delete(0), map.delete(0)]).to.deep.equal([true, false])
    expect(errorOf(() => map.set(0, map)).message).to.match(/ENOTSOCK/)
  })

  it('of AF_XDP are an XskMap, which nobody reads', function () {
    requireFeature(this, 'mapType', 'xskmap')
    using map = XskMap.create({ name: 'xsks', maxEntries: 2 })
    const AF_XDP = 44
    const fd = call('socket', AF_XDP, 3, 0)
    const EAFNOSUPPORT = 97
    if (fd === -EAFNOSUPPORT) pending(this, 'this kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS)')
    expect(fd).to.be.above(0)
    fds.push(fd)
    try {
      map.set(0, fd)
      const another = socket(AF_XDP, 3)
      expect(errorOf(() => map.set(0, another, { only: 'create' })).code).to.equal('EEXIST')
    } catch (error) {
      // Some kernels want it bound to a queue first.
      expect((error as Error).message).to.match(/(EOPNOTSUPP|ENOBUFS).*the AF_XDP socket is not bound/)
    }
    expect(errorOf(() => map.set(0, map)).message).to.match(/the fd is no AF_XDP socket/)
    expect(errorOf(() => map.set(2, fd)).message).to.match(/E2BIG.*there are 2 slots/)
    expect(errorOf(() => map.delete(2)).message).to.match(/EINVAL.*there are 2 slots/)
    expect(map.delete(0)).to.equal(true)
  })
})
