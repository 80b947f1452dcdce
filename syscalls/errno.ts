import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'
import { hintFor } from './hints'

/** Names that Node's table lacks: 524 is the kernel's own ENOTSUPP, which no libc has a name for (linux/errno.h). */
const EXTRA: Readonly<Record<number, string>> = {
  53: 'EBADR',
  77: 'EBADFD',
  117: 'EUCLEAN',
  121: 'EREMOTEIO',
  126: 'ENOKEY',
  512: 'ERESTARTSYS',
  524: 'ENOTSUPP',
}

const TEXT: Readonly<Record<string, string>> = {
  EBADFD: 'file descriptor in bad state',
  ENOTSUPP: 'operation is not supported',
}

/** Aliases of one number: the name on the left is the one that the kernel's documentation uses. */
const PREFERRED = new Set(['EAGAIN', 'EOPNOTSUPP', 'EDEADLK'])

let names: Map<number, string> | undefined

function errnoNames(): Map<number, string> {
  if (names !== undefined) return names
  names = new Map(Object.entries(EXTRA).map(([number, name]) => [Number(number), name]))
  for (const [name, number] of Object.entries(constants.errno)) {
    if (!names.has(number) || PREFERRED.has(name)) names.set(number, name)
  }
  return names
}

/** The name of a positive errno: 'EINVAL'; of a number that has none, 'E999'. */
export function errnoName(errno: number): string {
  return errnoNames().get(errno) ?? `E${errno}`
}

function errnoText(errno: number, code: string): string {
  return TEXT[code] ?? getSystemErrorMap().get(-errno)?.[1] ?? 'the kernel refused'
}

/** What a call was made on or for; asked only when the call fails. */
export interface Subject {
  /** What messages call it: "HashMap#12 'ports'". */
  readonly description: string
  /** The likely cause, where the object knows more than the errno; undefined leaves it to the general table. */
  hint?(command: string, code: string): string | undefined
}

/** What a failing call was about; given by whoever made it, used only when it fails. */
export interface About {
  /** The system call: 'bpf' where not given. */
  readonly syscall?: string | undefined
  /** The kernel's name of the command: 'BPF_MAP_CREATE'. */
  readonly command: string
  readonly subject?: Subject | undefined
  /** The likely cause, where the caller knows more than the errno, and the subject does not tell one. */
  readonly hint?: string | undefined
  /** Entries that were done before the failure, in a call for many. */
  readonly done?: number | undefined
}

/** Gives an error fields that are read by their names, and not shown beside its message by console.log. */
export function hide(error: Error, fields: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(fields)) {
    Object.defineProperty(error, name, { value, enumerable: false, configurable: true, writable: true })
  }
}

/** A system call that failed, in the shape of Node's system errors. */
export class KernelError extends Error {
  override readonly name: string = 'KernelError'
  /** 'EINVAL'. Switch on this. */
  readonly code: string
  /** Negative, as Node has it: -22. */
  readonly errno: number
  /** 'bpf', 'mmap' ... */
  readonly syscall: string
  /** 'BPF_MAP_CREATE'. */
  declare readonly command: string
  /** What it was done to, where there was something. */
  declare readonly object: string | undefined
  /** The likely cause in words, where one is known. */
  declare readonly hint: string | undefined
  /** Of a call for many entries: how many were done before the one that failed. */
  declare readonly done: number | undefined
  readonly #about: About

  constructor(errno: number, about: About) {
    const code = errnoName(errno)
    const object = about.subject?.description
    const hint = about.subject?.hint?.(about.command, code) ?? about.hint ?? hintFor(about.command, code)
    const where = object === undefined ? about.command : `${about.command} on ${object}`
    const done = about.done === undefined ? '' : ` (${about.done} done before)`
    // libc's words for an errno ("argument list too long") mislead where the cause is known.
    super(`${code}: ${where}${done}: ${hint ?? errnoText(errno, code)}`)
    this.code = code
    this.errno = -errno
    this.syscall = about.syscall ?? 'bpf'
    // The message has them: where the error is printed, they are not to be told again.
    hide(this, { command: about.command, object, hint, done: about.done })
    this.#about = about
  }

  /** The same failure as one of many: `done` entries came before it. Its stack is this error's. */
  withDone(done: number): KernelError {
    return this.#changed({ ...this.#about, done })
  }

  /** The same failure with a cause that only the caller could tell. */
  withHint(hint: string): KernelError {
    const subject = this.object === undefined ? undefined : { description: this.object }
    return this.#changed({ ...this.#about, subject, hint })
  }

  /** The same failure with what it was a part of in front of its cause: 'filling a new inner map: the map is full'. */
  within(what: string): KernelError {
    return this.withHint(`${what}: ${this.hint ?? errnoText(-this.errno, this.code)}`)
  }

  /** All fields, for logs; those that are undefined are left out where it becomes text. */
  toJSON(): object {
    const { name, code, errno, syscall, command, object, hint, done } = this
    return { name, code, errno, syscall, command, object, hint, done }
  }

  /** @internal Another of its kind, with other circumstances. */
  protected remade(about: About): KernelError {
    return new KernelError(-this.errno, about)
  }

  #changed(about: About): KernelError {
    const error = this.remade(about)
    error.stack = `${error.name}: ${error.message}\n${(this.stack ?? '').split('\n').slice(1).join('\n')}`
    return error
  }
}

export function throwKernelError(errno: number, about: About): never {
  const error = new KernelError(errno, about)
  Error.captureStackTrace(error, throwKernelError)
  throw error
}
