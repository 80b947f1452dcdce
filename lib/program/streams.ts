import { progStreamRead } from '../../syscalls/bpf-prog'
import type { Subject } from '../../syscalls/errno'
import { BPF_STREAM_STDERR, BPF_STREAM_STDOUT } from '../../syscalls/uapi-prog'
import { checkKnown } from '../features/names'
import { unsupportedOr } from '../features/unsupported'

/** What a program prints to, and what the kernel reports of it to. */
export type ProgramStream = 'stdout' | 'stderr'

const IDS: Readonly<Record<ProgramStream, number>> = { stdout: BPF_STREAM_STDOUT, stderr: BPF_STREAM_STDERR }
const NAMES = Object.keys(IDS)

/** More than the kernel keeps of a stream: BPF_STREAM_MAX_CAPACITY, 100,000 bytes. */
const ROOM = 1 << 17

/** Takes what is in a stream. Throws TypeError, UnsupportedError, KernelError. */
export function readStream(fd: number, stream: ProgramStream, subject: Subject): string {
  checkKnown('stream of a program', stream, NAMES)
  const into = new Uint8Array(ROOM)
  try {
    const length = progStreamRead(fd, IDS[stream], into, subject)
    return Buffer.from(into.buffer, 0, length).toString()
  } catch (error) {
    throw unsupportedOr(error, () => [['programStreams']])
  }
}
