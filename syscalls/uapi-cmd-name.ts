import * as commands from './uapi-cmd'

/**
 * The exported constants that begin with `prefix`, by value: the names are written once, where the values are. They are
 * gathered when somebody first asks, as a rule for an error's message.
 */
export function namesOf(
  constants: Readonly<Record<string, unknown>>,
  prefix: string,
): () => ReadonlyMap<number, string> {
  let names: Map<number, string> | undefined
  return () => {
    if (names !== undefined) return names
    names = new Map()
    for (const [name, value] of Object.entries(constants)) {
      if (name.startsWith(prefix) && typeof value === 'number') names.set(value, name)
    }
    return names
  }
}

const COMMANDS = namesOf(commands, 'BPF_')

/** 'BPF_MAP_CREATE' for 0; 'BPF_CMD_99?' for a command that this file does not know. */
export function commandName(command: number): string {
  return COMMANDS().get(command) ?? `BPF_CMD_${command}?`
}
