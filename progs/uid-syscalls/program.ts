import { bpf, type Code, type MapLike } from '../../lib'

/** Where the record of raw_syscalls:sys_enter has the number of the call: events/raw_syscalls/sys_enter/format. */
const SYSCALL_AT = 8

/**
 * Runs with every system call of the machine: who calls is looked up in the outer map, by user id; what is called, in the
 * inner map that is there. Where both are found, one is added to `hits`, under { syscall, uid }.
 */
export function uidSyscalls(byUid: MapLike, hits: MapLike): Code {
  return bpf`
          r7 = *(u64 *)(r1 + ${SYSCALL_AT})
          call bpf_get_current_uid_gid          // the user id is in the lower half
          *(u32 *)(r10 - 4) = r0
          r1 = ${byUid} ll
          r2 = r10
          r2 += -4
          call bpf_map_lookup_elem
          if r0 == 0 goto out                   // nobody asks about this user
          *(u32 *)(r10 - 8) = r7
          r1 = r0                               // the user's own inner map
          r2 = r10
          r2 += -8
          call bpf_map_lookup_elem
          if r0 == 0 goto out                   // nor about this call of the user's
          ${countUnder(hits, -8)}
    out:  r0 = 0
          exit`
}

/** Adds one to the u64 under the key on the stack; makes it where it is not there. */
function countUnder(counts: MapLike, key: number): Code {
  return bpf`
          r6 = 2                                // times to look: before it is made, and after
    look: r1 = ${counts} ll
          r2 = r10
          r2 += ${key}
          call bpf_map_lookup_elem
          if r0 != 0 goto add
          *(u64 *)(r10 - 16) = 0
          r1 = ${counts} ll
          r2 = r10
          r2 += ${key}
          r3 = r10
          r3 += -16
          r4 = 1                                // BPF_NOEXIST: another CPU may have been faster
          call bpf_map_update_elem
          r6 += -1
          if r6 != 0 goto look
          goto done                             // the map is full
    add:  r1 = 1
          lock *(u64 *)(r0 + 0) += r1
    done:`
}
