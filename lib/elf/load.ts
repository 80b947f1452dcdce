import { basename } from 'node:path'
import { inspect } from 'node:util'
import { KernelError } from '../../syscalls/errno'
import { Btf } from '../btf'
import { type PoisonedInstruction, type Relocator, relocator } from '../co-re'
import { KIND_WORDS } from '../co-re/kinds'
import { Handle } from '../handle/handle'
import { ProgArray } from '../map'
import { MAP_TYPES } from '../map/attributes'
import { type MissingInKernel, Program, type ProgramBtf, type ProgramCode, type ProgramOptions } from '../program'
import { nearest } from '../text/nearest'
import { codecOf, declaredIn } from './codecs'
import { type Contents, mapAt } from './contents'
import type { ObjectMap, ObjectProgram } from './description'
import { Externs } from './externs'
import type { Reference } from './link-code'
import { loadObjectBtf } from './load-btf'
import { type MadeMap, type MapMaking, makeMaps, replaceSlots } from './load-maps'
import { checkLoadOptions, type LoadOptions } from './load-options'
import { kernelName } from './map-spec'
import { fillIn, type Resolved } from './patch'
import { linesOf, recordsOf, relocationsOf } from './program-btf'
import type { PlacedProgram } from './programs'
import { StructOpsLoading } from './struct-ops-load'
import { Undo } from './undo'

/** What came of loading an object. */
export interface Parts {
  readonly maps: ReadonlyMap<string, MadeMap>
  readonly programs: ReadonlyMap<string, Program>
  /** The object's BTF in the kernel, which new inner maps are made with. */
  readonly btf: Handle | undefined
}

/** Makes all that an object describes, or nothing. */
export function loadContents(contents: Contents, license: string, options: LoadOptions): Parts {
  checkLoadOptions(options, contents)
  checkPrograms(contents)
  const undo = new Undo()
  const loader = new Loader(contents, license, options, undo)
  try {
    return loader.run()
  } catch (error) {
    undo.runAfter(error)
    // It may be because of the types that it had to go on without.
    if (error instanceof Error && error.cause === undefined && loader.btfRefusal) error.cause = loader.btfRefusal
    throw error
  }
}

/** What can be told before anything is made. Throws TypeError. */
function checkPrograms({ programs, maps }: Contents): void {
  for (const { map } of maps) checkMap(map)
  for (const { program } of programs) {
    const { name, section, type, autoload, autoattach } = program
    checkBoolean(`program '${name}': autoload`, autoload)
    checkBoolean(`program '${name}': autoattach`, autoattach)
    if (!autoload || type !== undefined) continue
    const way = `set programs.${name}.type, or programs.${name}.autoload = false`
    throw new TypeError(`program '${name}' is in section '${section}', which tells no program type: ${way}`)
  }
  for (const { map } of maps) {
    if (map.type !== 'PROG_ARRAY' || !map.autocreate) continue
    for (const name of map.values) if (name !== undefined) checkProgramName(map.name, name, programs)
  }
}

class Loader {
  readonly #contents: Contents
  readonly #license: string
  readonly #options: LoadOptions
  readonly #undo: Undo
  readonly #externs: Externs
  #relocator: Relocator | undefined
  /** Why the kernel has not got the object's types. */
  btfRefusal: KernelError | undefined

  constructor(contents: Contents, license: string, options: LoadOptions, undo: Undo) {
    this.#contents = contents
    this.#license = license
    this.#options = options
    this.#undo = undo
    this.#externs = new Externs(contents, options, undo)
  }

  run(): Parts {
    const { maps, data, arena } = this.#contents
    const structOps = new StructOpsLoading(this.#contents, this.#options, this.#undo)
    const btf = this.#loadBtf(structOps)
    const making: MapMaking = {
      maps: maps.map(({ map }) => map),
      data,
      arena,
      btfFd: btf?.fd,
      prefix: basename(this.#contents.file.path).replace(/\..*$/, ''),
      options: this.#options,
      undo: this.#undo,
      structOps,
      codecOf: (type, size) => codecOf(this.#contents.btf, type, size),
      declared: (type) => declaredIn(this.#contents.btf, type),
    }
    const made = makeMaps(making)
    const programs = new Map<string, Program>()
    for (const placed of this.#contents.programs) {
      if (!structOps.loads(placed.program)) continue
      const place = structOps.placeOf(placed.program)
      const program = place === undefined ? placed.program : { ...placed.program, attachTo: place }
      programs.set(program.name, this.#undo.own(this.#load({ ...placed, program }, made, btf)))
    }
    this.#bindConstants(made, programs)
    structOps.fill(programs)
    structOps.close()
    this.#externs.close()
    // Last: of one that was there before, others run what is in it.
    if (this.#options.values === 'replace') replaceSlots(made, making)
    this.#fillProgramArrays(made, programs)
    return { maps: made, programs, btf }
  }

  /** Most can do without, and does where the kernel refuses it: not structs of functions. */
  #loadBtf(structOps: StructOpsLoading): Handle | undefined {
    const { btf, file } = this.#contents
    if (btf === undefined) return undefined
    const description = `BTF of ${file.path}`
    try {
      return this.#undo.own(new Handle(loadObjectBtf(file, btf, description), description))
    } catch (error) {
      if (!(error instanceof KernelError) || /^(EPERM|ENOMEM)$/.test(error.code) || structOps.any) throw error
      this.btfRefusal = error
      return undefined
    }
  }

  #load(placed: PlacedProgram, made: ReadonlyMap<string, MadeMap>, btf: Handle | undefined): Program {
    const { program, linked } = placed
    const { ext, btf: types } = this.#contents
    const { insns, missing } = this.#relocated(placed)
    const view = new DataView(insns.buffer, insns.byteOffset, insns.byteLength)
    for (const reference of linked.references) {
      const { slot } = reference
      const resolved = this.#resolve(placed, reference, made)
      fillIn(view, slot, resolved)
      if ('poison' in resolved) missing.push({ slot, ...resolved.poison })
    }
    const { functions, lines } = ext === undefined || btf === undefined ? NO_RECORDS : recordsOf(linked, ext)
    const programBtf: ProgramBtf | undefined =
      btf === undefined || functions === undefined
        ? undefined
        : { fd: btf, functions, ...(lines === undefined ? {} : { lines }) }
    const code: ProgramCode = {
      bytes: () => insns,
      // Only for who is told why the verifier refuses it.
      get lines() {
        return ext === undefined || types === undefined ? [] : linesOf(linked, ext, types)
      },
      missing,
    }
    return Program.load(
      optionsOf(program, { code, license: this.#license, btf: programBtf }, this.#options, this.#externs),
    )
  }

  /** The instructions as this kernel's types want them: a copy in any case. */
  #relocated({ linked }: PlacedProgram): { insns: Uint8Array<ArrayBuffer>; missing: MissingInKernel[] } {
    const { ext, btf } = this.#contents
    const relocations = ext === undefined ? [] : relocationsOf(linked, ext)
    if (relocations.length === 0 || btf === undefined) return { insns: linked.bytes.slice(), missing: [] }
    this.#relocator ??= relocator(btf, targets())
    const { insns, poisoned } = this.#relocator(linked.bytes, relocations)
    return { insns: new Uint8Array(insns), missing: poisoned.map(inWords) }
  }

  #resolve({ program }: PlacedProgram, reference: Reference, made: ReadonlyMap<string, MadeMap>): Resolved {
    const { file, maps, data, arena } = this.#contents
    const { symbol, addend } = reference
    const section = file.sectionOf(symbol)
    if (section === undefined) return this.#externs.resolve(program.name, reference)
    const inArena = section.index === arena?.section.index
    const isData = inArena || data.some((each) => each.section.index === section.index)
    const offset = symbol.value + addend
    const inData = inArena ? arena : maps.find((each) => each.section === section.index)
    const its = isData ? inData : mapAt(maps, section.index, offset)
    if (its === undefined) {
      throw file.error(
        reference.at,
        `program '${program.name}' refers to ${offset} of ${section.name}: no map is there`,
      )
    }
    const map = made.get(its.map.name)?.map
    // Only where it is reached: programs may choose, by a constant, between maps of which a kernel has but one.
    if (map === undefined) return { poison: { what: `map '${its.map.name}'`, reason: 'was not to be created' } }
    return isData ? { mapValue: map.fd, offset } : { map: map.fd }
  }

  /**
   * Constants belong to every program, used or not, as libbpf has it: what the source says of itself in them, in variables
   * called bpf_metadata_..., is found by bpftool, for as long as the program lives.
   */
  #bindConstants(made: ReadonlyMap<string, MadeMap>, programs: ReadonlyMap<string, Program>): void {
    for (const { section, constant } of this.#contents.data) {
      const map = constant ? made.get(section.name)?.map : undefined
      if (map !== undefined) for (const program of programs.values()) program.bindMap(map)
    }
  }

  /** Also one that is pinned or given: tail calls through it shall not go on to programs that were loaded before. */
  #fillProgramArrays(made: ReadonlyMap<string, MadeMap>, programs: ReadonlyMap<string, Program>): void {
    for (const { map } of this.#contents.maps) {
      const its = made.get(map.name)
      if (!(its?.map instanceof ProgArray)) continue
      const rows = map.values.flatMap((name, slot): [number, Program][] => {
        const program = name === undefined ? undefined : programs.get(name)
        // One that is not to be loaded leaves its slot empty: a tail call to it goes on behind the call.
        return program === undefined ? [] : [[slot, program]]
      })
      if (rows.length > 0) its.map.setMany(rows)
    }
  }
}

/** What the descriptions may have been changed to, where nothing else would say a word of it. Throws TypeError. */
function checkMap({ name, type, pinning, autocreate }: ObjectMap): void {
  checkBoolean(`map '${name}': autocreate`, autocreate)
  if (pinning !== 'none' && pinning !== 'by-name') {
    throw new TypeError(`map '${name}': pinning is 'none' or 'by-name', not ${inspect(pinning, { depth: 0 })}`)
  }
  if (Object.hasOwn(MAP_TYPES, type)) return
  const near = nearest(String(type), Object.keys(MAP_TYPES))
  const did = near === undefined ? '' : `: did you mean '${near}'?`
  throw new TypeError(`map '${name}': no type of maps is called ${inspect(type, { depth: 0 })}${did}`)
}

function checkBoolean(what: string, value: unknown): void {
  if (typeof value !== 'boolean') throw new TypeError(`${what} is true or false, not ${inspect(value, { depth: 0 })}`)
}

function checkProgramName(map: string, name: string, programs: readonly PlacedProgram[]): void {
  const names = programs.map(({ program }) => program.name)
  if (names.includes(name)) return
  const near = nearest(name, names)
  const did = near === undefined ? '' : `: did you mean '${near}'?`
  throw new TypeError(`map '${map}' holds program '${name}', which the object has not got${did}`)
}

function inWords({ slot, kind, what, reason }: PoisonedInstruction): MissingInKernel {
  return { slot, what: kind === 'field_byte_offset' ? what : `${KIND_WORDS[kind]} ${what}`, reason }
}

const NO_RECORDS = { functions: undefined, lines: undefined }

/** The kernel's types, and behind them, as long as something is missing, those of its modules. */
function* targets(): Generator<Btf> {
  yield Btf.kernel()
  for (const { btf } of Btf.modules()) if (btf !== undefined) yield btf
}

function optionsOf(
  program: ObjectProgram,
  { code, license, btf }: { code: ProgramCode; license: string; btf: ProgramBtf | undefined },
  { logLevel }: LoadOptions,
  externs: Externs,
): ProgramOptions {
  const { name, type, expectedAttachType, flags, target } = program
  const attachTo = program.attachTo ?? (TARGETED.includes(type as string) ? target : undefined)
  const modules = externs.modules
  return {
    type: type as NonNullable<typeof type>,
    name: kernelName(name, ''),
    code: modules.length === 0 ? code : { ...code, bytes: code.bytes, modules },
    // The kernel wants some text: of what says nothing, only what needs no GPL.
    license: license === '' ? 'none' : license,
    flags,
    ...(expectedAttachType === undefined ? {} : { expectedAttachType }),
    ...(attachTo === undefined ? {} : { attachTo }),
    ...(btf === undefined ? {} : { btf }),
    ...(logLevel === undefined ? {} : { logLevel }),
  }
}

/** Types that are written for something by name. */
const TARGETED: readonly string[] = ['tracing', 'lsm']
