import { mapCreate } from '../../syscalls/bpf'
import { btfOpenById } from '../../syscalls/bpf-btf'
import { Btf } from '../btf'
import { kernelNames } from '../btf/kernel-names'
import { kernelObjects } from '../btf/source'
import { Handle } from '../handle/handle'
import type { BpfMap } from '../map'
import { createFields, MapSpec } from '../map/spec'
import type { AttachTarget, Program } from '../program'
import { nearest } from '../text/nearest'
import type { Contents } from './contents'
import type { ObjectMap, ObjectProgram } from './description'
import type { LoadOptions } from './load-options'
import { kernelName } from './map-spec'
import type { PlacedStructOps } from './struct-ops'
import { findStruct, type KernelStruct, planStructOps, type StructOpsPlan, VALUE_PREFIX } from './struct-ops-layout'
import { StructOpsMap, type StructOpsValue } from './struct-ops-map'
import type { Undo } from './undo'

/** What a program of type struct_ops stands for, in the kernel's numbers. */
interface Use {
  readonly kernel: KernelStruct
  readonly index: number
  /** For messages: "member 'init' of struct_ops 'mine'". */
  readonly where: string
}

/**
 * The structs of functions of an object: fitted to the kernel's before anything is made, made, and filled at the end.
 */
export class StructOpsLoading {
  readonly #contents: Contents
  readonly #undo: Undo
  readonly #plans = new Map<string, { readonly placed: PlacedStructOps; readonly plan: StructOpsPlan }>()
  readonly #uses = new Map<string, Use>()
  readonly #modules = new Map<string, Handle>()
  readonly #made = new Map<string, StructOpsMap>()

  /** Makes nothing. Throws TypeError and RangeError for what cannot be loaded; BtfError where the kernel has no BTF. */
  constructor(contents: Contents, { maps: given }: LoadOptions, undo: Undo) {
    this.#contents = contents
    this.#undo = undo
    for (const placed of contents.structOps) {
      const { map } = placed
      if (!map.autocreate) continue
      checkDescription(placed, (given as Readonly<Record<string, BpfMap>> | undefined)?.[map.name] !== undefined)
      const plan = this.#plan(placed)
      this.#plans.set(map.name, { placed, plan })
    }
  }

  /** Whether there are any that are to be made. */
  get any(): boolean {
    return this.#plans.size > 0
  }

  /** Whether a program is to be loaded: of these, what a map that is made has, or what was told a place of its own. */
  loads({ name, type, autoload, attachTo }: ObjectProgram): boolean {
    if (type !== 'struct_ops') return autoload
    return this.#uses.has(name) || (autoload && attachTo !== undefined)
  }

  /** What a program is loaded for; undefined where no map has it. */
  placeOf({ name }: ObjectProgram): AttachTarget | undefined {
    const use = this.#uses.get(name)
    if (use === undefined) return undefined
    const { kernel, index } = use
    const module = this.#moduleOf(kernel)
    return { struct: kernel.type.name, member: index, btfId: kernel.type.id, ...(module && { module }) }
  }

  /** The map of a description; undefined where that is none of these. */
  make({ name, flags }: ObjectMap, btfFd: number | undefined): StructOpsMap | undefined {
    const its = this.#plans.get(name)
    if (its === undefined) return undefined
    const { kernel, value: bytes } = its.plan
    const module = this.#moduleOf(kernel)
    const value: StructOpsValue = { struct: kernel.type.name, bytes, functions: [] }
    const spec = new MapSpec<StructOpsMap>(
      {
        name: 'StructOpsMap',
        type: 'STRUCT_OPS',
        shape: kernel.type.name,
        wrap: (core) => new StructOpsMap(core, value),
        build: (attributes, { description }) =>
          mapCreate(
            {
              ...createFields(attributes),
              btf_fd: btfFd,
              btf_vmlinux_value_type_id: kernel.value.id,
              ...(module && { value_type_btf_obj_fd: module.fd }),
            },
            {
              description,
              hint: (_command, code) => (code === 'EINVAL' ? whyNotMade(attributes.flags, module) : undefined),
            },
          ),
      },
      {
        name: kernelName(name, ''),
        flags: module === undefined ? flags : [...flags, 'VTYPE_BTF_OBJ_FD'],
      },
      { keySize: 4, valueSize: kernel.value.size, maxEntries: 1 },
    )
    const made = spec.create()
    this.#made.set(name, made)
    return made
  }

  /** Puts the programs into their structs. With a link they are ready then; others wait for `attach`. */
  fill(programs: ReadonlyMap<string, Program>): void {
    for (const [name, made] of this.#made) {
      const functions = this.#plans.get(name)?.plan.functions ?? []
      made.implement(functions.map(({ program, at }) => ({ program: programs.get(program) as Program, at })))
      if (made.linked) made.fill()
    }
  }

  /** What was needed only for as long as maps and programs were made. */
  close(): void {
    for (const module of this.#modules.values()) module.close()
  }

  #plan(placed: PlacedStructOps): StructOpsPlan {
    const { btf, file } = this.#contents
    const { struct } = placed.ops
    const kernel = findStruct(struct, kernels())
    if (kernel === undefined) {
      const near = nearest(struct, kernelNames(VALUE_PREFIX, 'struct'))
      const did = near === undefined ? '' : `: did you mean '${near}'?`
      const what = `no struct ${struct} that programs implement (its BTF has no struct ${VALUE_PREFIX}${struct})`
      throw new RangeError(
        `${file.path} needs, for struct_ops '${placed.map.name}', what this kernel has not got: ${what}${did}`,
      )
    }
    const plan = planStructOps(placed, btf as Btf, kernel)
    for (const { program, member, index } of plan.functions) {
      this.#use(program, { kernel, index, where: `member '${member}' of struct_ops '${placed.map.name}'` })
    }
    return plan
  }

  /** A program may be in several structs, as long as it is the same function of the same struct. */
  #use(name: string, use: Use): void {
    const { programs } = this.#contents
    const program = programs.find(({ program }) => program.name === name)?.program
    if (program === undefined) {
      const near = nearest(
        String(name),
        programs.map(({ program }) => program.name),
      )
      const did = near === undefined ? '' : `: did you mean '${near}'?`
      throw new TypeError(`${use.where} is '${name}', and the object has no such program${did}`)
    }
    if (program.type !== 'struct_ops') {
      const its = program.type ?? 'none'
      throw new TypeError(
        `${use.where} is program '${name}', whose type is ${its}: SEC("struct_ops/${name}") makes it fit`,
      )
    }
    const before = this.#uses.get(name)
    if (before === undefined) this.#uses.set(name, use)
    else if (before.kernel.value.id !== use.kernel.value.id || before.index !== use.index) {
      throw new TypeError(
        `program '${name}' is ${before.where} and ${use.where}: the kernel loads it for one of them only`,
      )
    }
  }

  #moduleOf({ module }: KernelStruct): Handle | undefined {
    if (module === undefined) return undefined
    const before = this.#modules.get(module)
    if (before !== undefined) return before
    for (const { id, name } of kernelObjects()) {
      if (name !== module) continue
      const handle = this.#undo.own(new Handle(btfOpenById(id), `BTF of module ${module}`))
      this.#modules.set(module, handle)
      return handle
    }
    throw new RangeError(`module ${module} has just been unloaded`)
  }
}

function* kernels(): Generator<{ btf: Btf; module: string | undefined }> {
  yield { btf: Btf.kernel(), module: undefined }
  for (const { name, btf } of Btf.modules()) if (btf !== undefined) yield { btf, module: name }
}

/** What of a description is not for these maps would be passed over in silence. */
function checkDescription({ map, size }: PlacedStructOps, given: boolean): void {
  const { name, type, keySize, valueSize, maxEntries, pinning } = map
  const what = `struct_ops '${name}'`
  if (given) throw new TypeError(`${what} is made from its object: load cannot take another map in its place`)
  if (type !== 'STRUCT_OPS') throw new TypeError(`${what} is of type STRUCT_OPS, and cannot be a ${type}`)
  if (pinning !== 'none') throw new TypeError(`${what} is not pinned by its name: app.maps.${name}.pin(path) pins it`)
  if (keySize !== 4) throw new RangeError(`${what}: keySize is ${keySize}, and of STRUCT_OPS it is 4`)
  if (valueSize !== size) throw new RangeError(`${what}: valueSize is ${valueSize}, and its struct has ${size} bytes`)
  if (maxEntries !== 1) throw new RangeError(`${what}: maxEntries is ${maxEntries}, and of STRUCT_OPS it is 1`)
}

function whyNotMade(flags: number, module: Handle | undefined): string | undefined {
  if (module !== undefined) return 'structs of functions in modules came with Linux 6.9'
  if (flags === 0) return undefined
  return 'section .struct_ops.link (the flag LINK) came with Linux 6.4, and .struct_ops does without; other flags are none'
}
