import { nearest } from '../text/nearest'
import { withoutPrefix } from '../text/without-prefix'

/** The names that can be asked for, and what is said of one that is none. */

/** Names that others have for what is called otherwise here, each with what to write instead. */
export type Aliases = Readonly<Record<string, string>>

/** Refuses a name that is not in the list, with the nearest one that is, or with the list where none is near. */
export function checkKnown(what: string, name: unknown, names: readonly string[], aliases: Aliases = {}): void {
  if (typeof name === 'string' && names.includes(name)) return
  const text = typeof name === 'string' ? `'${name}'` : String(name)
  const bare = withoutPrefix(name, names)
  if (bare !== undefined) throw new TypeError(`no ${what} is called ${text}: ${bare}`)
  const near = typeof name === 'string' ? meant(name, names, aliases) : undefined
  const list = names.length > MANY ? '' : `: There are ${names.join(', ')}`
  throw new TypeError(`no ${what} is called ${text}${near === undefined ? list : `: did you mean ${near}?`}`)
}

function meant(name: string, names: readonly string[], aliases: Aliases): string | undefined {
  if (Object.hasOwn(aliases, name)) return aliases[name]
  const near = nearest(name, names)
  return near === undefined ? undefined : `'${near}'`
}

const traced = (place: string) => `'tracing', with expectedAttachType: '${place}'`

/** What sections of compiled objects, and other libraries, call types of programs. */
export const PROGRAM_TYPE_ALIASES: Aliases = {
  ...{ tc: "'sched_cls'", tcx: "'sched_cls'", cls: "'sched_cls'", classifier: "'sched_cls'", netkit: "'sched_cls'" },
  ...{ act: "'sched_act'", action: "'sched_act'", socket: "'socket_filter'", sock_filter: "'socket_filter'" },
  ...{ tp: "'tracepoint'", raw_tp: "'raw_tracepoint'", 'raw_tp.w': "'raw_tracepoint_writable'" },
  ...{ kretprobe: "'kprobe'", uprobe: "'kprobe'", uretprobe: "'kprobe'", ksyscall: "'kprobe'", usdt: "'kprobe'" },
  ...{ fentry: traced('trace_fentry'), fexit: traced('trace_fexit'), fmod_ret: traced('modify_return') },
  ...{ tp_btf: traced('trace_raw_tp'), iter: traced('trace_iter'), freplace: "'ext'", extension: "'ext'" },
}

/** The same of attach types. */
export const ATTACH_TYPE_ALIASES: Aliases = { fmod_ret: "'modify_return'", tp_btf: "'trace_raw_tp'" }

/** Names beyond which a list of them helps nobody. */
const MANY = 60
