import { closeSync, existsSync, openSync, promises, readdirSync } from 'node:fs'
import { constants } from 'node:os'
import { createContext, runInContext } from 'node:vm'
import { expect } from 'chai'
import { type Abi, abi } from '../../syscalls'
import { LE } from '../../syscalls/attr-common'
import { NR } from '../../syscalls/numbers'
import { SCALE } from '../support/compiled'
import { type Fifo, openFifo } from '../support/fifo'
import { collect } from '../support/gc'
import { eventually, needs } from '../support/kernel'

const { EBADF, EINVAL, EPERM } = constants.errno
const NO_FD = 1_000_000

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('the seam over libc', () => {
  let libc: Abi

  before(function () {
    needs(this, process.platform === 'linux', 'Linux')
    libc = abi()
  })

  /** What koffi would wrap, round or take for 0. */
  const NO_REGISTERS: unknown[] = [
    -1,
    1.5,
    Number.NaN,
    2 ** 53,
    -(2 ** 31),
    Number.POSITIVE_INFINITY,
    '7',
    7n,
    null,
    {},
  ]

  it('checks every argument before the call', async () => {
    for (const bad of NO_REGISTERS as number[]) {
      for (let place = 0; place < 6; place++) {
        const args = Array.from({ length: 6 }, (_, i) => (i === place ? bad : NO_FD))
        const [a, b, c, d, e, f] = args as [number, number, number, number, number, number]
        const what = `${String(bad)} in place ${place}`
        expect(() => libc.syscall(NR.close, a, b, c, d, e, f), what).to.throw(RangeError, 'cannot be a system call')
        if (place < 3) expect(() => libc.syscall(NR.close, a, b, c), what).to.throw(RangeError)
        const error = await libc.syscallAsync(NR.close, args, []).catch((error: unknown) => error)
        expect(error, `${what}, asynchronous`).to.be.instanceOf(RangeError)
      }
    }
    // The largest that is taken: an fd that does not exist, of which the kernel sees 32 bits.
    expect(libc.syscall(NR.close, 2 ** 53 - 1, 0, 0)).to.equal(-EBADF)
  })

  it('answers with -errno, also of six arguments', () => {
    expect(libc.syscall(NR.close, NO_FD, 0, 0)).to.equal(-EBADF)
    expect(libc.syscall(NR.close, NO_FD, 0, 0, 0, 0, 0)).to.equal(-EBADF)
    expect(libc.syscall(NR.epoll_create1, 0x7fffffff, 0, 0)).to.equal(-EINVAL)
    // mmap(2) fails with 2^64 - 1, which is the -1 of every other call.
    expect(libc.syscall(NR.mmap, 0, 4096, 1, 1, NO_FD, 0)).to.equal(-EBADF)
    expect(libc.syscall(NR.mmap, 0, 0, 1, 0x22, 0xffffffff, 0)).to.equal(-EINVAL)
  })

  it('answers with the errno of the call, whatever else libc does before and after', () => {
    for (let i = 0; i < 300; i++) {
      existsSync('/no/such/file')
      expect(libc.syscall(NR.close, NO_FD, 0, 0)).to.equal(-EBADF)
      expect(readdirSync('/proc/self/task').length).to.be.greaterThan(0)
      const garbage = new Uint8Array(100_000)
      expect(libc.syscall(NR.epoll_create1, 0x7fffffff, 0, 0)).to.equal(-EINVAL)
      expect(garbage[0]).to.equal(0)
    }
  })

  it('answers with the errno of its own call on the thread pool', async () => {
    const calls = Array.from({ length: 300 }, (_, i) => {
      existsSync('/no/such/file')
      const [nr, argument] = i % 2 === 0 ? [NR.close, NO_FD] : [NR.epoll_create1, 0x7fffffff]
      return libc.syscallAsync(nr, [argument, 0, 0], [])
    })
    const expected = Array.from({ length: 300 }, (_, i) => (i % 2 === 0 ? -EBADF : -EINVAL))
    expect(await Promise.all(calls)).to.deep.equal(expected)
  })

  describe('addressOf', () => {
    it('is where the bytes are', () => {
      // The kernel writes there: epoll_pwait's answer is seen in the buffer, and nothing beside it is touched.
      const buffer = new ArrayBuffer(64)
      const address = libc.addressOf(buffer)
      expect(address).to.be.within(4096, 2 ** 53)
      expect(libc.addressOf(buffer)).to.equal(address)
      const file = openSync(__filename, 'r')
      const epoll = libc.syscall(NR.epoll_create1, 0, 0, 0)
      try {
        expect(libc.syscall(NR.epoll_ctl, epoll, 1, file, address)).to.equal(-EPERM)
        expect(libc.syscall(NR.epoll_ctl, epoll, 1, file, 0)).to.equal(-constants.errno.EFAULT)
      } finally {
        libc.syscall(NR.close, epoll, 0, 0)
        closeSync(file)
      }
    })

    it('refuses what has none: empty, detached, and what could shrink', () => {
      const detached = new ArrayBuffer(8)
      structuredClone(detached, { transfer: [detached] })
      expect(() => libc.addressOf(new ArrayBuffer(0))).to.throw(RangeError, 'empty or detached')
      expect(() => libc.addressOf(detached)).to.throw(RangeError, 'empty or detached')
      const Resizable = ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer
      expect(() => libc.addressOf(new Resizable(8, { maxByteLength: 16 }))).to.throw(RangeError, 'resizable')
    })

    it('refuses what is no ArrayBuffer', () => {
      const others = [new Uint8Array(8), new SharedArrayBuffer(8), Buffer.alloc(8), 5, null, undefined, 'text', {}]
      others.push(Object.create(ArrayBuffer.prototype) as object)
      for (const other of others) expect(() => libc.addressOf(other as ArrayBuffer)).to.throw(TypeError)
    })

    it('takes an ArrayBuffer of another context', () => {
      const foreign = runInContext('new ArrayBuffer(8)', createContext()) as ArrayBuffer
      expect(foreign).not.to.be.instanceOf(ArrayBuffer)
      expect(libc.addressOf(foreign)).to.be.greaterThan(0)
    })
  })

  it('refuses to look at what is no mapping', () => {
    for (const address of [0, -1, 1.5, Number.NaN, 2 ** 53]) {
      expect(() => libc.viewOf(address, 8), String(address)).to.throw(RangeError)
    }
    for (const length of [0, -1, 1.5, Number.NaN, 2 ** 53]) {
      expect(() => libc.viewOf(4096, length), String(length)).to.throw(RangeError)
    }
  })

  describe('the thread pool', () => {
    let epoll: number
    let fifo: Fifo

    beforeEach(() => {
      fifo = openFifo()
      epoll = libc.syscall(NR.epoll_create1, 0, 0, 0)
      const event = new ArrayBuffer(16)
      new DataView(event).setUint32(0, 1, LE) // EPOLLIN
      expect(libc.syscall(NR.epoll_ctl, epoll, 1, fifo.reader, libc.addressOf(event))).to.equal(0)
      expect(event.byteLength).to.equal(16)
    })
    afterEach(() => {
      libc.syscall(NR.close, epoll, 0, 0)
      fifo.close()
    })

    /** A call that ends when something is written to the fifo, and by itself after some seconds. */
    const waiting = (events: ArrayBuffer) =>
      libc.syscallAsync(NR.epoll_pwait, [epoll, libc.addressOf(events), 1, 5000 / SCALE, 0, 8], [events])

    it('takes any number of calls: koffi refuses more than 256', async () => {
      const calls = Array.from({ length: 1000 }, () => libc.syscallAsync(NR.close, [NO_FD, 0, 0], []))
      expect(new Set(await Promise.all(calls))).to.deep.equal(new Set([-EBADF]))
    })

    it('stays open for others', async () => {
      let done = 0
      const calls = Array.from({ length: 10 }, () => waiting(new ArrayBuffer(16)).then(() => done++))
      // With all threads of the pool taken this would wait for the calls to end by themselves.
      await promises.stat('/proc/self')
      expect(done).to.equal(0)
      fifo.write('go')
      await Promise.all(calls)
    })

    it('keeps what a call writes to until its end, and no longer', async () => {
      let ended = 0
      let gone = 0
      const collected = new FinalizationRegistry(() => gone++)
      // A function of its own: nothing of it is left on the stack.
      const start = () => {
        for (let i = 0; i < 4; i++) {
          const events = new ArrayBuffer(4096)
          collected.register(events, i)
          void waiting(events).then(() => ended++)
        }
      }
      start()
      // Two of them run, two wait for their turn.
      for (let i = 0; i < 5; i++) {
        await turn()
        collect()
        await turn()
      }
      expect([ended, gone]).to.deep.equal([0, 0])
      fifo.write('go')
      await eventually(() => ended === 4, 'the end of the calls')
      await eventually(() => {
        collect()
        return gone === 4
      }, 'the end of the buffers')
    })
  })
})
