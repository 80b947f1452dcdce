import { type InspectOptions, inspect } from 'node:util'
import { objGet } from '../../syscalls/bpf'
import { progBindMap, progInfo, progOpenById } from '../../syscalls/bpf-prog'
import type { Subject } from '../../syscalls/errno'
import { checkFd, checkKind } from '../../syscalls/fd'
import type { AttachTypeName } from '../../syscalls/uapi-names'
import { type DisassembleOptions, disassemble } from '../asm'
import { fdOf, type HasFd } from '../handle/fd-of'
import { Handle } from '../handle/handle'
import { Pinning } from '../handle/pin'
import { checkU32 } from '../map/attributes'
import { type OpenedMap, openMap } from '../map/open'
import { compiled, type ProgramInfo, type ProgramStats, programInfo, statsOf, translated } from './info'
import { load, loadAsync } from './load'
import { type ProgramTypeLabel, programTypeLabel } from './names'
import { type Loading, loadingOf, type ProgramOptions, programLabel } from './options'
import {
  fill,
  isPreparedFor,
  outgrown,
  type Prepared,
  prepare,
  type RunOptions,
  type RunResult,
  resultOf,
  runOnce,
  runOnceAsync,
  withRoom,
} from './run'
import { ProgramRunner } from './runner'
import { type ProgramStream, readStream } from './streams'

/** Everything that a program object is made of. */
interface ProgramCore {
  readonly handle: Handle
  readonly type: ProgramTypeLabel
  readonly name: string
  readonly id: number | undefined
  readonly log: string
  readonly expectedAttachType: AttachTypeName | undefined
}

/** A program of the kernel, and the one owner of its fd: `close()` it, or declare it with `using`. */
export class Program implements Disposable {
  readonly type: ProgramTypeLabel
  /** '' for none. */
  readonly name: string
  /** Where it was loaded to be attached, as far as that was said; the kernel does not tell it of others. */
  readonly expectedAttachType: AttachTypeName | undefined
  /** What the verifier said when it was loaded with a `logLevel`; '' without. */
  readonly log: string
  /** @internal The owner of the fd. */
  readonly handle: Handle
  readonly #subject: Subject
  #id: number | undefined
  readonly #pinning = new Pinning()
  /** The last run, which the next may be like. */
  #prepared: Prepared | undefined

  /** @internal */
  constructor(core: ProgramCore) {
    if (!(core?.handle instanceof Handle)) {
      throw new TypeError('Program has no public constructor: Program.load({ ... }) loads one')
    }
    this.type = core.type
    this.name = core.name
    this.log = core.log
    this.expectedAttachType = core.expectedAttachType
    this.handle = core.handle
    this.#subject = new ProgramSubject(this)
    if (core.id !== undefined) this.#know(core.id)
  }

  /**
   * Loads a program: the verifier looks at all that it may do, and the kernel compiles it. One that is refused is looked at
   * once more, for the verifier's log. The caller owns the program.
   *
   * Errors: VerifierError (with the log; code EACCES, EINVAL, E2BIG ...), UnsupportedError (the kernel has no such
   * programs), EPERM (CAP_BPF, with CAP_NET_ADMIN or CAP_PERFMON for many types; lockdown), EINVAL (options that do not go
   * together), ENOMEM. TypeError, RangeError: before the kernel is asked. Linux 3.18; names from 4.15 on.
   */
  static load(options: ProgramOptions): Program {
    const loading = loadingOf(options)
    return ofLoaded(loading, load(loading))
  }

  /**
   * The same off the event loop, for programs that the verifier takes long for. The library's own maps and programs that
   * it names may be closed meanwhile; what has another owner, an fd as a number too, has to stay open until it is loaded.
   */
  static async loadAsync(options: ProgramOptions): Promise<Program> {
    const loading = loadingOf(options)
    return ofLoaded(loading, await loadAsync(loading, options))
  }

  /** Opens a program by its id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM. Linux 4.13. */
  static fromId(id: number): Program {
    checkU32('id', id, 1)
    const description = `Program#${id}`
    return Program.adopt(new Handle(progOpenById(id, { description }), description))
  }

  /** Opens the program pinned at a path. Errors: ENOENT, EACCES; TypeError where it is no program. Linux 4.4. */
  static fromPin(path: string): Program {
    return Program.adopt(new Handle(objGet(path, 0, { description: path }), `Program pinned at ${path}`), path)
  }

  /**
   * Takes over an fd that this process has, inherited or received. From then on the program owns it; where the fd is
   * refused (TypeError, EBADFD), it stays the caller's.
   */
  static fromFd(fd: number): Program {
    checkFd(fd)
    const core = coreOf(fd, `fd ${fd}`)
    return new Program({ ...core, handle: new Handle(fd, programLabel(core.name, core.id)) })
  }

  /** @internal Wraps the handle of a program, or closes it where it is none. */
  static adopt(handle: Handle, called?: string): Program {
    try {
      return new Program({ ...coreOf(handle.fd, handle.what, called), handle })
    } catch (error) {
      handle.close()
      throw error
    }
  }

  /** The file descriptor, which stays this program's own. Throws ClosedError once it is closed. */
  get fd(): number {
    return this.handle.fd
  }

  get closed(): boolean {
    return this.handle.closed
  }

  /** The kernel's number for the program, the same in every process. Asked for once. */
  get id(): number {
    if (this.#id !== undefined) return this.#id
    return this.#know(progInfo(this.handle.fd, {}, { description: programLabel(this.name) }).id)
  }

  #know(id: number): number {
    this.#id = id
    this.handle.what = programLabel(this.name, id)
    return id
  }

  /** What the kernel tells of the program now. Errors: none of its own (BPF_OBJ_GET_INFO_BY_FD, Linux 4.13). */
  info(): ProgramInfo {
    return programInfo(this.handle.fd, this.#subject)
  }

  /** What it did while somebody kept statistics (`enableStats`). Linux 5.1. */
  get stats(): ProgramStats {
    return statsOf(progInfo(this.handle.fd, {}, this.#subject))
  }

  /**
   * The maps that it uses, each closed when its step ends: `openMap({ id: map.id })` gives one to keep. Needs
   * CAP_SYS_ADMIN. Errors: EPERM. Linux 4.15.
   */
  *maps(): Generator<OpenedMap, void, undefined> {
    for (const id of this.info().mapIds) {
      const map = openMap({ id })
      try {
        yield map
      } finally {
        map.close()
      }
    }
  }

  /**
   * The instructions as text, as the kernel has rewritten them: maps are ids, calls lead into the kernel. Empty where it
   * does not show them (CAP_BPF, CAP_PERFMON). Linux 4.13.
   */
  instructions(options: Omit<DisassembleOptions, 'xlated'> = {}): string {
    return disassemble(this.xlated(), { ...options, xlated: true })
  }

  /** The same as bytes, 8 an instruction. */
  xlated(): Uint8Array {
    return translated(this.handle.fd, this.#subject)
  }

  /** The machine code that the kernel made of it; empty where there is none, or it is not shown. Linux 4.13. */
  jited(): Uint8Array {
    return compiled(this.handle.fd, this.#subject)
  }

  /**
   * Runs the program on a packet or context of your own, without attaching it: for tests and measurements. What it writes
   * to maps is written. Where the packet grows by more than there was room for, it is run a second time (`dataOutSize`).
   *
   * Errors: ENOTSUPP (the kernel cannot run programs of this type by itself), EINVAL (of the packet or the context), ENXIO
   * (no such CPU), EPERM. TypeError, RangeError: before the kernel is asked; RangeError also where the packet has grown
   * again in the second run. Linux 4.12; `raw_tracepoint` 5.10, `sk_lookup` and `syscall` 5.14, `netfilter` 6.4.
   */
  run<C = Uint8Array>(options: RunOptions<C> = {}): RunResult<C> {
    let way = this.#wayOf(options, 'now')
    // Read only now: a codec of the context may have closed the program.
    const { fd } = this.handle
    if (!runOnce(way, fd)) {
      way = withRoom(way)
      if (!runOnce(way, fd)) throw outgrown(way.calls)
    }
    return this.#resultOf(way, options.ctx)
  }

  /**
   * The same off the event loop, for a `repeat` in the millions. Two calls of this library are made at a time in this way,
   * others wait for their turn; none can be called back, and the process ends when they have ended. The program may be
   * closed meanwhile.
   */
  async runAsync<C = Uint8Array>(options: RunOptions<C> = {}): Promise<RunResult<C>> {
    const lease = this.handle.retain()
    try {
      let way = this.#wayOf(options, 'later')
      // They are the caller's, who may change them meanwhile.
      const { ctx } = options
      if (!(await runOnceAsync(way, lease.fd))) {
        way = withRoom(way)
        if (!(await runOnceAsync(way, lease.fd))) throw outgrown(way.calls)
      }
      return this.#resultOf(way, ctx)
    } finally {
      lease.release()
    }
  }

  /** A way to run it with these options, and its own until it has the result: that of the last run where it will do. */
  #wayOf(options: RunOptions<unknown>, when: 'now' | 'later'): Prepared {
    const last = this.#prepared
    // A codec of the context may run this program too.
    this.#prepared = undefined
    const way = last !== undefined && isPreparedFor(last, options) ? last : prepare(this.type, options, this.#subject)
    fill(way, options, when)
    return way
  }

  #resultOf<C>(way: Prepared, ctx: RunOptions<C>['ctx']): RunResult<C> {
    const result = resultOf(way, ctx) as RunResult<C>
    if (!this.closed) this.#prepared = way
    return result
  }

  /** A run prepared once, whose `run()` allocates nothing. Throws TypeError, RangeError. */
  runner(options: RunOptions<unknown> = {}): ProgramRunner {
    const way = prepare(this.type, options, this.#subject)
    fill(way, options, 'later')
    return new ProgramRunner(this.handle, way)
  }

  /**
   * Takes what has been printed since this was asked last, by whomever; '' for nothing. To `stdout` the program prints, with
   * bpf_stream_vprintk; to `stderr` it may too, and the kernel reports there why it stopped it or what went wrong: a loop
   * by may_goto that took too long, an arena's page that is not there. Of each the kernel keeps 100,000 bytes, and drops
   * what comes after. Errors: UnsupportedError. Linux 6.17.
   */
  readStream(stream: ProgramStream): string {
    return readStream(this.handle.fd, stream, this.#subject)
  }

  /**
   * Keeps a map as long as the program lives, which need not use it: for what whoever looks at the program is to find.
   * Errors: EPERM. Linux 5.10.
   */
  bindMap(map: HasFd): void {
    progBindMap(this.handle.fd, fdOf(map, 'map'), this.#subject)
  }

  /**
   * Gives the program a name on a bpf file system: it then outlives this process, and is opened by `fromPin`.
   * Errors: EEXIST, ENOENT, EPERM where the path is not on a bpf file system. Linux 4.4.
   */
  pin(path: string): void {
    this.#pinning.pin(path, this.handle.fd, this.#subject)
  }

  /** Removes a pin: the one that `pin` made last, or the one at `path`. Whether there was one. */
  unpin(path?: string): boolean {
    return this.#pinning.unpin(path, this.#subject)
  }

  /** Ends this handle; the program itself lives on while a pin, a link or another handle refers to it. */
  close(): void {
    this.handle.close()
    this.#prepared = undefined
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** What messages call it: "Program#12 'count'". Never throws. */
  get description(): string {
    if (this.#id === undefined && !this.closed) {
      try {
        return programLabel(this.name, this.id)
      } catch {
        // A message about one failure must not be replaced by another.
      }
    }
    return programLabel(this.name, this.#id)
  }

  toString(): string {
    return this.description
  }

  /** What `info()` tells, for logs (bigints as text); a closed program's name and type. */
  toJSON(): object {
    if (this.closed) return { type: this.type, id: this.#id, name: this.name, closed: true }
    const info = this.info()
    const { runs, nanoseconds, recursionMisses } = info
    return {
      ...info,
      ...{ runs: `${runs}`, nanoseconds: `${nanoseconds}` },
      ...(recursionMisses === undefined ? {} : { recursionMisses: `${recursionMisses}` }),
    }
  }

  /** Program#12 'count' xdp tag 3b185187f1855c4c 17 insns fd 9 */
  [inspect.custom](_depth: number, _options: InspectOptions): string {
    if (this.closed) return `${this.description} ${this.type} closed`
    try {
      const { tag, xlatedSize } = this.info()
      const size = xlatedSize === 0 ? '' : ` ${xlatedSize / 8} insns`
      return `${this.description} ${this.type} tag ${tag}${size} fd ${this.fd}`
    } catch (error) {
      return `${this.description} ${this.type} (${(error as { code?: string }).code ?? 'unreadable'})`
    }
  }
}

/** A program as system calls see it: not the program itself, as whoever holds a subject could then reach everything. */
class ProgramSubject implements Subject {
  readonly #program: Program

  constructor(program: Program) {
    this.#program = program
  }

  get description(): string {
    return this.#program.description
  }
}

function ofLoaded(
  { type, fields, subject, expectedAttachType }: Loading,
  { fd, log }: { fd: number; log: string },
): Program {
  const handle = new Handle(fd, subject.description)
  return new Program({ handle, type, name: fields.prog_name ?? '', id: undefined, log, expectedAttachType })
}

/** What the kernel tells of a program that exists. Refuses the fd of something else. */
function coreOf(fd: number, description: string, called?: string): Omit<ProgramCore, 'handle'> {
  checkKind(fd, 'bpf-prog', called)
  const { type, name, id } = progInfo(fd, {}, { description })
  return { type: programTypeLabel(type), name, id, log: '', expectedAttachType: undefined }
}
