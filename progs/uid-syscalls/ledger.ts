import type { Hit } from './load'

/** A call of a user: what the story has had made of it, to hold against what the program has counted. */
export interface Row {
  readonly uid: number
  readonly call: string
  readonly number: number
  /** Whether the program is asked about it now. */
  readonly asked: boolean
  /** How often it was made. */
  readonly made: number
  /** How often while it was asked about. */
  readonly madeWhileAsked: number
  /** What the program has counted. */
  readonly hits: number
}

/** Keeps the story's own account of who was made to call what, and when that was asked about. */
export class Ledger {
  readonly #rows = new Map<
    string,
    { uid: number; call: string; number: number; made: number; madeWhileAsked: number }
  >()
  readonly #asked = new Map<number, ReadonlySet<number>>()

  ask(uid: number, numbers: Iterable<number>): void {
    this.#asked.set(uid, new Set(numbers))
  }

  made(uid: number, call: string, number: number, times: number): void {
    const key = `${uid} ${number}`
    const row = this.#rows.get(key) ?? { uid, call, number, made: 0, madeWhileAsked: 0 }
    row.made += times
    if (this.#isAsked(uid, number)) row.madeWhileAsked += times
    this.#rows.set(key, row)
  }

  #isAsked(uid: number, number: number): boolean {
    return this.#asked.get(uid)?.has(number) === true
  }

  /** Beside what the program has counted; a hit of what was never made has a row too. */
  rows(hits: Iterable<readonly [Hit, number]>, nameOf: (number: number) => string): Row[] {
    const counted = new Map(
      Array.from(hits, ([{ uid, syscall }, count]) => [`${uid} ${syscall}`, { uid, syscall, count }]),
    )
    const rows = [...this.#rows].map(([key, row]): Row => {
      const hits = counted.get(key)?.count ?? 0
      counted.delete(key)
      return { ...row, asked: this.#isAsked(row.uid, row.number), hits }
    })
    for (const { uid, syscall: number, count: hits } of counted.values()) {
      const asked = this.#isAsked(uid, number)
      rows.push({ uid, call: nameOf(number), number, asked, made: 0, madeWhileAsked: 0, hits })
    }
    return rows
  }
}
