/** The public names of ebpf-ts, and nothing else. Importing them loads neither koffi nor libc: the first call does. */
export { KernelError } from '../syscalls/errno'
export { type Capability, hasCapability } from '../syscalls/privilege'
export * from './codec'
export { possibleCpuIds, possibleCpus } from './cpu/possible'
export * from './features'
export type { HasFd } from './handle/fd-of'
export { ClosedError } from './handle/handle'
export * from './map'
