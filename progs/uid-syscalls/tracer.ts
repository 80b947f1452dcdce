import { type Attachment, attachTracepoint } from '../../lib'
import type { Parts } from '../support/object'
import { loadUidSyscalls, type Maps } from './load'

/** Counts system calls, for each user those that were asked for; the caller owns it. Needs tracefs when it is made. */
export class UidSyscalls implements Disposable {
  readonly byUid: Maps['by_uid']
  readonly hits: Maps['uid_hits']
  readonly #parts: Parts<Maps, 'uid_syscalls'>
  readonly #attachment: Attachment | undefined

  /** Of an object of uid-syscalls.bpf.c where that is given. */
  constructor(object?: string) {
    this.#parts = loadUidSyscalls(object)
    this.byUid = this.#parts.maps.by_uid
    this.hits = this.#parts.maps.uid_hits
    try {
      this.#attachment = attachTracepoint(this.#parts.programs.uid_syscalls, 'raw_syscalls', 'sys_enter')
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
    this.#parts[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

function rowsOf(calls: readonly number[]): [number, number][] {
  return calls.map((number) => [number, 1])
}
