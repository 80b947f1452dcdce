import { nearest } from './nearest'

/** The names of the options that a function knows: all of them, and no others, or it does not compile. */
export function optionNames<T>(names: Readonly<Record<keyof Required<T>, true>>): ReadonlySet<string> {
  return new Set(Object.keys(names))
}

/** How messages call them. */
interface Told {
  /** 'option' where not given. */
  readonly what?: string
  /** What takes them; where that is given and no other is near, all are told. */
  readonly of?: string
}

/**
 * Refuses options that are no object, and one that nobody knows: a slip of the finger would else be passed over in
 * silence. Throws TypeError.
 */
export function checkKnownOptions(
  options: unknown,
  known: ReadonlySet<string>,
  { what = 'option', of }: Told = {},
): void {
  if (typeof options !== 'object' || options === null) {
    const some = [...known].join(', ')
    throw new TypeError(
      `${what}s are told by an object, { ${some} }, not by ${options === null ? 'null' : typeof options}`,
    )
  }
  // Those that it inherits are read as well; and a list of their names would be garbage on hot paths.
  for (const name in options) {
    if (known.has(name)) continue
    const near = nearest(name, known)
    const instead = of === undefined ? '' : `: ${of} takes ${[...known].join(', ')}`
    throw new TypeError(`no ${what} is called '${name}'${near === undefined ? instead : `: did you mean '${near}'?`}`)
  }
}
