import { closeSync, fstatSync, openSync, readdirSync, readlinkSync } from 'node:fs'
import { expect } from 'chai'
import { closeFd, duplicateFd, KernelError, mapCreate, progLoad, progTestRun, watchReadable } from '../../syscalls'
import { LE } from '../../syscalls/attr-common'
import { NR } from '../../syscalls/numbers'
import * as uapi from '../../syscalls/uapi'
import { inChildAsync, type There } from '../support/child'
import { type Fifo, openFifo } from '../support/fifo'
import { eventually, requireRoot } from '../support/kernel'
import { writingToRingBuffer } from '../support/programs'
import { recorded } from '../support/recording-abi'

type Poll = typeof import('../../syscalls/poll')
type Fifos = typeof import('../support/fifo')

/** Both in one object, as a child needs it. */
interface Modules {
  watchReadable: Poll['watchReadable']
  openFifo: Fifos['openFifo']
}

/** The fds of epolls of this process; node's own are among them. */
function epolls(): string[] {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:[eventpoll]'
    } catch {
      return false
    }
  })
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('watchReadable', () => {
  let fifo: Fifo
  const watches: { close(): void }[] = []
  const watch = (fd: number, callback: () => void) => {
    const handle = watchReadable(fd, callback)
    watches.push(handle)
    return handle
  }

  beforeEach(() => {
    fifo = openFifo()
  })
  afterEach(() => {
    for (const handle of watches.splice(0)) handle.close()
    fifo.close()
  })

  it('calls back whenever there is something to read', async () => {
    const read: string[] = []
    watch(fifo.reader, () => read.push(fifo.read()))
    for (const text of ['one', 'two', 'three']) {
      fifo.write(text)
      await eventually(() => read.at(-1) === text, `${text} is read`)
    }
    expect(read).to.deep.equal(['one', 'two', 'three'])
  })

  it('calls back again as long as nobody has read', async () => {
    let calls = 0
    fifo.write('unread')
    watch(fifo.reader, () => calls++)
    await eventually(() => calls > 3, 'four calls')
  })

  it('is silent where nothing is to be read, and after close, which may be called twice', async () => {
    let calls = 0
    const handle = watch(fifo.reader, () => calls++)
    for (let i = 0; i < 20; i++) await turn()
    expect(calls).to.equal(0)
    handle.close()
    handle.close()
    fifo.write('late')
    for (let i = 0; i < 20; i++) await turn()
    expect(calls).to.equal(0)
  })

  it('has one epoll for all, and none for nothing', async () => {
    const before = epolls().length
    const handles = [1, 2, 3].map(() => watch(fifo.reader, () => fifo.read()))
    expect(epolls()).to.have.lengthOf(before + 1)
    for (const handle of handles) handle.close()
    expect(epolls()).to.have.lengthOf(before)
    // And again, on an fd of perhaps the same number.
    watch(fifo.reader, () => fifo.read())
    expect(epolls()).to.have.lengthOf(before + 1)
  })

  it('tells the watched apart, and each callback may end any watching', async () => {
    const fifos = [openFifo(), openFifo(), openFifo()]
    try {
      const called: number[] = []
      const handles = fifos.map((one, i) =>
        watch(one.reader, () => {
          called.push(i)
          for (const handle of handles) handle.close()
        }),
      )
      // All three are ready in one turn: whoever is called first ends the others.
      for (const one of fifos) one.write('x')
      await eventually(() => called.length > 0, 'the first call')
      for (let i = 0; i < 20; i++) await turn()
      expect(called).to.have.lengthOf(1)
    } finally {
      for (const one of fifos) one.close()
    }
  })

  it('takes the same fd twice', async () => {
    const called = new Set<string>()
    const first = watch(fifo.reader, () => called.add('first'))
    watch(fifo.reader, () => called.add('second'))
    fifo.write('x')
    await eventually(() => called.size === 2, 'both')
    first.close()
    called.clear()
    await eventually(() => called.has('second'), 'the other goes on')
    expect([...called]).to.deep.equal(['second'])
  })

  it('refuses with an error what koffi would end the process for', () => {
    const before = epolls().length
    const file = openSync(__filename, 'r')
    try {
      const codes = [file, 1_000_000].map((fd) => {
        try {
          watch(fd, () => {})
          return 'taken'
        } catch (error) {
          return error instanceof KernelError ? `${error.code} ${error.syscall}` : String(error)
        }
      })
      expect(codes).to.deep.equal(['EPERM epoll_ctl', 'EBADF fcntl'])
    } finally {
      closeSync(file)
    }
    for (const fd of [0, -1, 1.5, Number.NaN, 2 ** 31])
      expect(() => watch(fd, () => {}), String(fd)).to.throw(RangeError)
    expect(() => watch('3' as unknown as number, () => {})).to.throw(TypeError)
    expect(() => watch(fifo.reader, undefined as unknown as () => void)).to.throw(TypeError, 'callback')
    expect(epolls()).to.have.lengthOf(before)
  })

  it('goes on when the fd is closed first, and ends without harm to whoever has the number then', async () => {
    let calls = 0
    const one = openFifo()
    const handle = watch(one.reader, () => {
      calls++
      handle.close()
    })
    closeSync(one.reader)
    const reused = duplicateFd(fifo.reader)
    expect(reused).to.equal(one.reader)
    try {
      one.write('x')
      await eventually(() => calls === 1, 'the event of what was watched')
      expect(fstatSync(reused).isFIFO()).to.equal(true)
    } finally {
      closeFd(reused)
      closeSync(one.writer)
    }
  })

  it('unpacks struct epoll_event as this machine has it', async () => {
    await recorded(async (recording) => {
      let calls = 0
      const handle = watchReadable(fifo.reader, () => calls++)
      fifo.write('x')
      await eventually(() => calls > 0, 'a call')
      handle.close()
      const wait = recording.calls.find(({ args, result }) => args[2] === 64 && (result ?? 0) > 0)
      const size = process.arch === 'x64' || process.arch === 'ia32' ? 12 : 16
      const bytes = recording.bytesAt(wait?.args[1] ?? 0, size)
      // EPOLLIN; then the number that stands for the watching, small and not 0.
      const view = new DataView(bytes.buffer, bytes.byteOffset, size)
      expect(view.getUint32(0, LE)).to.equal(1)
      expect(Number(view.getBigUint64(size - 8, LE))).to.be.within(1, 1_000_000)
      expect(wait?.args.slice(2, 4), 'events at most, and a timeout of 0').to.deep.equal([64, 0])
    })
  })

  it('ends the poll before its fd is closed, and takes an fd off before that is', () => {
    recorded((recording) => {
      const order: string[] = []
      const { watch, syscall } = recording.abi
      recording.abi.watch = (fd, callback) => {
        const inner = watch(fd, callback)
        return {
          ...inner,
          stop() {
            order.push('poll')
            inner.stop()
          },
        }
      }
      let epoll = -1
      recording.abi.syscall = (nr, ...args) => {
        const result = syscall(nr, ...args)
        if (nr === NR.epoll_create1) epoll = result
        if (nr === NR.epoll_ctl) order.push(args[1] === 1 ? 'on' : 'off')
        if (nr === NR.close) order.push(args[0] === epoll ? 'close epoll' : 'close duplicate')
        return result
      }
      watchReadable(fifo.reader, () => {}).close()
      expect(order).to.deep.equal(['on', 'off', 'close duplicate', 'poll', 'close epoll'])
    })
  })

  it('hears of a ring buffer', async function () {
    requireRoot(this)
    const ring = mapCreate({ map_type: uapi.BPF_MAP_TYPE_RINGBUF, key_size: 0, value_size: 0, max_entries: 65536 })
    const prog_type = uapi.BPF_PROG_TYPE_SOCKET_FILTER
    const program = progLoad({ prog_type, insns: writingToRingBuffer(ring), license: 'GPL' })
    try {
      let calls = 0
      const handle = watch(ring, () => {
        calls++
        handle.close()
      })
      for (let i = 0; i < 20; i++) await turn()
      expect(calls).to.equal(0)
      progTestRun({ prog_fd: program, data_in: new Uint8Array(64) })
      await eventually(() => calls === 1, 'the call')
    } finally {
      closeFd(program)
      closeFd(ring)
    }
  })

  describe('in a process of its own', () => {
    async function output(run: (there: There) => unknown) {
      const { stdout, stderr, status, signal } = await inChildAsync(run)
      return { lines: stdout.split('\n').filter(Boolean), status, signal, stderr }
    }

    it('makes what a callback throws an uncaught exception, and calls the others, and calls again', async () => {
      const { lines, status, stderr } = await output(({ load }) => {
        const { watchReadable } = load<Modules>('syscalls/poll')
        const { openFifo } = load<Modules>('spec/support/fifo')
        const uncaught: string[] = []
        process.on('uncaughtException', (error) => uncaught.push(error.message))
        const fifos = [openFifo(), openFifo()]
        let good = 0
        const bad = watchReadable(fifos[0]?.reader ?? 0, () => {
          throw new Error('from the callback')
        })
        const other = watchReadable(fifos[1]?.reader ?? 0, () => {
          good++
          if (uncaught.length < 3 || good < 3) return
          bad.close()
          other.close()
          console.log(new Set(uncaught).size, uncaught[0])
        })
        for (const fifo of fifos) fifo.write('x')
      })
      expect({ lines, status }, stderr).to.deep.equal({ lines: ['1 from the callback'], status: 0 })
    })

    it('ends the process where nobody catches it', async () => {
      const { stderr, status } = await output(({ load }) => {
        const { watchReadable } = load<Modules>('syscalls/poll')
        const fifo = load<Modules>('spec/support/fifo').openFifo()
        watchReadable(fifo.reader, () => {
          throw new Error('from the callback')
        })
        fifo.write('x')
      })
      expect(status).to.equal(1)
      expect(stderr).to.include('Error: from the callback')
    })

    it('keeps the process alive while something is watched, and no longer', async () => {
      const { lines, status, stderr } = await output(({ load }) => {
        const { watchReadable } = load<Modules>('syscalls/poll')
        const fifo = load<Modules>('spec/support/fifo').openFifo()
        const handle = watchReadable(fifo.reader, () => {
          console.log('called')
          handle.close()
        })
        // Does not keep the process alive by itself.
        setTimeout(() => fifo.write('x'), 100).unref()
      })
      expect({ lines, status }, stderr).to.deep.equal({ lines: ['called'], status: 0 })
    })

    it('goes on when nobody has what the seam itself gave', async () => {
      const { lines, status, stderr } = await output(({ load }) => {
        const { abi } = load<typeof import('../../syscalls')>('syscalls')
        const { NR } = load<typeof import('../../syscalls/numbers')>('syscalls/numbers')
        const fifo = load<Modules>('spec/support/fifo').openFifo()
        const seam = abi()
        const epoll = seam.syscall(NR.epoll_create1, 0, 0, 0)
        const event = new ArrayBuffer(16)
        new DataView(event).setUint8(0, 1)
        seam.syscall(NR.epoll_ctl, epoll, 1, fifo.reader, seam.addressOf(event))
        console.log(event.byteLength)
        ;(() => {
          seam.watch(epoll, () => {
            console.log('called')
            process.exit()
          })
        })()
        let rounds = 0
        const timer = setInterval(() => {
          globalThis.gc?.()
          if (++rounds < 5) return
          clearInterval(timer)
          fifo.write('x')
          // Keeps the process for a while: a poll that is gone would let it end as if all were well.
          setTimeout(() => console.log('not called'), 2000)
        }, 5)
      })
      expect({ lines, status }, stderr).to.deep.equal({ lines: ['16', 'called'], status: 0 })
    })

    it('goes on when the handle is collected', async () => {
      const { lines, status, stderr } = await output(({ load }) => {
        const { watchReadable } = load<Modules>('syscalls/poll')
        const fifo = load<Modules>('spec/support/fifo').openFifo()
        ;(() => {
          watchReadable(fifo.reader, () => {
            console.log('called')
            process.exit()
          })
        })()
        let rounds = 0
        const timer = setInterval(() => {
          const { gc } = globalThis
          gc?.()
          if (++rounds < 5) return
          clearInterval(timer)
          fifo.write('x')
        }, 5)
      })
      expect({ lines, status }, stderr).to.deep.equal({ lines: ['called'], status: 0 })
    })

    it('survives process.exit() while watching, also from a callback', async () => {
      const { status, signal } = await output(({ load }) => {
        const { watchReadable } = load<Modules>('syscalls/poll')
        const fifo = load<Modules>('spec/support/fifo').openFifo()
        watchReadable(fifo.reader, () => process.exit(7))
        fifo.write('x')
      })
      expect({ status, signal }).to.deep.equal({ status: 7, signal: null })
    })

    it('works in worker threads, each with its own, and outlives their ends', async () => {
      const { lines, status, stderr } = await output(({ load }) => {
        const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads')
        const { watchReadable } = load<Modules>('syscalls/poll')
        const fifo = load<Modules>('spec/support/fifo').openFifo()
        const { LOADER } = load<{ LOADER: string }>('spec/support/compiled')
        const workerData = { poll: require.resolve(`${process.cwd()}/syscalls/poll`), reader: fifo.reader }
        const code = `
          ${LOADER}
          const { workerData, parentPort } = require('node:worker_threads')
          const { watchReadable } = require(workerData.poll)
          let calls = 0
          watchReadable(workerData.reader, () => {
            // What nobody reads stays readable: the worker ends itself amid its calls.
            if (++calls === 3) process.exit()
          })
          parentPort.postMessage('watching')`
        const handle = watchReadable(fifo.reader, () => {})
        const worker = new Worker(code, { eval: true, workerData })
        worker.on('error', (error) => console.log(String(error)))
        worker.on('message', () => fifo.write('x'))
        worker.on('exit', () => {
          console.log('the worker was called')
          handle.close()
          const again = watchReadable(fifo.reader, () => {
            again.close()
            console.log('and so was the main thread')
            const { readdirSync, readlinkSync } = require('node:fs') as typeof import('node:fs')
            const fifos = readdirSync('/proc/self/fd').filter((fd) => {
              try {
                return readlinkSync(`/proc/self/fd/${fd}`).includes('/fifo')
              } catch {
                return false
              }
            })
            console.log(`${fifos.length} fds`)
          })
        })
      })
      // Both ends of the fifo and no duplicate of any worker's.
      const expected = ['the worker was called', 'and so was the main thread', '2 fds']
      expect({ lines, status }, stderr).to.deep.equal({ lines: expected, status: 0 })
    })
  })
})
