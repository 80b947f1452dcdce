import {
  type Attachment,
  attachTracepoint,
  HashMap,
  HashOfMaps,
  type Infer,
  Program,
  struct,
  u32,
  u64n,
} from '../../lib'
import { uidSyscalls } from './program'

/** A set of system calls by their numbers: what is not in it is not there. */
const Calls = HashMap.spec({ key: u32, value: u32, maxEntries: 64, name: 'calls' })

/** In the order in which the program has them on its stack. */
const Hit = struct({ syscall: u32, uid: u32 })
export type Hit = Infer<typeof Hit>

const MOST_USERS = 64

/** Counts system calls, for each user those that were asked for; the caller owns it. Needs tracefs when it is made. */
export class UidSyscalls implements Disposable {
  readonly byUid: HashOfMaps<number, HashMap<number, number>>
  readonly hits: HashMap<Hit, number>
  readonly #program: Program | undefined
  readonly #attachment: Attachment | undefined

  constructor() {
    this.byUid = HashOfMaps.create({ name: 'by_uid', key: u32, maxEntries: MOST_USERS, inner: Calls })
    this.hits = HashMap.create({ name: 'uid_hits', key: Hit, value: u64n, maxEntries: MOST_USERS * 64 })
    try {
      const code = uidSyscalls(this.byUid, this.hits)
      this.#program = Program.load({ type: 'tracepoint', name: 'uid_syscalls', code })
      this.#attachment = attachTracepoint(this.#program, 'raw_syscalls', 'sys_enter')
    } catch (error) {
      this.close()
      throw error
    }
  }

  /** Begins with a user. Errors: EEXIST where that has been done. */
  begin(uid: number, calls: readonly number[]): void {
    this.byUid.set(uid, rowsOf(calls), { only: 'create' })
  }

  /** Replaces what is asked about a user, in one step: no call is held against a half of both. Errors: ENOENT. */
  replace(uid: number, calls: readonly number[]): void {
    this.byUid.set(uid, rowsOf(calls), { only: 'replace' })
  }

  close(): void {
    this.#attachment?.close()
    this.#program?.close()
    this.hits.close()
    this.byUid.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

function rowsOf(calls: readonly number[]): [number, number][] {
  return calls.map((number) => [number, 1])
}
