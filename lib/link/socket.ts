import type { Socket as DatagramSocket } from 'node:dgram'
import type { Server, Socket as StreamSocket } from 'node:net'
import { KernelError } from '../../syscalls/errno'
import { attachToSocket, detachFromSocket, type SocketProgramKind, socketCookie } from '../../syscalls/socket'
import { fdOf, type HasFd } from '../handle/fd-of'
import type { Attachment } from './attachment'
import { OwnAttachment, refusal } from './own'
import { checkProgram, type KnownProgram, type ProgramLike } from './program'

/** A socket of Node's, open and bound or connected; or its fd, where something else has made it. */
export type SocketLike = HasFd | StreamSocket | DatagramSocket | Server

const TYPES = { filter: ['socket_filter'], reuseport: ['sk_reuseport', 'socket_filter'] } as const

/**
 * Attaches a program of type socket_filter to a socket: it returns how many bytes of a packet the socket gets, 0 for none.
 * It takes the place of a filter that is there; `close()` of an attachment whose place was taken in this thread does not
 * touch the other. Without `close()` it stays as long as the socket does.
 *
 * Errors: TypeError (no socket; a program of another type); RangeError (a socket that is closed, or not bound yet); EPERM
 * (the filter is locked: SO_LOCK_FILTER); ENOMEM (net.core.optmem_max). Linux 3.19; knowing a socket again, 4.12.
 */
export function attachSocket(program: ProgramLike, socket: SocketLike): Attachment {
  return SocketAttachment.make(program, socket, 'filter')
}

/**
 * Attaches a program to the group of sockets that share a port (SO_REUSEPORT), by one of them: of type sk_reuseport, which
 * selects the socket from a REUSEPORT_SOCKARRAY, or of type socket_filter, which returns its index in the group. It takes
 * the place of one that is there. Without `close()` it stays as long as the group does.
 *
 * Errors: TypeError (no socket; a program of another type); RangeError (a socket that is closed, or not bound yet); EINVAL
 * (the socket is of no such group). Linux 4.5, sk_reuseport 4.19.
 */
export function attachReuseport(program: ProgramLike, socket: SocketLike): Attachment {
  return SocketAttachment.make(program, socket, 'reuseport')
}

class SocketAttachment extends OwnAttachment {
  readonly type: 'socket' | 'reuseport'
  readonly #kind: SocketProgramKind
  readonly #socket: SocketLike
  /** Of the socket: its fd may belong to another one by the time that it is needed. */
  readonly #cookie: bigint
  readonly #key: string
  readonly #mark = Symbol()

  private constructor(program: KnownProgram, socket: SocketLike, kind: SocketProgramKind, cookie: bigint) {
    super(program)
    this.type = kind === 'filter' ? 'socket' : kind
    this.#kind = kind
    this.#socket = socket
    this.#cookie = cookie
    this.#key = `${kind} ${cookie}`
    collected.register(this, { key: this.#key, mark: this.#mark })
  }

  static make(program: ProgramLike, socket: SocketLike, kind: SocketProgramKind): SocketAttachment {
    const fd = socketFd(socket)
    if (fd === undefined) throw new RangeError('the socket has no file descriptor: it is closed, or not bound yet')
    const cookie = socketCookie(fd)
    if (cookie === undefined) throw new TypeError(`fd ${fd} is no socket`)
    const known = checkProgram(program, nameOf(kind, fd), ...TYPES[kind])
    return OwnAttachment.begin(new SocketAttachment(known, socket, kind, cookie), known)
  }

  get description(): string {
    const fd = this.#fd()
    return fd === undefined ? `${this.type}, gone` : nameOf(this.#kind, fd)
  }

  protected set(program: KnownProgram, first: boolean): void {
    const fd = this.#fd()
    if (fd === undefined) throw new RangeError('the socket is closed')
    if (!first && last.get(this.#key) !== this.#mark) {
      throw refusal('ENOLINK', 'update', this.description, 'another attachment of this process has taken its place')
    }
    attachToSocket(fd, this.#kind, program.fd, { description: nameOf(this.#kind, fd), hint })
    last.set(this.#key, this.#mark)
  }

  protected undo(): void {
    const isLast = last.get(this.#key) === this.#mark
    forget({ key: this.#key, mark: this.#mark })
    const fd = this.#fd()
    if (fd === undefined || !isLast) return
    try {
      detachFromSocket(fd, this.#kind, { description: nameOf(this.#kind, fd), hint })
    } catch (error) {
      // Somebody else has removed it.
      if (!(error instanceof KernelError) || error.code !== 'ENOENT') throw error
    }
  }

  protected check(program: ProgramLike): KnownProgram {
    return checkProgram(program, this.description, ...TYPES[this.#kind])
  }

  /** The socket's, as long as it is the same. */
  #fd(): number | undefined {
    let fd: number | undefined
    try {
      fd = socketFd(this.#socket)
    } catch {
      // An object that has closed its socket has no fd any more, and may say so by an error, or by a number that is none.
      return undefined
    }
    return fd === undefined || socketCookie(fd) !== this.#cookie ? undefined : fd
  }
}

/**
 * Which attachment a socket got last, by kind and cookie: the kernel does not tell which program a socket has, and detaches
 * whichever it is. One whose program was replaced by another of this thread has nothing left to undo.
 */
const last = new Map<string, symbol>()

interface Entry {
  readonly key: string
  readonly mark: symbol
}

function forget({ key, mark }: Entry): void {
  if (last.get(key) === mark) last.delete(key)
}

/** Those that were left to their sockets. */
const collected = new FinalizationRegistry<Entry>(forget)

function nameOf(kind: SocketProgramKind, fd: number): string {
  return kind === 'filter' ? `socket fd ${fd}` : `reuseport group of socket fd ${fd}`
}

function hint(command: string, code: string): string | undefined {
  if (code === 'EPERM') return 'the filter of this socket is locked (SO_LOCK_FILTER)'
  if (code === 'EINVAL' && command.includes('REUSEPORT')) {
    return 'the socket shares its port with no other: SO_REUSEPORT is set before it is bound'
  }
  return undefined
}

/** Node's sockets have no public fd. */
interface WithHandle {
  readonly fd?: unknown
}

/** The fd of a socket that is open; undefined where it has none yet, or no longer. */
function socketFd(socket: SocketLike): number | undefined {
  if (typeof socket === 'object' && socket !== null && !('fd' in socket)) {
    const fd = handleOf(socket)?.fd
    return typeof fd === 'number' && fd > 0 ? fd : undefined
  }
  return fdOf(socket as HasFd, 'socket', 'a socket of Node, or the fd of one')
}

function handleOf(socket: StreamSocket | DatagramSocket | Server): WithHandle | undefined {
  // node:dgram keeps it behind a symbol: its property _handle is there, and warns (DEP0112).
  const state = Object.getOwnPropertySymbols(socket).find((symbol) => symbol.description === 'state symbol')
  if (state !== undefined) {
    return (socket as unknown as Record<symbol, { readonly handle?: WithHandle | null }>)[state]?.handle ?? undefined
  }
  const { _handle } = socket as unknown as { readonly _handle?: WithHandle | null }
  return _handle ?? undefined
}
