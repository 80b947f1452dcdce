import { type About, hide, KernelError } from '../../syscalls/errno'
import { BPF_F_INNER_MAP, BPF_F_MMAPABLE } from '../../syscalls/uapi-map'
import { questions } from './lazy'

/** A system call that failed because the kernel has not got what it was asked for: `features` made certain of it. */
export class UnsupportedError extends KernelError {
  override readonly name: string = 'UnsupportedError'
  /** What the kernel has not got, in words: 'maps of type arena'. */
  declare readonly feature: string
  /** The first Linux version with it: '6.9'. A kernel of that version or later was built without. */
  declare readonly since: string | undefined

  /** @internal `failure` is what the call came to. */
  constructor(errno: number, about: About, feature: string, since: string | undefined) {
    super(errno, about)
    hide(this, { feature, since })
  }

  override toJSON(): object {
    return { ...super.toJSON(), feature: this.feature, since: this.since }
  }

  protected override remade(about: About): UnsupportedError {
    return new UnsupportedError(-this.errno, about, this.feature, this.since)
  }
}

/** What a kernel says of what it does not know. */
const REFUSALS: ReadonlySet<string> = new Set(['EINVAL', 'ENOTSUPP', 'EOPNOTSUPP'])

/** A question in the words of `questionOf`. */
export type Words = [kind: string, name?: string, type?: string]

/**
 * The error to throw for one that a call has ended with: an UnsupportedError where it is certain that the kernel lacks
 * what one of the questions asks for, else the same. The kernel is asked only now. `refusals` are the codes that can mean
 * so.
 */
export function unsupportedOr(error: unknown, asked: () => readonly Words[], refusals = REFUSALS): unknown {
  if (!(error instanceof KernelError) || error instanceof UnsupportedError || !refusals.has(error.code)) return error
  const { ask, explained, questionOf } = questions()
  const lacking = asked()
    .map((words) => questionOf(...words))
    .find((question) => ask(question).has === false)
  if (lacking === undefined) return error
  const { errno, syscall, command, object, done } = error
  const subject = { description: object ?? lacking.words, hint: () => explained(lacking) }
  const unsupported = new UnsupportedError(-errno, { syscall, command, subject, done }, lacking.words, lacking.since)
  unsupported.stack = `${unsupported.name}: ${unsupported.message}\n${(error.stack ?? '').split('\n').slice(1).join('\n')}`
  return unsupported
}

/** What a map of this type, with these flags, may ask too much of a kernel by. */
export function mapQuestions(type: string, flags: number): readonly Words[] {
  const asked: Words[] = [['mapType', type]]
  if ((flags & BPF_F_INNER_MAP) !== 0) asked.push(['innerMapFlag'])
  if ((flags & BPF_F_MMAPABLE) !== 0) asked.push(['mmap'])
  return asked
}
