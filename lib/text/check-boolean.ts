/** Refuses what would be taken for true by being there: 'no', 0n, {}. Throws TypeError. */
export function checkBooleans(options: Readonly<Record<string, boolean | undefined>>): void {
  for (const [name, value] of Object.entries(options)) {
    if (typeof value === 'boolean' || value === undefined) continue
    throw new TypeError(`${name} must be true or false, not ${value === null ? 'null' : typeof value}`)
  }
}
