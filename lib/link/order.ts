import { checkKind } from '../../syscalls/fd'
import { BPF_F_AFTER, BPF_F_BEFORE } from '../../syscalls/uapi-link'
import { BPF_F_LINK } from '../../syscalls/uapi-map'
import { fdOf } from '../handle/fd-of'
import { checkU64 } from '../map/attributes'
import { Attachment } from './attachment'
import { Link } from './link'
import type { ProgramLike } from './program'

/** One of those that are at a hook: the link, or the program, which must be there without one. */
export type Neighbour = Link | ProgramLike

/** Where a program stands among the others at its hook. */
export interface OrderOptions {
  /** In front of all, behind all, or beside one of them. Behind all where not given. */
  readonly place?: 'first' | 'last' | { readonly before: Neighbour } | { readonly after: Neighbour } | undefined
  /** Only if nobody has changed the list since `attached` told this number: ESTALE else. */
  readonly expectedRevision?: bigint | undefined
}

/** As BPF_LINK_CREATE takes it; empty where nothing is asked for, which older kernels understand too. */
export function orderOf({ place, expectedRevision }: OrderOptions): {
  readonly flags: number | undefined
  readonly relative: { relative_fd?: number; expected_revision?: bigint }
} {
  if (expectedRevision !== undefined && typeof expectedRevision !== 'bigint') {
    throw new TypeError(`expectedRevision is the bigint that attached() tells, not ${typeof expectedRevision}`)
  }
  if (expectedRevision !== undefined) checkU64('expectedRevision', expectedRevision)
  const revision = expectedRevision === undefined ? {} : { expected_revision: expectedRevision }
  if (place === undefined) return { flags: undefined, relative: revision }
  if (place === 'first') return { flags: BPF_F_BEFORE, relative: revision }
  if (place === 'last') return { flags: BPF_F_AFTER, relative: revision }
  if (typeof place === 'object' && place !== null) {
    if ('before' in place) return beside(place.before, BPF_F_BEFORE, revision)
    if ('after' in place) return beside(place.after, BPF_F_AFTER, revision)
  }
  throw new TypeError(`place is 'first', 'last', { before } or { after }, not ${JSON.stringify(place)}`)
}

function beside(neighbour: Neighbour, flag: number, revision: { expected_revision?: bigint }) {
  if (neighbour instanceof Link) {
    return { flags: flag | BPF_F_LINK, relative: { relative_fd: neighbour.fd, ...revision } }
  }
  if (neighbour instanceof Attachment) {
    throw new TypeError(`${neighbour.description} is no link: say its program in its place`)
  }
  const relative_fd = fdOf(neighbour, 'the neighbour')
  checkKind(relative_fd, 'bpf-prog')
  return { flags: flag, relative: { relative_fd, ...revision } }
}

/** What the kernel says of an order that cannot be. */
export const ORDER_HINTS: Readonly<Record<string, string>> = {
  ENOENT: 'the neighbour is not attached there',
  ERANGE: 'the neighbour is not attached there, or not where it would have to be',
  ESTALE: 'what is attached there has changed since (expectedRevision)',
}
