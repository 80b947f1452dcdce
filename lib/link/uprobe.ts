import { type Stats, statSync } from 'node:fs'
import { readFunctions } from '../elf-file/symbols'
import { checkU32 } from '../map/attributes'
import { checkBooleans } from '../text/check-boolean'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { attachToEvent, type Cookie, type EventLink } from './event'
import { probeSource } from './event-source'
import { checkForOne } from './loaded-for'
import { checkPid } from './pid'
import { checkProgram, type ProgramLike } from './program'

export interface UprobeOptions {
  /** The one process that is traced, by its id; else all that run the file. */
  readonly pid?: number | undefined
  /** What bpf_get_attach_cookie gives to the program: 64 bits, 0 where not given. Linux 5.15. */
  readonly cookie?: Cookie | undefined
  /** At the function's return, with what it returns in the registers. */
  readonly return?: boolean | undefined
  /**
   * Where in the file a u16 is that the kernel raises by one as long as this is attached: that of a USDT probe, which is
   * off without. Linux 4.20.
   */
  readonly semaphore?: number | undefined
}

/** A function by the name that the file has for it, or the offset of an instruction in the file. */
export type UserFunction = string | number

const OPTIONS = optionNames<UprobeOptions>({ pid: true, cookie: true, return: true, semaphore: true })

/**
 * Attaches a program of type `kprobe` to a function of an executable or a shared library: its context is struct pt_regs,
 * the registers at that place. Also processes that begin later are traced, unless one is named.
 *
 * A name is looked up in the file's symbols; a number is taken as it is, and it must be an instruction's beginning.
 *
 * Errors: TypeError (a program of another type); ElfError (the file is no ELF file, or its code ENOENT: it has no such
 * function); UnsupportedError (a kernel without uprobes); ENOENT (no such file), EINVAL (the offset is beyond the file, or
 * no instruction that can be probed), ESRCH (no such process), EACCES and EPERM (kernel.perf_event_paranoid). Linux 4.17;
 * by a link from Linux 5.15 on.
 */
export function attachUprobe(
  program: ProgramLike,
  path: string,
  where: UserFunction,
  options: UprobeOptions = {},
): EventLink {
  checkKnownOptions(options, OPTIONS)
  const { pid, cookie, return: atReturn = false, semaphore = 0 } = options
  checkBooleans({ return: atReturn })
  checkSemaphore(semaphore)
  const kind = atReturn ? 'uretprobe' : 'uprobe'
  checkPath(path)
  if (pid !== undefined) checkPid('pid', pid)
  const target = `${kind} ${path}:${where}`
  const known = checkProgram(program, target, 'kprobe')
  checkForOne(known, target)
  const [offset = 0] = offsetsOf(path, [where])
  const source = probeSource('uprobe')
  // perf_uprobe_event_attrs: ref_ctr_offset is the upper half.
  const config = (BigInt(semaphore) << 32n) | BigInt(atReturn ? source.atReturn : 0)
  const whose = pid === undefined ? { pid: -1, cpu: 0 } : { pid, cpu: -1 }
  const hint = (command: string, code: string) =>
    command !== 'perf_event_open' ? undefined : uprobeHint(path, [offset], code, semaphore)
  const fields = { type: source.type, name: path, offset, config, ...whose }
  return attachToEvent(known, { fields, kind, target, cookie, hint })
}

const OF_RETURNS = optionNames<Omit<UprobeOptions, 'return'>>({ pid: true, cookie: true, semaphore: true })

/** The same at the function's return: `attachUprobe` with `return`. */
export function attachUretprobe(
  program: ProgramLike,
  path: string,
  where: UserFunction,
  options: Omit<UprobeOptions, 'return'> = {},
): EventLink {
  checkKnownOptions(options, OF_RETURNS)
  return attachUprobe(program, path, where, { ...options, return: true })
}

function checkSemaphore(semaphore: number): void {
  checkU32('semaphore', semaphore)
  if (semaphore % 2 !== 0) throw new RangeError(`${semaphore} cannot be semaphore: it is a u16, at an even offset`)
}

/** Where in the file they are: the file is read where there are names among them. */
export function offsetsOf(path: string, where: readonly UserFunction[]): number[] {
  for (const each of where) checkUserFunction(each)
  const named = where.some((each) => typeof each === 'string') ? readFunctions(path) : undefined
  return where.map((each) => (typeof each === 'number' ? each : (named?.offsetOf(each) ?? 0)))
}

function checkUserFunction(where: UserFunction): void {
  if (typeof where !== 'string' && typeof where !== 'number') {
    throw new TypeError(`a function is a name or an offset in the file, not ${typeof where}`)
  }
  if (typeof where === 'number' && (!Number.isSafeInteger(where) || where < 0)) {
    throw new RangeError(`${where} cannot be an offset in a file`)
  }
}

export function checkPath(path: string): void {
  if (typeof path !== 'string')
    throw new TypeError(`the path of an executable or library is a string, not ${typeof path}`)
  if (path === '' || path.includes('\0')) throw new RangeError(`${JSON.stringify(path)} cannot be a path`)
}

export function uprobeHint(path: string, offsets: readonly number[], code: string, semaphore = 0): string | undefined {
  switch (code) {
    case 'ENOENT':
      return `there is no file ${path}`
    case 'EBADF':
      return `${path} is no regular file`
    case 'EINVAL':
      return `${whyNoProbe(path, offsets)}${semaphore === 0 ? '' : otherSemaphore(semaphore)}`
    case 'ESRCH':
      return 'there is no such process'
    default:
      return undefined
  }
}

/** alloc_uprobe in kernel/events/uprobes.c: all probes of a place have one semaphore, or none. */
const otherSemaphore = (semaphore: number): string =>
  `; or it is probed already, with another semaphore than ${semaphore} or with none`

function whyNoProbe(path: string, offsets: readonly number[]): string {
  const file = fileOf(path)
  if (file !== undefined && !file.isFile()) return `${path} is no regular file`
  const beyond = offsets.find((offset) => file !== undefined && offset >= file.size)
  if (beyond !== undefined) return `offset ${beyond} is beyond the end of ${path}, which has ${file?.size} bytes`
  const at = offsets.length === 1 ? `offset ${offsets[0]}` : 'one of the offsets'
  return `at ${at} of ${path} begins no instruction that can be probed`
}

function fileOf(path: string): Stats | undefined {
  try {
    return statSync(path)
  } catch {
    // It is asked for when something else has failed already: that is what has to be told.
    return undefined
  }
}
