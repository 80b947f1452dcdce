import { inspect } from 'node:util'
import { BpfMap } from '../map'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { nearest } from '../text/nearest'
import type { Contents } from './contents'
import type { InnerOf, MapsOf, ObjectShape } from './shape'

/** How an object is loaded; a shape gives it the names of the object's maps. */
export interface LoadOptions<S extends ObjectShape = ObjectShape> {
  /** What the inner maps of an outer map look like, by the outer map's name, where the source does not tell or tells less. */
  readonly inner?: Partial<InnerOf<S>>
  /** Maps that exist, to be used in place of those of the object: by name. They stay the caller's. */
  readonly maps?: Partial<MapsOf<S>>
  /**
   * What becomes of maps of maps that exist already, pinned or given, and whose slots the source fills: 'keep' (the default)
   * leaves the inner maps that are in them, 'replace' puts those of the source in their place, when all else is loaded.
   */
  readonly values?: 'keep' | 'replace'
  /** The folder of maps that are pinned by name, in a bpf file system; made with all folders that are missing on the way. '/sys/fs/bpf' where not given. */
  readonly pins?: string
  /** The verifier's log also of programs that it accepts, as `program.log`: see `ProgramOptions`. */
  readonly logLevel?: number
  /** Values of the kernel's configuration, in place of what /proc/config.gz or /boot say: { CONFIG_HZ: 250 }. */
  readonly kconfig?: Readonly<Record<string, number | bigint | string | boolean>>
}

const OPTIONS = optionNames<LoadOptions>({
  inner: true,
  maps: true,
  values: true,
  pins: true,
  logLevel: true,
  kconfig: true,
})

/** Refuses names that the object has not got: what was meant would else be passed over in silence. Throws TypeError. */
export function checkLoadOptions(options: LoadOptions, { maps }: Contents): void {
  if (typeof options !== 'object' || options === null) throw new TypeError('load takes an object of options')
  checkKnownOptions(options, OPTIONS)
  const names = maps.map(({ map }) => map.name)
  for (const [option, given] of [
    ['inner', options.inner],
    ['maps', options.maps],
  ] as const) {
    for (const name of Object.keys(given ?? {})) {
      if (names.includes(name)) continue
      const near = nearest(name, names)
      const hint = near === undefined ? `there are ${names.join(', ') || 'none'}` : `did you mean '${near}'?`
      throw new TypeError(`${option}: the object has no map '${name}': ${hint}`)
    }
  }
  for (const [name, map] of Object.entries(options.maps ?? {})) {
    if (map !== undefined && !(map instanceof BpfMap))
      throw new TypeError(`maps.${name} takes a map, not ${inspect(map, { depth: 0 })}`)
  }
  if (options.values !== undefined && !['keep', 'replace'].includes(options.values)) {
    throw new TypeError(`values is 'keep' or 'replace', not ${inspect(options.values, { depth: 0 })}`)
  }
  if (options.pins !== undefined && typeof options.pins !== 'string')
    throw new TypeError('pins is the path of a folder')
}
