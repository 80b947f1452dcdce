import type { HasFd } from '../handle/fd-of'
import type { Contents } from './contents'
import type { Reference } from './link-code'
import type { LoadOptions } from './load-options'
import type { Resolved } from './patch'
import type { Undo } from './undo'

/** What an object refers to and has not got itself: variables and functions of the kernel, and its configuration. */
export class Externs {
  readonly #contents: Contents
  /** The BTFs of modules whose functions are called. */
  readonly modules: readonly HasFd[] = []

  constructor(contents: Contents, _options: LoadOptions, _undo: Undo) {
    this.#contents = contents
  }

  resolve(program: string, { symbol, at }: Reference): Resolved {
    throw this.#contents.file.error(at, `program '${program}' refers to '${symbol.name}', which is nowhere`)
  }

  close(): void {}
}
