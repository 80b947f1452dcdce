import type { AttachName } from '../../../lib'
import { hasFeature, linuxBefore, pending, requireFeature, requireRoot } from '../kernel'
import { lockdown, securityModules } from './security'

/**
 * Goes on where the kernel can attach programs so. Where it cannot, for its version, for its configuration or because it
 * is locked down, the spec is pending with that reason, also under EBPF_REQUIRE_KERNEL=1: no machine can be given it.
 * That it cannot be told without such a reason is a failure.
 */
export function requireAttach(context: Mocha.Context, name: AttachName): void {
  requireRoot(context)
  if (hasFeature('attach', name) === undefined) {
    const level = lockdown()
    if (level === undefined) throw new Error(`whether the kernel has ${name} cannot be told, and it is not locked down`)
    pending(context, `the kernel is locked down (${level}): whether it has ${name} cannot be told`)
  }
  requireFeature(context, 'attach', name)
}

/** Goes on where LSM programs are asked: not every kernel that loads them does. */
export function requireLsm(context: Mocha.Context, name: 'lsm' | 'lsm_cgroup'): void {
  requireAttach(context, name)
  const modules = securityModules()
  if (!modules.includes('bpf')) pending(context, `the kernel was not booted with lsm=...,bpf but with ${modules}`)
}

/** For what `features` does not tell apart: pending on kernels from before the version that brought it. */
export function requireLinux(context: Mocha.Context, major: number, minor: number, what: string): void {
  if (linuxBefore(major, minor)) pending(context, `${what}: they came with Linux ${major}.${minor}`)
}
