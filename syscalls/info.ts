/**
 * What BPF_OBJ_GET_INFO_BY_FD answers: one decoder for each struct bpf_*_info of include/uapi/linux/bpf.h.
 *
 * - `length` is the info_len that the kernel wrote back: a field past it is undefined, never what happened to be in
 *   the buffer. Fields that Linux 5.10 already had are always there; an info_len that ends before them is a
 *   RangeError.
 * - 64-bit data (times, counts, cookies, inode numbers) are bigints; the addresses that the caller passed in are
 *   numbers.
 * - ..._INFO_SIZE is the size of Linux 6.18's struct. Asking an older kernel for so much is fine as long as the rest
 *   is zero: it answers with its own, smaller info_len (bpf_check_uarg_tail_zero in kernel/bpf/syscall.c).
 */
export * from './info-link'
export * from './info-link-request'
export * from './info-map'
export * from './info-prog'
