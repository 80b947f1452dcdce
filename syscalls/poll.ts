import { isMainThread } from 'node:worker_threads'
import { type Abi, abi, keepAlive, type Watch } from './abi'
import { LE, put64 } from './attr-common'
import { throwKernelError } from './errno'
import { checkFd, closeFd, duplicateFd } from './fd'
import { NR } from './numbers'

/**
 * Readiness from the event loop.
 *
 * koffi's own poll ends the process where it is given an fd that is bad, closed, not pollable or polled already. So the
 * library has one epoll fd, polled once, and everything else is added to it by epoll_ctl(2), whose refusals are errnos.
 * What is added is a duplicate of the caller's fd: it stays what it is when the caller closes his, or when that number
 * comes to mean something else, so that an event never reaches the wrong callback, and can always be taken off again.
 */

const EPOLL_CTL_ADD = 1
const EPOLL_CTL_DEL = 2
const EPOLL_CLOEXEC = 0o2000000
const EPOLLIN = 0x001

/** struct epoll_event: u32 events, u64 data; packed on x86-64 only (eventpoll.h), and i386 aligns a u64 to 4 anyway. */
const IS_PACKED = process.arch === 'x64' || process.arch === 'ia32'
const EVENT_BYTES = IS_PACKED ? 12 : 16
const DATA = IS_PACKED ? 4 : 8
/** How many events one call takes; the others come with the next turn of the event loop. */
const EVENTS = 64

interface Watched {
  readonly fd: number
  readonly callback: () => void
}

interface Loop {
  readonly seam: Abi
  readonly epollFd: number
  readonly events: DataView
  readonly address: number
  readonly watched: Map<number, Watched>
  watch: Watch | undefined
}

/** There while something is watched, and so is what keeps the process alive; module state, hence one a worker. */
let loop: Loop | undefined
let lastToken = 0

/**
 * Calls back whenever `fd` is readable, until `close()`: again and again as long as it stays so, which the end of a pipe
 * does for ever. It keeps the process alive, and the object behind the fd open.
 *
 * An exception of the callback becomes an uncaught exception of the process, and ends no watching.
 * Errors: EBADF, EPERM (regular files and other things that are always ready), EMFILE.
 *
 * A worker thread must not be ended by `terminate()` while it watches: no JavaScript runs then that could end koffi's
 * poll, and the process aborts. Its own `process.exit()` is safe.
 */
export function watchReadable(fd: number, callback: () => void): { close(): void } {
  checkFd(fd)
  if (typeof callback !== 'function') throw new TypeError(`callback must be a function, not ${typeof callback}`)
  const own = duplicateFd(fd)
  const token = ++lastToken
  let current: Loop
  try {
    current = loop ??= openLoop()
    try {
      control(current, EPOLL_CTL_ADD, own, token)
      current.watched.set(token, { fd: own, callback })
      current.watch ??= current.seam.watch(current.epollFd, () => dispatch(current))
    } catch (error) {
      current.watched.delete(token)
      endIfIdle(current)
      throw error
    }
  } catch (error) {
    closeFd(own)
    throw error
  }
  return { close: () => forget(current, token) }
}

function openLoop(): Loop {
  const seam = abi()
  const epollFd = seam.syscall(NR.epoll_create1, EPOLL_CLOEXEC, 0, 0)
  if (epollFd < 0) throwKernelError(-epollFd, { syscall: 'epoll_create1', command: 'epoll_create1' })
  endWithWorker()
  const events = new ArrayBuffer(EVENTS * EVENT_BYTES)
  return {
    seam,
    epollFd,
    events: new DataView(events),
    address: seam.addressOf(events),
    watched: new Map(),
    watch: undefined,
  }
}

let endsWithWorker = false

/** A worker that ends with koffi's poll open takes the whole process with it. */
function endWithWorker(): void {
  if (isMainThread || endsWithWorker) return
  endsWithWorker = true
  process.once('exit', () => {
    const current = loop
    for (const token of [...(current?.watched.keys() ?? [])]) if (current) forget(current, token)
  })
}

function control({ seam, epollFd }: Loop, operation: number, fd: number, token: number): void {
  const event = new ArrayBuffer(EVENT_BYTES)
  const view = new DataView(event)
  view.setUint32(0, EPOLLIN, LE)
  put64(view, DATA, token)
  const result = seam.syscall(NR.epoll_ctl, epollFd, operation, fd, seam.addressOf(event))
  keepAlive(event)
  if (result < 0) throwKernelError(-result, { syscall: 'epoll_ctl', command: 'epoll_ctl' })
}

/** Takes the events that are there, without waiting, and calls whom they are for. */
function dispatch(current: Loop): void {
  const { seam, epollFd, events, address, watched } = current
  // Through the timeout of 0: this is the event loop's thread. No signal mask, whose size is then not looked at.
  const count = seam.syscall(NR.epoll_pwait, epollFd, address, EVENTS, 0, 0, 8)
  // EINTR and the like: what is ready still is, and the event loop comes again.
  const tokens: number[] = []
  for (let i = 0; i < count; i++) tokens.push(Number(events.getBigUint64(i * EVENT_BYTES + DATA, LE)))
  for (const token of tokens) {
    // A callback may have ended the watching of one that comes after it.
    const entry = watched.get(token)
    if (entry !== undefined) callBack(entry.callback)
  }
}

function callBack(callback: () => void): void {
  try {
    callback()
  } catch (error) {
    // Thrown from here it would pass over the callbacks that follow.
    process.nextTick(() => {
      throw error
    })
  }
}

function forget(current: Loop, token: number): void {
  const entry = current.watched.get(token)
  if (entry === undefined) return
  current.watched.delete(token)
  try {
    // Before the fd is closed: as long as another fd of the same object is open, closing takes nothing off an epoll.
    control(current, EPOLL_CTL_DEL, entry.fd, token)
  } finally {
    closeFd(entry.fd)
    endIfIdle(current)
  }
}

function endIfIdle(current: Loop): void {
  if (current.watched.size > 0) return
  loop = undefined
  // In this order, as the seam demands: an event loop that comes to poll a closed fd aborts the process.
  current.watch?.stop()
  closeFd(current.epollFd)
}
