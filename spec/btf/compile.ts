/** C for BPF, compiled by clang, and the sections of the object. */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pending } from '../support/kernel'

/** CLANG names another clang than the one in the PATH. */
const CLANG = process.env.CLANG ?? 'clang'

/** Pending where there is no clang for BPF. */
export function requireClang(context: Mocha.Context): void {
  const { status } = spawnSync(CLANG, ['-target', 'bpf', '-fsyntax-only', '-x', 'c', '-'], { input: 'int x;' })
  if (status !== 0) pending(context, 'needs clang with the BPF target')
}

type Target = 'bpf' | 'bpfeb' | 'bpfel'

/** The path of the object, `folder`/program.o. Throws what clang says. */
export function compile(source: string, folder: string, target: Target = 'bpf'): string {
  writeFileSync(join(folder, 'program.c'), source)
  return run(folder, target, '-c', 'program.o')
}

/** The path of the assembler's text of the same program. */
export function assemblyOf(folder: string, target: Target = 'bpf'): string {
  return run(folder, target, '-S', 'program.s')
}

function run(folder: string, target: Target, what: '-c' | '-S', name: string): string {
  const args = ['-target', target, '-O2', '-g', '-w', what, join(folder, 'program.c'), '-o', join(folder, name)]
  const { status, stderr } = spawnSync(CLANG, args, { encoding: 'utf8', cwd: folder })
  if (status !== 0) throw new Error(`${CLANG} ${args.join(' ')}: ${stderr}`)
  return join(folder, name)
}

/** The bytes of a section of a 64-bit ELF file, in either byte order. */
export function sectionOf(path: string, name: string): Buffer {
  const elf = readFileSync(path)
  const little = elf[5] === 1
  const u16 = (at: number) => (little ? elf.readUInt16LE(at) : elf.readUInt16BE(at))
  const u32 = (at: number) => (little ? elf.readUInt32LE(at) : elf.readUInt32BE(at))
  const u64 = (at: number) => Number(little ? elf.readBigUInt64LE(at) : elf.readBigUInt64BE(at))
  // Elf64_Ehdr: e_shoff, e_shentsize, e_shnum, e_shstrndx. Elf64_Shdr: sh_name, sh_offset, sh_size.
  const header = (i: number) => u64(40) + i * u16(58)
  const names = u64(header(u16(62)) + 24)
  for (let i = 0; i < u16(60); i++) {
    const at = names + u32(header(i))
    if (elf.toString('latin1', at, elf.indexOf(0, at)) !== name) continue
    const from = u64(header(i) + 24)
    return elf.subarray(from, from + u64(header(i) + 32))
  }
  throw new Error(`${path} has no section ${name}`)
}
