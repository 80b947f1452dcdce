/**
 * The kernel boundary for who wants no more than that: bpf(2) with typed calls, one a command, and the seam behind which
 * it can be replaced. `lib/` is built on nothing else.
 */
export { type Abi, abi, keepAlive, setAbi, type Watch } from './abi'
export { type BatchAnswer, BatchCalls } from './batch'
export * from './bpf'
export * from './bpf-attach'
export * from './bpf-btf'
export * from './bpf-link'
export * from './bpf-prog'
export * from './bpf-test-run'
export * from './bpf-token'
export type { Bytes } from './buffer'
export { ElementCalls, KeyWalk } from './element'
export { type About, errnoName, KernelError, type Subject } from './errno'
export { checkFd, closeFd, duplicateFd } from './fd'
export type { BtfInfo, LinkInfo, MapInfo, ProgInfo, TokenInfo } from './info'
export type { LinkInfoBuffers } from './link-info-buffers'
export type { LinkCreateTarget } from './link-target'
export { mapAnonymous, mapFile, mapFileAt, PROT_READ, PROT_WRITE, type Region } from './memory'
export { watchReadable } from './poll'
export { type Capability, hasCapability } from './privilege'
export { TestRunCalls, type TestRunSettings, type TestRunSizes } from './test-run-calls'
export * from './uapi'
export {
  ATTACH_TYPES,
  type AttachTypeName,
  HELPER_NUMBERS,
  type HelperName,
  MAP_TYPE_NUMBERS,
  type MapTypeName,
  PROGRAM_TYPES,
  type ProgramTypeName,
} from './uapi-names'
