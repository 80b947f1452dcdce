import { existsSync, readFileSync } from 'node:fs'
import { release, version } from 'node:os'
import { gunzipSync } from 'node:zlib'

/** A value of the configuration as its file has it: 'y', 'm', '250', '0x10', '"text"'. */
export type ConfigValue = number | bigint | string | boolean

/**
 * What the running kernel was built with, by name, from /proc/config.gz, or from /boot where that is not there. Read once
 * for an object, and only if it asks for more than the kernel's version. undefined where there is neither.
 */
export function readKernelConfig(): ReadonlyMap<string, string> | undefined {
  const text = configText()
  if (text === undefined) return undefined
  return new Map(Array.from(text.matchAll(/^(CONFIG_\w+)=(.*)$/gm), ([, name = '', value = '']) => [name, value]))
}

function configText(): string | undefined {
  if (existsSync('/proc/config.gz')) return gunzipSync(readFileSync('/proc/config.gz')).toString('latin1')
  const path = `/boot/config-${release()}`
  return existsSync(path) ? readFileSync(path, 'latin1') : undefined
}

/**
 * KERNEL_VERSION of the running kernel: 0x61200 for 6.18.0. Sublevels stop at 255, as the kernel's own macro has it. The
 * releases of Debian and Ubuntu have sublevel 0 for all of a series: they tell the real one elsewhere
 * (get_kernel_version of libbpf).
 */
export function kernelVersion(text = versionText()): number {
  const [, major = 0, minor = 0, sublevel = 0] = (/^(\d+)\.(\d+)(?:\.(\d+))?/.exec(text) ?? []).map(Number)
  return major * 65536 + minor * 256 + Math.min(Number.isNaN(sublevel) ? 0 : sublevel, 255)
}

const UBUNTU = '/proc/version_signature'

function versionText(): string {
  // 'Ubuntu 5.4.0-12.15-generic 5.4.8'
  const [, ubuntu] = existsSync(UBUNTU) ? (/^\S+ \S+ (\d+\.\d+\.\d+)/.exec(readFileSync(UBUNTU, 'latin1')) ?? []) : []
  // '#1 SMP Debian 5.10.262-1 (2026-01-02)'
  const [, debian] = /Debian (\d+\.\d+\.\d+)/.exec(version()) ?? []
  return ubuntu ?? debian ?? release()
}

/** How the functions of system calls begin where the registers of the caller are behind one pointer: '__x64_sys_bpf'. */
const WRAPPERS: Readonly<Record<string, string>> = {
  ...{ x64: 'x64', ia32: 'ia32', arm64: 'arm64', riscv64: 'riscv', s390x: 's390x', ppc64: 'powerpc64' },
}

/** Whether it is so in this kernel: CONFIG_ARCH_HAS_SYSCALL_WRAPPER. */
export function hasSyscallWrapper(): boolean {
  const name = ` __${WRAPPERS[process.arch] ?? process.arch}_sys_bpf\n`
  return readFileSync('/proc/kallsyms').includes(name, 0, 'latin1')
}
