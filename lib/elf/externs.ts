import { btfOpenById } from '../../syscalls/bpf-btf'
import { Btf, type BtfDatasec, type BtfType } from '../btf'
import { kernelObjects } from '../btf/source'
import { declarationIsCompatible } from '../co-re/compatible'
import { essentialName } from '../co-re/names'
import { bytes } from '../codec'
import { type ElfSymbol, STB_WEAK } from '../elf-file/tables'
import { features } from '../features'
import { Handle } from '../handle/handle'
import { ArrayMap } from '../map'
import { canBeOff, configBytes } from './config-value'
import type { Contents } from './contents'
import { KCONFIG, KSYMS } from './kernel-btf'
import { type ConfigValue, hasSyscallWrapper, kernelVersion, readKernelConfig } from './kernel-config'
import { KernelSymbols } from './kernel-symbols'
import type { Reference } from './link-code'
import type { LoadOptions } from './load-options'
import type { Resolved } from './patch'
import type { Undo } from './undo'

/** Where a type of the kernel is: in its own BTF, or in that of a module. */
interface InKernel {
  readonly id: number
  readonly btf: Btf
  /** undefined for the kernel itself. */
  readonly module: string | undefined
}

/** Where something of the kernel's is, if it is there, and why it is not what the object declares. */
interface Match {
  readonly found: InKernel | undefined
  readonly other: string | undefined
}

/** What an object refers to and has not got itself: variables and functions of the kernel, and its configuration. */
export class Externs {
  /** The BTFs of modules whose functions are called: the first is at place 1 of a program's fd array. */
  readonly modules: Handle[] = []
  readonly #contents: Contents
  readonly #options: LoadOptions
  readonly #undo: Undo
  readonly #moduleOf = new Map<string, Handle>()
  /** What names in sections of externs are, by section; and what of the kernel has been found already, or not. */
  readonly #types = new Map<string, ReadonlyMap<string, number>>()
  readonly #found = { func: new Map<string, Match>(), var: new Map<string, Match>() }
  readonly #addresses = new KernelSymbols()
  #symbols: ReadonlyMap<string, ElfSymbol> | undefined
  #config: { readonly map: ArrayMap<Uint8Array>; readonly offsets: ReadonlyMap<string, number> } | undefined

  constructor(contents: Contents, options: LoadOptions, undo: Undo) {
    this.#contents = contents
    this.#options = options
    this.#undo = undo
  }

  /** What takes the place of a reference. Throws ElfError, RangeError: what is not weak has to be there. */
  resolve(program: string, { symbol, at, kind, addend }: Reference): Resolved {
    const { btf } = this.#contents
    const { name } = symbol
    const typeId = this.#typeOf(KCONFIG, name)
    if (typeId !== undefined && btf !== undefined) {
      this.#config ??= this.#makeConfig(btf)
      const offset = this.#config.offsets.get(name) as number
      return { mapValue: this.#config.map.fd, offset: offset + addend }
    }
    const its = this.#typeOf(KSYMS, name)
    if (its === undefined || btf === undefined) {
      const ways = "bpftool gen object links it with the object that has it, and __ksym says that it is the kernel's"
      throw this.#contents.file.error(
        at,
        `program '${program}' refers to '${name}', which the object has not got: ${ways}`,
      )
    }
    const type = btf.type(its)
    if (kind === 'call' || type.kind === 'func') return this.#function(symbol, kind, type)
    if (type.kind === 'var' && btf.resolve(type.type).kind !== 'void') return this.#variable(symbol, type)
    const address = this.#addresses.address(essentialName(name))
    return { constant: (address ?? this.#none(symbol, 'symbol in /proc/kallsyms')) + BigInt(addend) }
  }

  /** What was needed only as long as programs were loaded: they hold it themselves now. */
  close(): void {
    this.#config?.map.close()
    for (const module of this.#moduleOf.values()) module.close()
  }

  #function(symbol: ElfSymbol, kind: Reference['kind'], mine: BtfType): Resolved {
    const { found, other } = this.#match(symbol.name, 'func', mine)
    // A weak function of other parameters is none (bpf_object__resolve_ksym_func_btf_id of libbpf).
    if (other !== undefined && symbol.binding !== STB_WEAK) throw new RangeError(other)
    if (found === undefined || other !== undefined) {
      this.#none(symbol, 'function that programs may call')
      if (kind === 'load') return { constant: 0n }
      const missing = `neither it nor its modules have a function ${essentialName(symbol.name)} that programs may call`
      return { poison: { what: `function ${symbol.name}`, reason: other ?? missing } }
    }
    if (kind === 'load') return { kernelVariable: found.id, moduleFd: this.#moduleFd(found) }
    if (found.module === undefined) return { kernelFunction: found.id, place: 0 }
    const handle = this.#module(found.module)
    if (!this.modules.includes(handle)) this.modules.push(handle)
    return { kernelFunction: found.id, place: this.modules.indexOf(handle) + 1 }
  }

  #variable(symbol: ElfSymbol, mine: BtfType): Resolved {
    const { found, other } = this.#match(symbol.name, 'var', mine)
    if (found === undefined) return { constant: this.#none(symbol, "variable in the kernel's BTF") }
    // Weak or not: the program would take it for something else.
    if (other !== undefined) throw new RangeError(other)
    return { kernelVariable: found.id, moduleFd: this.#moduleFd(found) }
  }

  /** Looked for once, however often a program refers to it. */
  #match(name: string, kind: 'func' | 'var', mine: BtfType): Match {
    let match = this.#found[kind].get(name)
    if (match === undefined) {
      const found = this.#find(name, kind)
      match = { found, other: found === undefined ? undefined : this.#mismatch(mine, found) }
      this.#found[kind].set(name, match)
    }
    return match
  }

  /** Why the kernel's is not what the object declares; undefined where it is. */
  #mismatch(mine: BtfType, { id, btf: target, module }: InKernel): string | undefined {
    const { btf, file } = this.#contents
    const its = target.type(id)
    if (btf === undefined || !('type' in mine) || !('type' in its)) return undefined
    if (mine.kind === its.kind && declarationIsCompatible(btf, mine.type, target, its.type)) return undefined
    const where = module === undefined ? 'this kernel' : `module ${module} of this kernel`
    return `${file.path} declares '${declaration(btf, mine.id)}', and in ${where} it is '${declaration(target, id)}'`
  }

  /** 0 of what is weak; else it is an error that it is not there. */
  #none({ name, binding }: ElfSymbol, what: string): bigint {
    if (binding === STB_WEAK) return 0n
    throw new RangeError(`${this.#contents.file.path} needs '${name}', and this kernel has no such ${what}`)
  }

  #find(name: string, kind: 'func' | 'var'): InKernel | undefined {
    const wanted = essentialName(name)
    const own = Btf.kernel().find(wanted, kind)
    if (own !== undefined) return { id: own.id, btf: Btf.kernel(), module: undefined }
    for (const { name: module, btf } of Btf.modules()) {
      const id = btf?.findAll(wanted, kind).find(({ id }) => id >= btf.firstId)?.id
      if (btf !== undefined && id !== undefined) return { id, btf, module }
    }
    return undefined
  }

  #moduleFd({ module }: InKernel): number {
    return module === undefined ? 0 : this.#module(module).fd
  }

  #module(name: string): Handle {
    const before = this.#moduleOf.get(name)
    if (before !== undefined) return before
    for (const { id, name: its } of kernelObjects()) {
      if (its !== name) continue
      const handle = this.#undo.own(new Handle(btfOpenById(id), `BTF of module ${name}`))
      this.#moduleOf.set(name, handle)
      return handle
    }
    throw new RangeError(`module ${name} has just been unloaded`)
  }

  #section(name: string): BtfDatasec | undefined {
    return this.#contents.btf?.find(name, 'datasec')
  }

  /** The id of the variable or function of that name in a section of externs. */
  #typeOf(section: string, name: string): number | undefined {
    let types = this.#types.get(section)
    if (types === undefined) {
      types = this.#typesIn(section)
      this.#types.set(section, types)
    }
    return types.get(name)
  }

  #typesIn(section: string): ReadonlyMap<string, number> {
    const types = new Map<string, number>()
    const { btf } = this.#contents
    for (const { type } of this.#section(section)?.vars ?? []) {
      const name = btf?.nameOf(type) ?? ''
      if (!types.has(name)) types.set(name, type)
    }
    return types
  }

  /** A frozen map of the values that are asked for, one behind the other: the verifier then knows them. */
  #makeConfig(btf: Btf): { map: ArrayMap<Uint8Array>; offsets: Map<string, number> } {
    const offsets = new Map<string, number>()
    const values: { readonly at: number; readonly bytes: Uint8Array }[] = []
    let length = 0
    let config: ReadonlyMap<string, string> | undefined
    for (const { type } of this.#section(KCONFIG)?.vars ?? []) {
      const variable = btf.type(type)
      if (variable.kind !== 'var') continue
      const { name, type: typeId } = variable
      if (name.startsWith('CONFIG_')) config ??= readKernelConfig()
      const align = btf.alignOf(typeId)
      length = Math.ceil(length / align) * align
      offsets.set(name, length)
      const value = this.#configValue(name, config, canBeOff(btf, typeId))
      const written = value === undefined ? undefined : configBytes(btf, name, typeId, value)
      if (written !== undefined) values.push({ at: length, bytes: written })
      length += written?.length ?? btf.sizeOf(typeId)
      if (length > LARGEST) {
        throw new RangeError(
          `with ${name} the options of the kernel in section ${KCONFIG} have ${length} bytes: no kernel has so many`,
        )
      }
    }
    const whole = new Uint8Array(length)
    for (const { at, bytes } of values) whole.set(bytes, at)
    const flags = ['RDONLY_PROG', 'MMAPABLE'] as const
    const map = this.#undo.own(
      ArrayMap.create({ name: 'kconfig', value: bytes(length), maxEntries: 1, flags: [...flags] }),
    )
    map.set(0, whole)
    map.freeze()
    return { map, offsets }
  }

  /** undefined, which is zeros, for what is weak and not there. */
  #configValue(
    name: string,
    config: ReadonlyMap<string, string> | undefined,
    mayBeOff: boolean,
  ): ConfigValue | undefined {
    const given = this.#options.kconfig?.[name]
    if (given !== undefined) return given
    const virtual = VIRTUAL[name]
    if (virtual !== undefined) return virtual()
    const found = config?.get(name)
    if (found !== undefined) return found
    // Of several files, each has the same of what it only declares.
    this.#symbols ??= new Map(this.#contents.file.symbols.map((symbol) => [symbol.name, symbol] as const))
    const symbol = this.#symbols.get(name)
    if (symbol?.binding === STB_WEAK) return undefined
    const { path } = this.#contents.file
    if (!name.startsWith('CONFIG_')) throw new RangeError(`${path} needs ${name}, which is not known here`)
    const way = `load({ kconfig: { ${name}: ... } }) tells it`
    if (config === undefined) {
      throw new RangeError(`${name}: this kernel does not tell its configuration (/proc/config.gz, /boot): ${way}`)
    }
    // An option that is off has no line of its own: "# CONFIG_X is not set".
    if (mayBeOff) return 'n'
    throw new RangeError(
      `${path} needs ${name}, and this kernel's configuration has it not: ${way}, and __weak lets it be 0`,
    )
  }
}

/** Bytes of all options together: a hostile file may claim what no memory can hold. */
const LARGEST = 2 ** 20

/** What is no option of any kernel, and asked for like one (bpf_object__resolve_externs of libbpf). */
const VIRTUAL: Readonly<Record<string, () => number>> = {
  LINUX_KERNEL_VERSION: () => kernelVersion(),
  LINUX_HAS_BPF_COOKIE: () => Number(features.helper('bpf_get_attach_cookie', 'kprobe') === true),
  LINUX_HAS_SYSCALL_WRAPPER: () => Number(hasSyscallWrapper()),
}

/** In one line of C, without its storage: 'struct task_struct *bpf_task_acquire(struct task_struct *p)'. */
function declaration(btf: Btf, id: number): string {
  const text = btf.toC(id).replace(/\s+/g, ' ').trim()
  const [, bare = text] = /^(?:static |extern )*(.*?);?$/.exec(text) ?? []
  return bare.length > LONGEST ? `${bare.slice(0, LONGEST)}...` : bare
}

/** A struct without a name is written as a whole. */
const LONGEST = 200
