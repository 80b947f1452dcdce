/** Stories told with what clang has made of C: the same maps and programs, from another source. */
import { join, relative } from 'node:path'
import {
  BpfObject,
  BtfError,
  type Codec,
  CoreError,
  ElfError,
  type MapType,
  type ObjectMap,
  type Program,
} from '../../lib'
import { StoryError } from './story'

/** Of stories that have a program in C. */
export const OBJECT_OPTION = { object: { type: 'string' } } as const

/** What --help says of it. */
export function objectUsage(name: string): string {
  return `  --object [FILE]  take program and maps from a compiled object: from progs/c/${name}.bpf.o, made of the C beside it,
                   or from another with the same maps`
}

/** Where the object of a story is kept. */
export function objectPath(name: string): string {
  return join(__dirname, '..', 'c', `${name}.bpf.o`)
}

/** An option `--object` without a file is for the story's own; parseArgs knows no options whose value may be missing. */
export function withOwnObject(name: string, args: readonly string[]): string[] {
  return args.map((arg, i) => {
    const next = args[i + 1]
    return arg === '--object' && (next === undefined || next.startsWith('-')) ? `${arg}=${objectPath(name)}` : arg
  })
}

/** What a story wants of a map of an object: its type, and how its keys and values are read and written. */
export interface WantedMap {
  readonly type: MapType
  readonly key?: Codec<unknown>
  readonly value?: Codec<unknown>
  /** In place of what the source says. */
  readonly maxEntries?: number
  /** Of an outer map: the same of its inner maps. */
  readonly inner?: WantedMap
}

/** What a story works with, wherever it comes from. */
export interface Parts<M extends object, P extends string> extends Disposable {
  readonly maps: M
  readonly programs: Readonly<Record<P, Program>>
}

/**
 * Maps and programs of a compiled object; the caller owns them. Throws StoryError where there is no such object, or it
 * has not got what is wanted.
 */
export function loadObject<M extends object, P extends string>(
  file: string,
  maps: { readonly [K in keyof M]: WantedMap },
  programs: readonly P[],
): Parts<M, P> {
  const object = understood(file, () => BpfObject.open(file))
  const found: Readonly<Record<string, ObjectMap>> = object.maps
  for (const [name, wanted] of Object.entries<WantedMap>(maps)) {
    settle(`${file}: map '${name}'`, found[name], wanted)
  }
  for (const name of programs) {
    if (object.programs[name] === undefined) throw new StoryError(`${file}: program '${name}' is not there`)
  }
  const app = understood(file, () => object.load())
  return {
    maps: app.maps as M,
    programs: app.programs as Record<P, Program>,
    [Symbol.dispose]: () => app.close(),
  }
}

/** What `make` gives, owned as one: all that it has `own`ed, also when it fails. */
export function owning<T extends object>(make: (own: <D extends Disposable>(one: D) => D) => T): T & Disposable {
  const owned: Disposable[] = []
  const close = () => {
    for (const each of owned.splice(0).reverse()) each[Symbol.dispose]()
  }
  try {
    return {
      ...make((one) => {
        owned.push(one)
        return one
      }),
      [Symbol.dispose]: close,
    }
  } catch (error) {
    close()
    throw error
  }
}

/** How a story says where its program comes from. */
export function sourceLine(file: string): string {
  return `   > BpfObject.open('${relative(process.cwd(), file)}').load()`
}

type Description = NonNullable<BpfObject['maps'][string]>

function settle(what: string, map: Description | undefined, { type, key, value, maxEntries, inner }: WantedMap): void {
  if (map?.type !== type) {
    throw new StoryError(
      `${what} is ${map === undefined ? 'not there' : withArticle(map.type)}, and ${withArticle(type)} is wanted`,
    )
  }
  if (key !== undefined) map.key = key
  if (value !== undefined) map.value = value
  if (maxEntries !== undefined) map.maxEntries = maxEntries
  if (inner !== undefined) settle(`${what}, its inner map`, map.inner, inner)
}

const withArticle = (type: string): string => `${/^[AEIOU]/.test(type) ? 'an' : 'a'} ${type}`

/** What is wrong with a file, or does not fit into the story, is the reader's to see, without a stack. */
function understood<T>(file: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (!readers(error)) throw error
    const { message } = error as Error
    throw new StoryError(message.includes(file) ? message : `${file}: ${message}`, { cause: error })
  }
}

function readers(error: unknown): boolean {
  if ([ElfError, BtfError, CoreError, RangeError, TypeError].some((kind) => error instanceof kind)) return true
  return ['ENOENT', 'EACCES', 'EISDIR', 'ENOTDIR'].includes(`${(error as NodeJS.ErrnoException).code}`)
}
