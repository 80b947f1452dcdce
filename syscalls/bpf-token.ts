import { packTokenCreate } from './attr'
import { objectInfo } from './bpf'
import { call } from './call'
import type { Subject } from './errno'
import { checkFd, settleFd } from './fd'
import { readTokenInfo, TOKEN_INFO_SIZE, type TokenInfo } from './info'
import { BPF_TOKEN_CREATE } from './uapi'

/**
 * BPF_TOKEN_CREATE: what the bpf file system behind `bpffsFd` delegates to the user namespace that it was mounted in.
 * The caller owns the fd. Linux 6.9. Errors: EOPNOTSUPP (in the initial user namespace), ENOENT (nothing is delegated),
 * EPERM, EINVAL (not the root of a bpf file system).
 */
export function tokenCreate(bpffsFd: number, subject?: Subject): number {
  checkFd(bpffsFd, 'bpffs_fd')
  return settleFd(call(BPF_TOKEN_CREATE, packTokenCreate, { bpffs_fd: bpffsFd }, { subject }).result)
}

/** BPF_OBJ_GET_INFO_BY_FD of a token. Linux 6.17. */
export function tokenInfo(fd: number, subject?: Subject): TokenInfo {
  const { view, length } = objectInfo(fd, TOKEN_INFO_SIZE, subject)
  return readTokenInfo(view, length)
}
