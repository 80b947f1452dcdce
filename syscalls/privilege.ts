import { readFileSync } from 'node:fs'

/** Capabilities by bit (include/uapi/linux/capability.h): those that bpf(2) asks for. */
export const CAPABILITIES = {
  CAP_NET_ADMIN: 12,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_RESOURCE: 24,
  CAP_PERFMON: 38,
  CAP_BPF: 39,
} as const

export type Capability = keyof typeof CAPABILITIES

/** Whether this thread has a capability in effect; undefined where /proc does not tell. */
export function hasCapability(capability: Capability): boolean | undefined {
  let status: string
  try {
    status = readFileSync('/proc/thread-self/status', 'latin1')
  } catch {
    // No /proc: the one honest answer is that nobody knows.
    return undefined
  }
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1]
  if (effective === undefined) return undefined
  return ((BigInt(`0x${effective}`) >> BigInt(CAPABILITIES[capability])) & 1n) === 1n
}

/** Of the given capabilities, those that this thread does not have. */
export function missingCapabilities(...wanted: readonly Capability[]): Capability[] {
  return wanted.filter((capability) => hasCapability(capability) === false)
}
