/** LLVM's assembler and disassembler for BPF, the newest on this machine. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { endianness, tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

const TRIPLE = endianness() === 'LE' ? 'bpfel' : 'bpfeb'
const FOLDERS = `${process.env.PATH ?? ''}${delimiter}/usr/bin`.split(delimiter)

export interface Llvm {
  readonly version: number
  /** The bytes of the text, by llvm-mc; throws what it says of text that it refuses. */
  assemble(text: string): Uint8Array
  /** The same, then printed by llvm-objdump: without the head, and with the bytes before each instruction. */
  listing(text: string): { bytes: Uint8Array; text: string }
}

/** Undefined where none is installed. Debian's package is llvm-19 (or any llvm-NN). */
export function findLlvm(): Llvm | undefined {
  const suffixes = new Set(FOLDERS.flatMap(tools).sort((a, b) => Number(b.slice(1)) - Number(a.slice(1))))
  for (const suffix of suffixes) {
    const told = spawnSync(`llvm-mc${suffix}`, ['--version'], { encoding: 'utf8' }).stdout ?? ''
    const version = /LLVM version (\d+)/.exec(told)?.[1]
    if (version !== undefined && told.includes(TRIPLE)) return llvm(Number(version), suffix)
  }
  return undefined
}

/** What follows the tools' names: '-19', or nothing for those without a version, which come last. */
function tools(folder: string): string[] {
  try {
    return readdirSync(folder).flatMap((name) => /^llvm-mc(-\d+|)$/.exec(name)?.[1] ?? [])
  } catch {
    return []
  }
}

function llvm(version: number, suffix: string): Llvm {
  // The instruction set v4 came with LLVM 18; its parser takes w registers in all of them.
  const cpu = version >= 18 ? 'v4' : 'v3'
  const object = <T>(text: string, use: (path: string, folder: string) => T): T => {
    const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-llvm-'))
    try {
      const path = join(folder, 'program.o')
      const args = [`-triple=${TRIPLE}`, `-mcpu=${cpu}`, '-mattr=+alu32', '-filetype=obj', '-o', path]
      const { status, stderr } = spawnSync(`llvm-mc${suffix}`, args, { input: `${text}\n`, encoding: 'utf8' })
      if (status !== 0) throw new Error(stderr)
      return use(path, folder)
    } finally {
      rmSync(folder, { recursive: true })
    }
  }
  const section = (path: string, folder: string): Uint8Array => {
    const out = join(folder, 'text')
    execFileSync(`llvm-objcopy${suffix}`, ['-O', 'binary', '--only-section=.text', path, out])
    return new Uint8Array(readFileSync(out))
  }
  return {
    version,
    assemble: (text) => object(text, section),
    listing: (text) =>
      object(text, (path, folder) => {
        const args = ['-d', `--mcpu=${cpu}`, '--mattr=+alu32', path]
        const printed = execFileSync(`llvm-objdump${suffix}`, args, { encoding: 'utf8' })
        const start = printed.indexOf('section .text:\n')
        return { bytes: section(path, folder), text: printed.slice(start + 'section .text:\n'.length) }
      }),
  }
}
