/** What a spec attaches: its maps, programs and links, and what it changes on the machine, undone at its end. */
import { ArrayMap, Program, type ProgramOptions, u64 } from '../../../lib'
import { type ProgLoadFields, progLoad, tryProgLoad } from '../../../syscalls/bpf-prog'
import { errnoName } from '../../../syscalls/errno'
import { closeFd } from '../../../syscalls/fd'
import { eventually } from '../kernel'
import type { Code } from '../outer-program'

const LOG_BYTES = 1 << 16
const COUNTERS = 8

export class Stage {
  readonly #undo: (() => unknown)[] = []
  readonly #open = new Set<number>()
  #counters: ArrayMap<bigint> | undefined

  /** Closes the fd at the end, unless that was done before. */
  own(fd: number): number {
    this.#open.add(fd)
    this.#undo.push(() => this.close(fd))
    return fd
  }

  /** Closes an fd now: of a link, detaches. */
  close(fd: number): void {
    if (this.#open.delete(fd)) closeFd(fd)
  }

  /** The last that was put off is done first. */
  later(undo: () => unknown): void {
    this.#undo.push(undo)
  }

  /** Disposes of it at the end. */
  using<T extends Disposable>(resource: T): T {
    this.#undo.push(() => resource[Symbol.dispose]())
    return resource
  }

  /** What the programs of this spec count and write down: u64 by index, all 0 at the start. */
  get counters(): ArrayMap<bigint> {
    this.#counters ??= this.using(ArrayMap.create({ name: 'counters', value: u64, maxEntries: COUNTERS }))
    return this.#counters
  }

  count(index = 0): number {
    return Number(this.counters.get(index))
  }

  /** Loads a program by the library. */
  program(options: ProgramOptions): Program {
    return this.using(Program.load(options))
  }

  /** Loads a program; what the verifier says of one that it refuses is in the error. */
  load(fields: Omit<ProgLoadFields, 'insns' | 'license'>, code: Code): number {
    const program: ProgLoadFields = { prog_name: 'attach_spec', ...fields, insns: code.bytes(), license: 'GPL' }
    const log_buf = new ArrayBuffer(LOG_BYTES)
    const { fd, errno } = tryProgLoad({ ...program, log_level: 1, log_buf })
    if (errno === 0) return this.own(fd)
    const log = Buffer.from(log_buf).toString('latin1').replaceAll('\0', '').trim()
    if (log !== '') throw new Error(`${errnoName(errno)} of the verifier:\n${log.split('\n').slice(-8).join('\n')}`)
    // Again, for the library's own words.
    return this.own(progLoad(program))
  }

  /**
   * Closes the link; from then on what ran the program no longer does. `trigger` is what made it count, in slot `index`.
   */
  async detach(link: number | { close(): void }, trigger: () => unknown, index = 0): Promise<void> {
    if (typeof link === 'number') this.close(link)
    else link.close()
    await eventually(async () => {
      const before = this.count(index)
      await trigger()
      return this.count(index) === before
    }, 'nothing is counted any more')
  }

  async end(): Promise<void> {
    const errors: unknown[] = []
    for (const undo of this.#undo.splice(0).reverse()) {
      try {
        await undo()
      } catch (error) {
        errors.push(error)
      }
    }
    this.#counters = undefined
    if (errors.length > 0) throw new AggregateError(errors, `not undone: ${errors.join('; ')}`)
  }
}

/** For a suite: a stage that is cleared after each of its specs. */
export function useStage(): Stage {
  const stage = new Stage()
  afterEach(() => stage.end())
  return stage
}
