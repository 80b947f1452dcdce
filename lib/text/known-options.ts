import { nearest } from './nearest'

/** Refuses an option that nobody knows: a slip of the finger would else be passed over in silence. Throws TypeError. */
export function checkKnownOptions(options: object, known: ReadonlySet<string>): void {
  for (const name of Object.keys(options)) {
    if (known.has(name)) continue
    const near = nearest(name, known)
    throw new TypeError(`no option is called '${name}'${near === undefined ? '' : `: did you mean '${near}'?`}`)
  }
}
