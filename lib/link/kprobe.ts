import { checkU32 } from '../map/attributes'
import { checkBooleans } from '../text/check-boolean'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { attachToEvent, type Cookie, type EventLink } from './event'
import { probeSource } from './event-source'
import { functionHint } from './kernel-functions'
import { checkForOne } from './loaded-for'
import { checkProgram, type ProgramLike } from './program'

export interface KprobeOptions {
  /** Bytes behind the function's beginning: an instruction must begin there. Not with `return`. */
  readonly offset?: number | undefined
  /** What bpf_get_attach_cookie gives to the program: 64 bits, 0 where not given. Linux 5.15. */
  readonly cookie?: Cookie | undefined
  /** At the function's return, with what it returns in the registers. */
  readonly return?: boolean | undefined
}

const OPTIONS = optionNames<KprobeOptions>({ offset: true, cookie: true, return: true })

/**
 * Attaches a program of type `kprobe` to a function of the kernel, or to an instruction in it: its context is struct
 * pt_regs, the registers at that place. It is run on every CPU, for every process.
 *
 * Errors: TypeError (a program of another type); UnsupportedError (a kernel without kprobes); ENOENT (no such function),
 * EADDRNOTAVAIL (several are called so), EINVAL (the kernel forbids probes there), EILSEQ (no instruction begins at the
 * offset), EACCES and EPERM (kernel.perf_event_paranoid). Linux 4.17; by a link from Linux 5.15 on.
 */
export function attachKprobe(program: ProgramLike, name: string, options: KprobeOptions = {}): EventLink {
  checkKnownOptions(options, OPTIONS)
  const { offset = 0, cookie, return: atReturn = false } = options
  checkBooleans({ return: atReturn })
  const kind = atReturn ? 'kretprobe' : 'kprobe'
  checkFunction(name)
  checkU32('offset', offset)
  if (atReturn && offset !== 0) throw new TypeError('offset and return exclude each other: a function has one return')
  const target = `${kind} ${name}${offset === 0 ? '' : `+${offset}`}`
  const known = checkProgram(program, target, 'kprobe')
  checkForOne(known, target)
  const source = probeSource('kprobe')
  const config = atReturn ? source.atReturn : 0
  const fields = { type: source.type, name, offset, config, pid: -1, cpu: 0 }
  const hint = (command: string, code: string) => (command !== 'perf_event_open' ? undefined : kprobeHint(name, code))
  return attachToEvent(known, { fields, kind, target, cookie, hint })
}

const OF_RETURNS = optionNames<Omit<KprobeOptions, 'return' | 'offset'>>({ cookie: true })

/** The same at the function's return: `attachKprobe` with `return`. */
export function attachKretprobe(
  program: ProgramLike,
  name: string,
  options: Omit<KprobeOptions, 'return' | 'offset'> = {},
): EventLink {
  checkKnownOptions(options, OF_RETURNS)
  return attachKprobe(program, name, { cookie: options.cookie, return: true })
}

export function checkFunction(name: string): void {
  if (typeof name !== 'string') throw new TypeError(`the name of a function is a string, not ${typeof name}`)
  if (!/^[^\s\0]+$/.test(name)) throw new RangeError(`${JSON.stringify(name)} cannot be the name of a function`)
}

function kprobeHint(name: string, code: string): string | undefined {
  switch (code) {
    case 'ENOENT':
      return functionHint(name)
    case 'EADDRNOTAVAIL':
      return `the kernel has several functions called '${name}', or it is not loaded any more`
    case 'EINVAL':
      return `the kernel forbids a probe there (/sys/kernel/debug/kprobes/blacklist lists some), or the offset is beyond the function's end`
    case 'EILSEQ':
      return 'no instruction begins at this offset'
    default:
      return undefined
  }
}
