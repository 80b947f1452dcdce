import { closeSync, constants, openSync, readFileSync, statfsSync } from 'node:fs'
import { ATTACH_TYPES, type AttachTypeName } from '../../syscalls/uapi-names'
import type { Words } from '../features/unsupported'
import { fdOf, type HasFd } from '../handle/fd-of'
import { checkKnownOptions, optionNames } from '../text/known-options'
import type { Attachment } from './attachment'
import { attachAlone } from './cgroup-alone'
import { CGROUP_HINTS, CGROUP_HOOKS, type CgroupHook, OTHER_HOOK } from './cgroup-hooks'
import { createLink, type Link } from './link'
import { ORDER_HINTS, type OrderOptions, orderOf } from './order'
import { checkProgram, type KnownProgram, type ProgramLike } from './program'

/** A cgroup of version 2: its folder, or an fd of that. */
export type Cgroup = string | HasFd

export interface CgroupOptions extends OrderOptions {
  /** The hook; that for which the program was loaded where not given. */
  readonly hook?: CgroupHook | undefined
  /**
   * 'multi', a link, beside the programs of this cgroup and of those above it. 'override': without a link, one program
   * alone, in whose place a cgroup below may have another. 'exclusive': the same, and none below.
   */
  readonly mode?: 'multi' | 'override' | 'exclusive' | undefined
}

const OPTIONS = optionNames<CgroupOptions>({ hook: true, mode: true, place: true, expectedRevision: true })

/**
 * Attaches a program to a cgroup: it runs for what the processes in it and below it do.
 *
 * Errors: ENOENT, ENOTDIR, RangeError (the path is no folder of a cgroup2 file system); EBADF (nor is the fd); EPERM (a
 * program is attached here or above that admits no other); EBUSY (one is here that would not be alone); E2BIG (64 are
 * there); EINVAL, ESTALE (the neighbour is not there, `expectedRevision`). Linux 5.7; `place` and `expectedRevision` 6.17.
 */
export function attachCgroup(
  program: ProgramLike,
  cgroup: Cgroup,
  options?: CgroupOptions & { readonly mode?: 'multi' | undefined },
): Link
export function attachCgroup(program: ProgramLike, cgroup: Cgroup, options: CgroupOptions): Attachment
export function attachCgroup(program: ProgramLike, cgroup: Cgroup, options: CgroupOptions = {}): Attachment {
  checkKnownOptions(options, OPTIONS)
  const { mode = 'multi', hook: wanted, ...order } = options
  if (mode !== 'multi' && mode !== 'override' && mode !== 'exclusive') {
    throw new TypeError(`mode is 'multi', 'override' or 'exclusive', not ${JSON.stringify(mode)}`)
  }
  const { hook, known } = hookOf(program, wanted, cgroup)
  return withCgroup(cgroup, (target_fd, label) => {
    const where = `${hook} of ${label}`
    if (mode !== 'multi') {
      if (order.place !== undefined || order.expectedRevision !== undefined) {
        throw new TypeError(`with mode: '${mode}' there is one program alone, and no order`)
      }
      if (hook === 'lsm_cgroup') throw new TypeError("lsm_cgroup is attached by a link only: mode is 'multi'")
      return attachAlone(known, target_fd, hook, where, mode)
    }
    const { flags, relative } = orderOf(order)
    const attach_type = ATTACH_TYPES[hook]
    const union = flags === undefined && order.expectedRevision === undefined ? undefined : { ...relative }
    const fields = { prog_fd: known.fd, target_fd, attach_type, flags }
    const target = union === undefined ? fields : { ...fields, union: { member: 'cgroup' as const, ...union } }
    return createLink(target, where, asked(hook), (_command, code) => hint(code, union !== undefined, known))
  })
}

const asked = (hook: CgroupHook): readonly Words[] => [['attach', hook === 'lsm_cgroup' ? hook : 'cgroup']]

function hint(code: string, ordered: boolean, { expectedAttachType }: KnownProgram): string | undefined {
  if (code === 'EPERM') {
    return 'a program is attached to this cgroup, or to one above it, that admits no other, or a capability is missing'
  }
  if (code === 'E2BIG') return 'a cgroup takes 64 programs at a hook'
  // Of a neighbour that is not there, too (get_prog_list in kernel/bpf/cgroup.c).
  if (code === 'EINVAL' && ordered) {
    const unknown = expectedAttachType === undefined ? `; or ${OTHER_HOOK}` : ''
    return `the neighbour is not attached there; or the kernel is from before Linux 6.17, and knows no order among the programs of a cgroup${unknown}`
  }
  if (code === 'EINVAL' && expectedAttachType === undefined) return OTHER_HOOK
  // A link of another hook, and one that is detached, are said to be missing as the cgroup is (get_anchor_link).
  if (code === 'ENOENT' && ordered) return `${ORDER_HINTS.ENOENT}, or ${CGROUP_HINTS.ENOENT}`
  return CGROUP_HINTS[code] ?? ORDER_HINTS[code]
}

/** The hook to attach to, once it is certain that the program is for it. */
function hookOf(program: ProgramLike, wanted: CgroupHook | undefined, cgroup: Cgroup) {
  const label = typeof cgroup === 'string' ? cgroup : 'a cgroup'
  if (wanted !== undefined && !Object.hasOwn(CGROUP_HOOKS, wanted)) {
    throw new TypeError(
      `a cgroup has no hook ${JSON.stringify(wanted)}: it has ${Object.keys(CGROUP_HOOKS).join(', ')}`,
    )
  }
  const types = wanted === undefined ? [...new Set(Object.values(CGROUP_HOOKS))] : [CGROUP_HOOKS[wanted]]
  const known = checkProgram(program, wanted === undefined ? label : `${wanted} of ${label}`, ...types)
  const { expectedAttachType, type } = known
  if (expectedAttachType !== undefined && !isHook(expectedAttachType)) {
    throw new TypeError(`${known.description} was loaded for ${expectedAttachType}, which is no hook of a cgroup`)
  }
  const loadedFor = expectedAttachType
  if (wanted === undefined) {
    const hooks = Object.keys(CGROUP_HOOKS).filter((hook) => CGROUP_HOOKS[hook as CgroupHook] === type) as CgroupHook[]
    const hook = loadedFor ?? (hooks.length === 1 ? hooks[0] : undefined)
    if (hook === undefined) {
      throw new TypeError(`${known.description} does not tell its hook: say one of ${hooks.join(', ')}`)
    }
    return { hook, known }
  }
  // Only of cgroup_skb does the kernel take a program for both directions (bpf_prog_attach_check_attach_type).
  if (loadedFor !== undefined && loadedFor !== wanted && type !== 'cgroup_skb') {
    throw new TypeError(`${known.description} was loaded for ${loadedFor}: it cannot be attached to ${wanted}`)
  }
  return { hook: wanted, known }
}

function isHook(name: AttachTypeName): name is CgroupHook {
  return Object.hasOwn(CGROUP_HOOKS, name)
}

/** statfs(2) f_type of cgroup2 (include/uapi/linux/magic.h) */
const CGROUP2_MAGIC = 0x63677270n

/** Runs `use` with an fd of the cgroup's folder, which is closed afterwards if it was opened here. */
export function withCgroup<T>(cgroup: Cgroup, use: (fd: number, label: string) => T): T {
  if (typeof cgroup !== 'string') {
    const fd = fdOf(cgroup, 'cgroup', 'the path of its folder, or an fd of that')
    return use(fd, `the cgroup of fd ${fd}`)
  }
  const { type } = statfsSync(cgroup, { bigint: true })
  if (BigInt.asUintN(32, type) !== CGROUP2_MAGIC) throw new RangeError(noCgroup(cgroup))
  const fd = openSync(cgroup, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    return use(fd, cgroup)
  } finally {
    closeSync(fd)
  }
}

function noCgroup(path: string): string {
  const mounted = /^\S+ (\S+) cgroup2 /m.exec(readFileSync('/proc/self/mounts', 'latin1'))?.[1]
  const where = mounted === undefined ? 'and none is mounted' : `which is mounted at ${mounted}`
  return `${path} is not in the file system of cgroups of version 2, ${where}`
}
