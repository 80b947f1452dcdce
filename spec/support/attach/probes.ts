/** Kernel and user probes as perf events, and where in files functions stand. */
import { readFileSync } from 'node:fs'
import { abi } from '../../../syscalls/abi'
import { throwKernelError } from '../../../syscalls/errno'
import { tryPerfEventOpen } from '../../../syscalls/perf-event'
import { pending } from '../kernel'

/** ioctl(2), by process.arch; arm64, riscv64 and loong64 share a table. */
const IOCTL: Readonly<Record<string, number>> = { x64: 16, ppc64: 54, arm: 54, ia32: 54 }
const NR_IOCTL = IOCTL[process.arch] ?? 29

// include/uapi/linux/perf_event.h
const ENABLE = 0x2400
const SET_BPF = 0x40042408

/** Where struct pt_regs, the context of probes, has a function's first argument and what it returns. */
const REGISTERS: Readonly<Record<string, { readonly argument: number; readonly result: number }>> = {
  x64: { argument: 112, result: 80 },
  arm64: { argument: 0, result: 0 },
}

export function registers(context: Mocha.Context): { readonly argument: number; readonly result: number } {
  return REGISTERS[process.arch] ?? pending(context, `no struct pt_regs of ${process.arch} here`)
}

export interface Probe {
  readonly kind: 'kprobe' | 'uprobe'
  /** The kernel's function, or the file. */
  readonly name: string
  readonly offset?: number
  readonly atReturn?: boolean
}

/** The event of a probe, which the caller owns: of this process's user code, or of the whole kernel. Throws KernelError. */
export function openProbe({ kind, name, offset, atReturn = false }: Probe): number {
  const folder = `/sys/bus/event_source/devices/${kind}`
  const type = Number(readFileSync(`${folder}/type`, 'latin1'))
  // 'config:0': the bit that says so
  const bit = Number(/config:(\d+)/.exec(readFileSync(`${folder}/format/retprobe`, 'latin1'))?.[1])
  const whose = kind === 'uprobe' ? { pid: 0, cpu: -1 } : { pid: -1, cpu: 0 }
  const fd = tryPerfEventOpen({ type, name, offset, config: atReturn ? 1 << bit : 0, ...whose })
  if (fd < 0) throwKernelError(-fd, { syscall: 'perf_event_open', command: `${kind} of ${name}` })
  return fd
}

/** The way from before there were links for it: the program belongs to the event. Throws KernelError. */
export function setProgram(event: number, program: number): void {
  for (const [command, request, argument] of [
    ['PERF_EVENT_IOC_SET_BPF', SET_BPF, program],
    ['PERF_EVENT_IOC_ENABLE', ENABLE, 0],
  ] as const) {
    const result = abi().syscall(NR_IOCTL, event, request, argument)
    if (result < 0) throwKernelError(-result, { syscall: 'ioctl', command })
  }
}

/** The file of libc, as this process has it mapped. */
export function libc(): string {
  const path = /\s(\/\S*\/libc[.-]\S*)$/m.exec(readFileSync('/proc/self/maps', 'latin1'))?.[1]
  if (path === undefined) throw new Error('no libc is mapped')
  return path
}

const SHT_DYNSYM = 11
const PT_LOAD = 1

/** Where in a file of 64 bits, in the machine's byte order, an exported function stands (man 5 elf). */
export function symbolOffset(path: string, name: string): number {
  const elf = readFileSync(path)
  const word = (at: number) => Number(elf.readBigUInt64LE(at))
  const section = (i: number) => word(40) + i * elf.readUInt16LE(58)
  const sections = Array.from({ length: elf.readUInt16LE(60) }, (_, i) => section(i))
  const symbols = sections.find((at) => elf.readUInt32LE(at + 4) === SHT_DYNSYM)
  if (symbols === undefined) throw new Error(`${path} exports nothing`)
  const [from, size, strings] = [
    word(symbols + 24),
    word(symbols + 32),
    word(section(elf.readUInt32LE(symbols + 40)) + 24),
  ]
  const nameAt = (at: number) => elf.toString('latin1', strings + at, elf.indexOf(0, strings + at))
  for (let at = from; at < from + size; at += 24) {
    if (word(at + 8) === 0 || nameAt(elf.readUInt32LE(at)) !== name) continue
    return fileOffset(elf, word(at + 8))
  }
  throw new Error(`${path} does not export ${name}`)
}

function fileOffset(elf: Buffer, address: number): number {
  const word = (at: number) => Number(elf.readBigUInt64LE(at))
  for (let i = 0; i < elf.readUInt16LE(56); i++) {
    const at = word(32) + i * elf.readUInt16LE(54)
    const [offset, start, size] = [word(at + 8), word(at + 16), word(at + 32)]
    if (elf.readUInt32LE(at) === PT_LOAD && address >= start && address < start + size) return address - start + offset
  }
  throw new Error(`nothing of the file is at ${address}`)
}
