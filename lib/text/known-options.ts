import { nearest } from './nearest'

/** The names of the options that a function knows: all of them, and no others, or it does not compile. */
export function optionNames<T>(names: Readonly<Record<keyof Required<T>, true>>): ReadonlySet<string> {
  return new Set(Object.keys(names))
}

/**
 * Refuses options that are no object, and one that nobody knows: a slip of the finger would else be passed over in
 * silence. Throws TypeError.
 */
export function checkKnownOptions(options: unknown, known: ReadonlySet<string>, what = 'option'): void {
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
    throw new TypeError(`no ${what} is called '${name}'${near === undefined ? '' : `: did you mean '${near}'?`}`)
  }
}
