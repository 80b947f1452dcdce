/** What has been made so far, and how it is taken back: for what is done whole or not at all. */
export class Undo {
  readonly #steps: (() => void)[] = []

  /** Remembers how to take back what was just made. */
  add(step: () => void): void {
    this.#steps.push(step)
  }

  /** Remembers to close it. */
  own<T extends { close(): void }>(made: T): T {
    this.add(() => made.close())
    return made
  }

  /** Takes over what another remembers. */
  take(other: Undo): void {
    this.#steps.push(...other.#steps.splice(0))
  }

  /** Takes everything back, from the last on; all is tried. What fails is told beside the error that it is done for. */
  runAfter(cause: unknown): void {
    const errors: unknown[] = []
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        step()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw new AggregateError([cause, ...errors], `${cause}; and not all could be taken back`)
  }
}
