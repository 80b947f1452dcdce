import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { KernelError } from '../../syscalls/errno'
import { bytes, type Codec } from '../codec'
import { removePin } from '../handle/pin'
import { ArrayMap, type BpfMap, MapMismatchError, type MapSpec, OuterMap } from '../map'
import { mapTypeLabel } from '../map/attributes'
import { keptFlags, listed, readAttributes } from '../map/mismatch'
import { nearest } from '../text/nearest'
import { type ArenaData, settleArena } from './arena'
import type { ObjectMap } from './description'
import type { DataSection } from './globals'
import type { LoadOptions } from './load-options'
import { isOuter } from './map-shape'
import { specOfMap } from './map-spec'
import { checkPinFolder, makePinFolder } from './pin-folder'
import type { StructOpsLoading } from './struct-ops-load'
import { Undo } from './undo'

/** What maps are made with. */
export interface MapMaking {
  readonly maps: readonly ObjectMap[]
  readonly data: readonly DataSection[]
  readonly arena: ArenaData | undefined
  readonly btfFd: number | undefined
  /** The object's name, without the end. */
  readonly prefix: string
  readonly options: LoadOptions
  readonly undo: Undo
  readonly structOps: StructOpsLoading
  codecOf(type: number, size: number): Codec<unknown>
  /** 'struct flow', of a type that the object's BTF names and does not describe; undefined of all others. */
  declared(type: number): string | undefined
}

export interface MadeMap {
  readonly map: BpfMap
  /** Made now, not taken from a pin or from the caller. */
  readonly fresh: boolean
  /** The caller's, and stays so. */
  readonly given: boolean
}

const DEFAULT_PINS = '/sys/fs/bpf'

/** How often maps are made again because another process was faster at pinning one by its name. */
const MOST_RACES = 64

/** Makes all maps of an object, or takes those that exist; what variables begin with is in them, and slots are filled. */
export function makeMaps(making: MapMaking): Map<string, MadeMap> {
  const { pins = DEFAULT_PINS, maps: given } = making.options
  if (making.maps.some(({ name, autocreate, pinning }) => autocreate && pinning === 'by-name' && !given?.[name])) {
    checkPinFolder(pins)
  }
  for (let races = 0; ; races++) {
    const undo = new Undo()
    try {
      const made = makeAll(making, undo)
      making.undo.take(undo)
      return made
    } catch (error) {
      const why = error instanceof LostRace ? error.cause : error
      undo.runAfter(why)
      if (!(error instanceof LostRace) || races === MOST_RACES) throw why
      // What it has pinned by now stays, and is found in the next round: others may have found it as well.
    }
  }
}

/** Between looking for a pin and making it, or opening it, somebody else was there. */
class LostRace extends Error {}

function makeAll(making: MapMaking, undo: Undo): Map<string, MadeMap> {
  const made = new Map<string, MadeMap>()
  for (const each of making.maps) {
    if (!each.autocreate) continue
    const one = takeOrMake(each, making, undo)
    made.set(each.name, one)
    settleArena(one.map, one.fresh, making.arena?.map === each ? making.arena : undefined)
    if (one.fresh)
      fillSection(
        one.map,
        making.data.find(({ section }) => section.name === each.name),
      )
  }
  for (const each of making.maps) {
    const outer = made.get(each.name)
    if (outer?.fresh === true && outer.map instanceof OuterMap) fillSlots(each, outer.map, made, making)
  }
  // Last: a pin is for others to see, and they shall see it filled. And outer maps behind all others: who finds one finds
  // what is in it too.
  const [outers, others] = partition(making.maps, ({ type }) => isOuter(type))
  for (const each of [...others, ...outers]) {
    const its = made.get(each.name)
    if (its?.fresh === true && each.pinning === 'by-name') pinByName(its.map, each, making)
  }
  return made
}

function partition<T>(all: readonly T[], test: (each: T) => boolean): [those: T[], others: T[]] {
  return [all.filter(test), all.filter((each) => !test(each))]
}

function takeOrMake(description: ObjectMap, making: MapMaking, undo: Undo): MadeMap {
  const { name } = description
  const struct = making.structOps.make(description, making.btfFd)
  if (struct !== undefined) return { map: undo.own(struct), fresh: true, given: false }
  checkOpenEnds(description)
  const given = making.options.maps?.[name]
  const spec = specOf(description, making)
  if (given !== undefined) {
    checkAlike(`map '${name}'`, spec, given)
    return { map: given, fresh: false, given: true }
  }
  if (description.pinning === 'by-name') {
    const path = pinPath(name, making.options)
    if (existsSync(path)) {
      const map = undo.own(racing('ENOENT', () => spec.fromPin(path)))
      checkAlike(`the map pinned at ${path}`, spec, map)
      return { map, fresh: false, given: false }
    }
  }
  return { map: undo.own(create(spec, description, making)), fresh: true, given: false }
}

/** Says of an error with this code that another process was faster. */
function racing<T>(code: string, run: () => T): T {
  try {
    return run()
  } catch (cause) {
    if (cause instanceof KernelError && cause.code === code) throw new LostRace('', { cause })
    throw cause
  }
}

/**
 * Types say what keys and values are, and are not needed: where the kernel refuses a map with them (a key of an array that
 * is an enum, of an LPM trie that is no struct; sizes that were changed since), it is made without, as libbpf has it.
 */
function create(spec: MapSpec, description: ObjectMap, making: MapMaking): BpfMap {
  try {
    return spec.create()
  } catch (error) {
    if (making.btfFd === undefined || !(error instanceof KernelError) || /^(EPERM|ENOMEM)$/.test(error.code))
      throw error
    let map: BpfMap
    try {
      map = specOf(description, { ...making, btfFd: undefined }).create()
    } catch {
      // Not for its types, then.
      throw error
    }
    return map
  }
}

/**
 * The template of an outer map, where the object tells it: with what the caller has told of structs that the object only
 * names. Throws TypeError where that is missing.
 */
function templateOf(outer: string, { ...inner }: ObjectMap, declared: MapMaking['declared']): ObjectMap {
  for (const what of ['key', 'value'] as const) {
    const struct = declared(inner[`${what}Type`])
    if (struct === undefined) continue
    // The kernel takes no type of which it is not told the size.
    inner[`${what}Type`] = 0
    if (inner[`${what}Size`] > 0) continue
    const size = inner[what]?.size
    if (size === undefined) {
      throw new TypeError(
        `map '${outer}': the ${what}s of its inner maps are ${struct}, which the BTF only names, as nothing else uses it: ` +
          `__uint(${what}_size, sizeof(${struct})) in the source, or load({ inner: { ${outer}: HashMap.spec({ ... }) } }) tell ` +
          `its size; a global variable of it, ${struct} unused_${what};, its fields too`,
      )
    }
    inner[`${what}Size`] = size
  }
  // Named after the outer map, as libbpf names its template.
  return Object.assign(inner, { name: outer })
}

/** Storage that belongs to something else has no number of its own; a perf event array has one element a CPU. */
const NUMBERLESS = /STORAGE$|^PERF_EVENT_ARRAY$/

/** Sources may leave sizes to whoever loads them, who is told here which. Throws RangeError. */
function checkOpenEnds({ name, type, maxEntries, valueSize }: ObjectMap): void {
  const say = (what: string, how: string) => {
    throw new RangeError(`map '${name}': its source leaves open ${what}: ${how} says so before load`)
  }
  if (maxEntries === 0 && !NUMBERLESS.test(type)) say('how many entries it has', `maps.${name}.maxEntries = 1024`)
  if (type === 'STACK_TRACE' && valueSize === 0) say('how deep its stacks are', `maps.${name}.valueSize = 127 * 8`)
}

function specOf(description: ObjectMap, { btfFd, prefix, options, codecOf, declared, data }: MapMaking): MapSpec {
  const given = options.inner?.[description.name]
  const { inner } = description
  const template =
    given ??
    (inner === undefined
      ? undefined
      : specOfMap(templateOf(description.name, inner, declared), { codecOf, btfFd, inner: undefined, prefix: '' }))
  // A map of variables is written as a whole here, and read through its memory.
  const isData = data.some(({ section }) => section.name === description.name)
  const plain = isData ? { ...description, value: bytes(description.valueSize) as Codec<unknown> } : description
  return specOfMap(plain, { codecOf, btfFd, inner: template, prefix })
}

/** Refuses a map that exists and is not what the object describes. Throws MapMismatchError. */
function checkAlike(what: string, spec: MapSpec, map: BpfMap): void {
  const is = readAttributes(map.fd, { description: what })
  const wanted = spec.attributes
  const differ = (attribute: string, expected: unknown, actual: unknown) => {
    const its = `its ${attribute} ${attribute === 'flags' ? 'are' : 'is'}`
    const message = `${what} is not what the object describes: ${its} ${actual}, not ${expected}`
    throw new MapMismatchError(message, attribute, expected, actual)
  }
  if (wanted.type !== is.type) differ('type', mapTypeLabel(wanted.type), mapTypeLabel(is.type))
  for (const attribute of ['keySize', 'valueSize', 'maxEntries', 'mapExtra'] as const) {
    if (wanted[attribute] !== is[attribute]) differ(attribute, wanted[attribute], is[attribute])
  }
  const [flags, its] = [keptFlags(wanted), keptFlags(is)]
  if (flags !== its) differ('flags', listed(flags), listed(its))
}

/** What the section's variables begin with. Constants are frozen: the verifier then knows their values. */
function fillSection(map: BpfMap, data: DataSection | undefined): void {
  if (data === undefined || !(map instanceof ArrayMap)) return
  // It is zeros already.
  if (!data.untouched && data.bytes.some((byte) => byte !== 0)) map.set(0, data.bytes)
  if (data.constant) map.freeze()
}

/** The same of maps that were there before, where they are not to keep what they have. */
export function replaceSlots(made: ReadonlyMap<string, MadeMap>, making: MapMaking): void {
  for (const each of making.maps) {
    const outer = made.get(each.name)
    if (outer?.fresh === false && outer.map instanceof OuterMap) fillSlots(each, outer.map, made, making)
  }
}

/** What the source puts into an outer map's slots: all in one batch, for one RCU grace period. */
function fillSlots(
  { name, values, type, keySize, key, keyType }: ObjectMap,
  outer: OuterMap<unknown, BpfMap>,
  made: ReadonlyMap<string, MadeMap>,
  { codecOf, maps }: MapMaking,
): void {
  const rows: [unknown, BpfMap][] = []
  for (const [slot, inner] of values.entries()) {
    if (inner === undefined) continue
    const its = made.get(inner)
    if (its === undefined) throw new TypeError(`map '${name}' holds map '${inner}', ${whyMissing(inner, maps)}`)
    if (keySize !== 4) throw new RangeError(`map '${name}': slots of a ${type} are numbered by 4 bytes, not ${keySize}`)
    // As the map's own codec reads the number.
    const number = (key ?? codecOf(keyType, keySize)).read(new DataView(new Uint32Array([slot]).buffer), 0)
    rows.push([type === 'ARRAY_OF_MAPS' ? slot : number, its.map])
  }
  try {
    if (rows.length > 0) outer.setMany(rows)
  } catch (error) {
    if (error instanceof MapMismatchError) error.message = `map '${name}': ${error.message}`
    throw error
  }
}

function whyMissing(name: string, maps: readonly ObjectMap[]): string {
  const names = maps.map((map) => map.name)
  if (names.includes(name)) return 'which was not to be created'
  const near = nearest(name, names)
  return `which the object has not got${near === undefined ? '' : `: did you mean '${near}'?`}`
}

function pinPath(name: string, { pins = DEFAULT_PINS }: LoadOptions): string {
  // Names with a dot are the file system's own.
  return join(pins, name.replaceAll('.', '_'))
}

function pinByName(map: BpfMap, { name }: ObjectMap, { options, undo }: MapMaking): void {
  const path = pinPath(name, options)
  // Whoever made the folder may have taken it away again.
  racing('ENOENT', () => {
    makePinFolder(dirname(path), undo)
    racing('EEXIST', () => map.pin(path))
  })
  undo.add(() => removePin(path))
}
