/**
 * Variables of the shell, which are properties of globalThis. A declaration that fails leaves none: who goes on after
 * `const hits = open()` has thrown shall not write to what was called hits before.
 */
export class Declared {
  /** What Node.js has put there is not for the shell to take away, as long as nothing was declared in its place. */
  readonly #foreign = new Set(Object.getOwnPropertyNames(globalThis))

  /** Is called before a line that declares these is evaluated: what it returns, after that, with whether it failed. */
  expect(names: readonly string[]): (failed: boolean) => void {
    const restored = names.filter((name) => !this.#foreign.has(name)).map((name) => watched(name))
    return (failed) => {
      for (const restore of restored) restore(failed)
      if (!failed) for (const name of names) this.#foreign.delete(name)
    }
  }
}

/** Sees whether a variable is assigned to: `var` leaves a property that is there as it is. */
function watched(name: string): (failed: boolean) => void {
  const before = Object.getOwnPropertyDescriptor(globalThis, name)
  const define = (value: unknown) => {
    Object.defineProperty(globalThis, name, { value, writable: true, enumerable: true, configurable: true })
  }
  // A function: it stays, and can only be overwritten.
  if (before?.configurable === false) {
    return (failed) => {
      if (failed && Reflect.get(globalThis, name) === before.value) Reflect.set(globalThis, name, undefined)
    }
  }
  let assigned = false
  Object.defineProperty(globalThis, name, {
    get: () => before?.value,
    set: (value) => {
      assigned = true
      define(value)
    },
    enumerable: true,
    configurable: true,
  })
  return (failed) => {
    if (assigned) return
    if (failed) Reflect.deleteProperty(globalThis, name)
    else define(before?.value)
  }
}
