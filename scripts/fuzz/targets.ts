/** What is fuzzed: readers of files that anybody may have written, and what is made from them. */
import { inspect } from 'node:util'
import { createSourceFile, ScriptTarget, type SourceFile } from 'typescript'
import { assemble, disassemble } from '../../lib/asm'
import { Btf, BtfError, codecOf, parseBtfExt } from '../../lib/btf'
import { typeScriptParts } from '../../lib/btf/print'
import { CoreError, relocator } from '../../lib/co-re'
import { BpfObject } from '../../lib/elf'
import { codecOf as codecOfSize } from '../../lib/elf/codecs'
import { configBytes } from '../../lib/elf/config-value'
import { type Contents, readContents } from '../../lib/elf/contents'
import { kernelBtf } from '../../lib/elf/kernel-btf'
import { specOfMap } from '../../lib/elf/map-spec'
import { readObjectFile } from '../../lib/elf/object-file'
import { linesOf, recordsOf, relocationsOf } from '../../lib/elf/program-btf'
import { ElfError } from '../../lib/elf-file/error'
import { ElfFile, SHT_NOBITS } from '../../lib/elf-file/file'
import { memorySource } from '../../lib/elf-file/source'
import { ElfFunctions } from '../../lib/elf-file/symbols'
import { readRelocations, readSymbols } from '../../lib/elf-file/tables'
import { usdtOf } from '../../lib/elf-file/usdt'
import { generate } from '../../lib/gen/generate'
import { withoutDebugging } from '../../lib/gen/strip'
import * as seeds from './seeds'

/** What an input is made of, each changed in its own way. */
export type PartKind = 'elf' | 'btf' | 'split' | 'ext' | 'code'

export type Input = readonly Uint8Array[]

export interface Target {
  readonly name: string
  readonly parts: readonly PartKind[]
  seeds(): Input[]
  /** Reads the input, in every way there is. The result is how many bytes of text were made of it. */
  run(input: Input): number
  /** Whether an error is how a broken input may be refused. */
  refuses(error: unknown): boolean
}

/** Ids that are gone through, in BTF of any size. */
const MOST_IDS = 100

/** Values that are read: larger ones would be the time of reading, not of making codecs. */
const MOST_BYTES = 4096

const isElf = (error: unknown): boolean => error instanceof ElfError
const isBtf = (error: unknown): boolean => error instanceof BtfError

/** Called between one question and the next, to take the time of each. */
export const between: { lap(): void } = { lap: () => undefined }

/** Goes on where something is refused as it may be. */
function tried<T>(refuses: (error: unknown) => boolean, use: () => T): T | undefined {
  between.lap()
  try {
    return use()
  } catch (error) {
    if (refuses(error)) return undefined
    throw error
  }
}

function ids(btf: Btf): number[] {
  const end = btf.firstId + btf.size
  // The last ones too: that is where changes are put.
  const all = Array.from({ length: Math.min(end, MOST_IDS) }, (_, id) => id)
  for (let id = Math.max(end - 20, all.length); id < end; id++) all.push(id)
  return all
}

function askEverything(btf: Btf): void {
  for (const id of ids(btf)) {
    const asks: (() => unknown)[] = [
      () => btf.type(id),
      () => btf.nameOf(id),
      () => btf.kindOf(id),
      () => btf.resolve(id),
      () => btf.sizeOf(id),
      () => btf.alignOf(id),
    ]
    for (const ask of asks) tried(isBtf, ask)
  }
  for (const name of ['int', 's', '', 'x'.repeat(600)]) {
    for (let times = 0; times < 5; times++) tried(isBtf, () => btf.findAll(name))
    tried(isBtf, () => btf.require(name))
    tried(isBtf, () => btf.find(name, 'struct'))
  }
  tried(isBtf, () => btf.require('somewhere_else', 'struct'))
  tried(isBtf, () => Array.from(btf.types('func')))
}

function askCodecs(btf: Btf): void {
  for (const id of ids(btf)) {
    const codec = tried(isBtf, () => codecOf<unknown>(btf, id))
    if (codec === undefined || codec.size > MOST_BYTES) continue
    const view = new DataView(new ArrayBuffer(codec.size + 8))
    for (let i = 0; i < codec.size; i++) view.setUint8(i, i * 37)
    const value = codec.read(view, 0)
    // What was read is not always to be written: text that is no UTF-8, ways of a union that differ.
    tried(isOwnRefusal, () => codec.write(view, 0, value))
  }
}

function askPrinters(btf: Btf): number {
  let made = 0
  const add = (text: string | undefined): void => {
    made = Math.max(made, text?.length ?? 0)
  }
  add(tried(isBtf, () => btf.toC()))
  for (const id of ids(btf)) {
    add(tried(isBtf, () => btf.toC(id)))
    add(tried(isBtf, () => btf.toC(id, { deep: true })))
    add(tried(isBtf, () => btf.toTypeScript(id)))
  }
  const some = ids(btf).filter((id) => tried(isBtf, () => codecOf(btf, id)) !== undefined)
  tried(isBtf, () => typeScriptParts(btf, some))
  return made
}

/** What `load` makes of an object before the kernel is asked. */
function askObject({ file, btf, ext, programs, maps }: Contents): void {
  for (const { linked } of programs) disassemble(linked.bytes, { labels: true })
  for (const { map } of maps) {
    // What cannot be made is told by these; those of the engine are found out by their words.
    tried(isOwnRefusal, () =>
      specOfMap(map, {
        codecOf: (type, size) => codecOfSize(btf, type, size),
        ...{ btfFd: 3, inner: undefined, prefix: 'x' },
      }),
    )
  }
  if (btf === undefined) return
  // A kernel that takes all kinds, and one that takes none.
  for (const takes of [true, false]) {
    tried(
      (error) => isBtf(error) || isElf(error),
      () => kernelBtf(file, btf, () => takes),
    )
  }
  const types = tried(isBtf, () => btf.find('.kconfig', 'datasec')?.vars) ?? []
  for (const { type } of types.slice(0, 20)) {
    for (const value of ['y', 'm', '250', '0x10', '"text"', -1]) {
      tried(
        (error) => isBtf(error) || isOwnRefusal(error),
        () => configBytes(btf, 'CONFIG_X', type, value),
      )
    }
  }
  if (ext === undefined) return
  for (const { linked } of programs) {
    tried(isBtf, () => [recordsOf(linked, ext), linesOf(linked, ext, btf), relocationsOf(linked, ext)])
  }
}

/** Statements of a module that `generate` makes. Names in the object are whatever somebody has written there. */
const STATEMENTS = /^(import |export (interface|type|const) |const |function |\/\/ |\/\*\*)/

/** Throws where a name of the object has become code. */
function checkModule(text: string): void {
  const source = createSourceFile('made.ts', text, ScriptTarget.Latest) as SourceFile & {
    readonly parseDiagnostics: readonly { readonly messageText: unknown; readonly start: number }[]
  }
  const [wrong] = source.parseDiagnostics
  if (wrong !== undefined) {
    throw new Error(
      `no TypeScript: ${inspect(wrong.messageText)} at ${inspect(text.slice(wrong.start, wrong.start + 80))}`,
    )
  }
  for (const statement of source.statements) {
    const its = text.slice(statement.getStart(source), statement.end)
    if (!STATEMENTS.test(its)) throw new Error(`a statement that nobody has asked for: ${inspect(its.slice(0, 80))}`)
  }
}

/** What the JavaScript engine says where nobody has thought of something. */
const ENGINE =
  /Cannot (read|set|add|assign|delete|define|convert|mix|destructure|access)|not extensible|is not (a function|iterable|defined|a constructor)|outside the bounds|[Ii]nvalid (typed )?(array|string|data ?view)|call stack|Invalid (count|code|regular)|out of (bounds|memory)|allocation failed|too many|start offset/i

/** A TypeError or RangeError with words of the library. */
function isOwnRefusal(error: unknown): boolean {
  return (error instanceof TypeError || error instanceof RangeError) && !ENGINE.test(error.message)
}

export const TARGETS: readonly Target[] = [
  {
    name: 'elf-file',
    parts: ['elf'],
    seeds: () => [...seeds.libraries(), ...seeds.objects()],
    run([bytes]) {
      const elf = new ElfFile(memorySource(bytes as Uint8Array))
      for (const section of elf.sections) {
        tried(isElf, () => elf.nameOf(section))
        if (section.type !== SHT_NOBITS) tried(isElf, () => elf.contents(section))
      }
      tried(isElf, () => readSymbols(elf))
      tried(isElf, () => readRelocations(elf))
      return 0
    },
    refuses: isElf,
  },
  {
    name: 'symbols',
    parts: ['elf'],
    seeds: () => seeds.libraries(),
    run([bytes]) {
      const functions = new ElfFunctions(memorySource(bytes as Uint8Array))
      for (const name of functions.names.slice(0, MOST_IDS)) {
        tried(isElf, () => functions.offsetsOf(name))
        tried(isElf, () => functions.offsetOf(name))
      }
      tried(isElf, () => functions.offsetOf('no_such_function'))
      return 0
    },
    refuses: isElf,
  },
  {
    name: 'usdt',
    parts: ['elf'],
    seeds: () => seeds.probed(),
    run: ([bytes]) => inspect(usdtOf(memorySource(bytes as Uint8Array)), { depth: 4 }).length,
    refuses: isElf,
  },
  {
    name: 'btf',
    parts: ['btf'],
    seeds: () => seeds.btfs(),
    run([bytes]) {
      askEverything(Btf.parse(bytes as Uint8Array))
      return 0
    },
    refuses: isBtf,
  },
  {
    name: 'split',
    parts: ['btf', 'split'],
    seeds: () => seeds.splits(),
    run([bytes, split]) {
      const base = Btf.parse(bytes as Uint8Array, { name: 'base' })
      const btf = Btf.parse(split as Uint8Array, { base })
      askEverything(btf)
      tried(isBtf, () => btf.toC())
      return 0
    },
    refuses: isBtf,
  },
  {
    name: 'ext',
    parts: ['btf', 'ext'],
    seeds: () => seeds.exts(),
    run([bytes, ext]) {
      const btf = Btf.parse(bytes as Uint8Array)
      const { functions, lines } = parseBtfExt(ext as Uint8Array, btf)
      for (const { records } of functions) for (const { type } of records) tried(isBtf, () => btf.type(type))
      for (const { records } of lines) for (const { text } of records) tried(isBtf, () => btf.string(text))
      return 0
    },
    refuses: isBtf,
  },
  {
    name: 'codec',
    parts: ['btf'],
    seeds: () => seeds.btfs(),
    run([bytes]) {
      askCodecs(Btf.parse(bytes as Uint8Array))
      return 0
    },
    refuses: isBtf,
  },
  {
    name: 'print',
    parts: ['btf'],
    seeds: () => seeds.btfs(),
    run: ([bytes]) => askPrinters(Btf.parse(bytes as Uint8Array)),
    refuses: isBtf,
  },
  {
    name: 'co-re',
    parts: ['elf', 'btf'],
    seeds: () => seeds.relocated(),
    run([bytes, kernel]) {
      const { btf, ext, programs } = readContents(readObjectFile(bytes as Uint8Array, 'broken'))
      if (btf === undefined || ext === undefined) return 0
      const target = Btf.parse(kernel as Uint8Array, { name: 'kernel' })
      const relocate = relocator(btf, [target])
      for (const { linked } of programs) {
        const relocations = relocationsOf(linked, ext)
        // One by one: the first that is wrong would be all that is seen.
        for (const relocation of relocations.slice(0, 500)) {
          tried(
            (error) => error instanceof CoreError,
            () => relocate(linked.bytes, [relocation]),
          )
        }
      }
      return 0
    },
    refuses: (error) => isElf(error) || isBtf(error) || error instanceof CoreError,
  },
  {
    name: 'object',
    parts: ['elf'],
    seeds: () => seeds.objects(),
    run([bytes]) {
      const object = BpfObject.open(bytes as Uint8Array, { name: 'broken' })
      for (const global of Object.values(object.globals).slice(0, MOST_IDS)) {
        if (global.size > MOST_BYTES) continue
        const { value } = global
        // Writing makes room for the whole section, which may say that it is many megabytes of zeros.
        if ((object.maps[global.section]?.valueSize ?? 0) > MOST_BYTES) continue
        tried(isOwnRefusal, () => {
          global.value = value
        })
      }
      const made = inspect(object).length
      askObject(readContents(readObjectFile(bytes as Uint8Array, 'broken')))
      return made
    },
    refuses: (error) => isElf(error) || isBtf(error),
  },
  {
    name: 'gen',
    parts: ['elf'],
    seeds: () => [...seeds.objects(), ...seeds.unstripped()],
    run([bytes]) {
      const object = BpfObject.open(bytes as Uint8Array, { name: 'broken' })
      const text = generate(object, {
        ...{ name: 'Made', file: 'broken.bpf.o', types: [] },
        source: { path: './broken.bpf.o', modules: 'commonjs' },
      })
      checkModule(text)
      const stripped = BpfObject.open(withoutDebugging(bytes as Uint8Array, 'broken'))
      if (inspect(stripped.programs) !== inspect(object.programs)) throw new Error('stripped, it is something else')
      return text.length
    },
    refuses: (error) => isElf(error) || isBtf(error),
  },
  {
    name: 'asm',
    parts: ['code'],
    seeds: () => seeds.codes(),
    run([bytes]) {
      const code = (bytes as Uint8Array).slice(0, (bytes as Uint8Array).length & ~7)
      let made = 0
      for (const syntax of ['llvm', 'kernel'] as const) {
        for (const labels of [true, false]) {
          const text = disassemble(code, { syntax, labels })
          made = Math.max(made, text.length)
          // The text of both stands for the same bytes.
          if (Buffer.compare(assemble(text).bytes(), code) !== 0)
            throw new Error('assembled again, it is something else')
        }
        made = Math.max(made, disassemble(code, { syntax, numbers: true, xlated: true }).length)
      }
      return made
    },
    // Everything is printed.
    refuses: () => false,
  },
]
