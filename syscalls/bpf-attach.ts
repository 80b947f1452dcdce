import {
  type ProgAttachAttr,
  type ProgDetachAttr,
  packProgAttach,
  packProgDetach,
  packProgQuery,
  readQueryAttachFlags,
  readQueryCount,
  readQueryRevision,
} from './attr'
import { commonCount, optionalBytes } from './buffer'
import { call } from './call'
import type { Subject } from './errno'
import { checkFd, checkFds } from './fd'
import { BPF_PROG_ATTACH, BPF_PROG_DETACH, BPF_PROG_QUERY } from './uapi'

/** Typed calls of bpf(2) that attach without a link. All throw KernelError. */

/**
 * BPF_PROG_ATTACH: to a cgroup, a SOCKMAP, a network namespace or a device; without a link it stays until it is
 * detached or its target is gone. Errors: EINVAL, EPERM, EEXIST, ESTALE or EBUSY (expected_revision).
 */
export function progAttach(fields: ProgAttachAttr, subject?: Subject): void {
  checkFd(fields.attach_bpf_fd, 'attach_bpf_fd')
  checkFds({
    target_fd: fields.target_fd,
    replace_bpf_fd: fields.replace_bpf_fd,
    relative_fd: fields.relative_fd,
  })
  call(BPF_PROG_ATTACH, packProgAttach, fields, { subject })
}

/** BPF_PROG_DETACH. Errors: ENOENT (it is not attached there), EINVAL. */
export function progDetach(fields: ProgDetachAttr, subject?: Subject): void {
  checkFds({
    target_fd: fields.target_fd,
    attach_bpf_fd: fields.attach_bpf_fd,
    relative_fd: fields.relative_fd,
  })
  call(BPF_PROG_DETACH, packProgDetach, fields, { subject })
}

/** What BPF_PROG_QUERY takes; the arrays that are given have one length, and are written to. */
export type ProgQueryFields = ({ target_fd: number } | { target_ifindex: number }) & {
  /** enum bpf_attach_type */
  attach_type: number
  /** BPF_F_QUERY_EFFECTIVE */
  query_flags?: number | undefined
  prog_ids?: Uint32Array | undefined
  /** not with BPF_F_QUERY_EFFECTIVE. Linux 6.1 */
  prog_attach_flags?: Uint32Array | undefined
  /** Linux 6.6 */
  link_ids?: Uint32Array | undefined
  /** Linux 6.6 */
  link_attach_flags?: Uint32Array | undefined
}

export interface ProgQueryReply {
  /** How many programs there are. */
  readonly count: number
  /** Whether the arrays had room for fewer. */
  readonly truncated: boolean
  /** BPF_F_ALLOW_MULTI and others, of the target itself. */
  readonly attachFlags: number
  /** The expected_revision of a later change. Linux 6.6; 0 before. */
  readonly revision: bigint
}

/** BPF_PROG_QUERY: what is attached to a target. */
export function progQuery(fields: ProgQueryFields, subject?: Subject): ProgQueryReply {
  const { prog_ids, prog_attach_flags, link_ids, link_attach_flags } = fields
  const target = 'target_fd' in fields ? { target_fd: fields.target_fd } : { target_ifindex: fields.target_ifindex }
  checkFds(target.target_fd === undefined ? {} : { target_fd: target.target_fd })
  const attr = {
    ...target,
    attach_type: fields.attach_type,
    query_flags: fields.query_flags,
    prog_ids: optionalBytes(prog_ids, 'prog_ids').address,
    prog_attach_flags: optionalBytes(prog_attach_flags, 'prog_attach_flags').address,
    link_ids: optionalBytes(link_ids, 'link_ids').address,
    link_attach_flags: optionalBytes(link_attach_flags, 'link_attach_flags').address,
    count: commonCount({ prog_ids, prog_attach_flags, link_ids, link_attach_flags }),
  }
  const options = { subject, keep: fields, mayFail: ['ENOSPC'] }
  const { result, attr: reply } = call(BPF_PROG_QUERY, packProgQuery, attr, options)
  return {
    count: readQueryCount(reply),
    truncated: result < 0,
    attachFlags: readQueryAttachFlags(reply),
    revision: readQueryRevision(reply),
  }
}
