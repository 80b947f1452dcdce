import { read, readSync } from 'node:fs'
import { Readable } from 'node:stream'
import { KernelError, type Subject } from '../../syscalls/errno'
import type { Handle } from '../handle/handle'

/** Reading what an iterator's program writes: each read(2) runs it on some more objects, and 0 bytes are the end. */

/** Bytes that one read asks for: what a program may write for one object, PAGE_SIZE << 3 (bpf_seq_read). */
const CHUNK = 32768

/** How often a read is made again that ended with EAGAIN: the kernel went through a million objects without a word. */
const MOST_AGAIN = 1000

/** Everything, to the end. Errors: E2BIG; EAGAIN after a thousand million objects without a word. */
export function readAll(handle: Handle, subject: Subject): Buffer {
  const chunks: Buffer[] = []
  for (let again = 0; ; ) {
    const chunk = Buffer.allocUnsafe(CHUNK)
    let count: number
    try {
      count = readSync(handle.fd, chunk)
    } catch (error) {
      if (isAgain(error) && ++again <= MOST_AGAIN) continue
      throw readError(error, subject)
    }
    if (count === 0) return Buffer.concat(chunks)
    chunks.push(chunk.subarray(0, count))
    again = 0
  }
}

/** The same as a stream on the thread pool, which owns the handle from now on: its end closes it. */
export function streamOf(handle: Handle, subject: Subject, encoding?: BufferEncoding): Readable {
  const next = (stream: Readable, again: number): void => {
    const chunk = Buffer.allocUnsafe(CHUNK)
    // The stream may be destroyed while the thread reads: the fd stays what it is until then.
    const lease = handle.retain()
    read(lease.fd, chunk, 0, CHUNK, null, (error, count) => {
      lease.release()
      if (stream.destroyed) return
      if (error === null) stream.push(count === 0 ? null : chunk.subarray(0, count))
      else if (isAgain(error) && again < MOST_AGAIN) next(stream, again + 1)
      else stream.destroy(readError(error, subject) as Error)
    })
  }
  return new Readable({
    ...(encoding === undefined ? {} : { encoding }),
    highWaterMark: CHUNK,
    read() {
      next(this, 0)
    },
    destroy(error, done) {
      handle.close()
      done(error)
    },
  })
}

function isAgain(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EAGAIN'
}

/** Node's own error as the library's, with its likely cause. */
function readError(error: unknown, subject: Subject): unknown {
  const { errno } = error as NodeJS.ErrnoException
  return typeof errno === 'number' ? new KernelError(-errno, { syscall: 'read', command: 'read', subject }) : error
}
