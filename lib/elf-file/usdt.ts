import { nearest } from '../text/nearest'
import { ElfError } from './error'
import { ElfFile, ET_DYN, SHT_NOBITS } from './file'
import { type ElfSource, withElfFile } from './source'
import { readArguments, type UsdtArgument } from './usdt-arguments'

/**
 * Probes that a program's author has put into it (USDT; <sys/sdt.h>): a nop at each place, and a note in section
 * .note.stapsdt that tells where it is and where its arguments are (sourceware.org/systemtap/wiki/UserSpaceProbeImplementation).
 */

const SECTION = '.note.stapsdt'
/** Moved by prelink together with the code, which the notes were not: it tells by how much. */
const BASE_SECTION = '.stapsdt.base'
const OWNER = 'stapsdt'
const NT_STAPSDT = 3

/** One place of a probe: a probe that the compiler has inlined is at several. */
export interface UsdtProbe {
  /** Whose it is: 'python'. */
  readonly provider: string
  /** 'gc__start' */
  readonly name: string
  /** Where its nop is in the file, in bytes. */
  readonly offset: number
  /** Where it is in memory, before the loader moves the file. */
  readonly address: bigint
  /** Whether the loader moves it: of libraries, and of executables that are position-independent. */
  readonly moves: boolean
  /** Where in the file the u16 is that says how many watch it, which the program may ask before it computes arguments. */
  readonly semaphore: number | undefined
  /** Where its arguments are when the program is at this place. */
  readonly arguments: readonly UsdtArgument[]
}

/** All places of all probes of a file, in the order of its notes. Errors: ElfError. */
export function usdtOf(source: ElfSource): UsdtProbe[] {
  const elf = new ElfFile(source)
  const named = (name: string) => elf.sections.find((section) => section.index > 0 && elf.nameOf(section) === name)
  const section = named(SECTION)
  if (section === undefined || section.type === SHT_NOBITS) return []
  if (elf.bits !== 64) throw elf.error(4, 'USDT probes are read of 64-bit files only')
  const base = named(BASE_SECTION)?.address
  const notes = elf.contents(section)
  const le = elf.littleEndian
  const probes: UsdtProbe[] = []
  for (let at = 0; at + 12 <= notes.byteLength; ) {
    const from = section.offset + at
    const [ownerBytes, bytes, type] = [0, 4, 8].map((field) => notes.getUint32(at + field, le)) as [
      number,
      number,
      number,
    ]
    const body = at + 12 + align4(ownerBytes)
    if (body + bytes > notes.byteLength) {
      throw elf.error(from, `a note of ${ownerBytes} and ${bytes} bytes in a section of ${notes.byteLength}`)
    }
    if (type === NT_STAPSDT && textAt(notes, at + 12, at + 12 + ownerBytes) === OWNER) {
      probes.push(probeOf(elf, notes, { body, end: body + bytes, from }, base))
    }
    at = body + align4(bytes)
  }
  return probes
}

/** Three addresses, and three strings. */
function probeOf(
  elf: ElfFile,
  notes: DataView,
  { body, end, from }: { body: number; end: number; from: number },
  base: bigint | undefined,
): UsdtProbe {
  if (body + 24 > end) throw elf.error(from, `a probe's note has ${end - body} bytes`)
  const [location, itsBase, semaphoreAt] = [0, 8, 16].map((field) =>
    notes.getBigUint64(body + field, elf.littleEndian),
  ) as [bigint, bigint, bigint]
  const moved = base === undefined || itsBase === 0n ? 0n : base - itsBase
  const strings: string[] = []
  for (let at = body + 24; strings.length < 3; ) {
    const text = textAt(notes, at, end)
    if (text === undefined)
      throw elf.error(from, "a probe's note has no provider, name and arguments that end with NUL")
    strings.push(text)
    at += Buffer.byteLength(text, 'latin1') + 1
  }
  const [provider = '', name = '', args = ''] = strings
  const what = `probe ${provider}:${name}`
  const address = BigInt.asUintN(64, location + moved)
  const place = elf.placeOf(address)
  if (!place?.executable)
    throw elf.error(from, `${what} is said to be at 0x${address.toString(16)}: no code is loaded there`)
  const semaphore = semaphoreAt === 0n ? undefined : elf.placeOf(BigInt.asUintN(64, semaphoreAt + moved))
  if (semaphoreAt !== 0n && (semaphore === undefined || semaphore.executable)) {
    throw elf.error(
      from,
      `the semaphore of ${what} is said to be at 0x${semaphoreAt.toString(16)}: no data is loaded there`,
    )
  }
  return {
    provider,
    name,
    offset: place.offset,
    address,
    moves: elf.type === ET_DYN,
    semaphore: semaphore?.offset,
    arguments: readArguments(args, elf.machine),
  }
}

function align4(bytes: number): number {
  return Math.ceil(bytes / 4) * 4
}

/** A string that ends with a NUL before `end`. */
function textAt(view: DataView, from: number, end: number): string | undefined {
  const bytes = Buffer.from(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength)
  const nul = bytes.indexOf(0, from)
  return nul < 0 || nul >= end ? undefined : bytes.toString('latin1', from, nul)
}

/**
 * The USDT probes of an executable or a shared library: each place of each. None where it was built without. Errors:
 * ElfError; Node's own (ENOENT, EACCES) where the file cannot be read.
 */
export function usdtProbes(path: string): readonly UsdtProbe[] {
  return withElfFile(path, usdtOf)
}

/** The places of one probe. Errors: those of `usdtProbes`; ElfError with code ENOENT where the file has no such probe. */
export function findUsdt(path: string, provider: string, name: string): readonly UsdtProbe[] {
  const all = usdtProbes(path)
  const found = all.filter((probe) => probe.provider === provider && probe.name === name)
  if (found.length > 0) return found
  const wanted = `${provider}:${name}`
  if (all.length === 0) throw missing(path, `no probe ${wanted}: the file has no USDT probes (section ${SECTION})`)
  const near = nearest(
    wanted,
    all.map((probe) => `${probe.provider}:${probe.name}`),
  )
  throw missing(
    path,
    `no probe ${wanted}${near === undefined ? '' : `: did you mean '${near}'?`} (usdtProbes lists them)`,
  )
}

function missing(path: string, reason: string): ElfError {
  return new ElfError(path, reason, undefined, 'ENOENT')
}
