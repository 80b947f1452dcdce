/**
 * union bpf_attr, the argument of bpf(2): one pack function a command, in the words of include/uapi/linux/bpf.h.
 *
 * - `attr` is a view of at least ATTR_SIZE bytes, all zero but for what an earlier call of the same function wrote.
 * - Fields have the kernel's names and stand at the offsets written out in the functions; spec/syscalls/attr.spec.ts holds each of them
 *   against the running kernel's BTF.
 * - A field that is a pointer takes an address, as a number (user addresses are below 2^53). That the memory outlives the call is the
 *   caller's business.
 * - The result is the size to send: the end of the last field that is required, is given, or that the kernel only writes back if it was
 *   sent. So a field that nobody gave is not sent to a kernel that may not know it.
 * - read...() functions read what the kernel wrote back into the attr.
 */
export { ATTR_SIZE } from './attr-common'
export * from './attr-map'
export * from './attr-obj'
