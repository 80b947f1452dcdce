/** What the kernel's security modules are, and whether one of them keeps programs away. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'

const SECURITYFS = '/sys/kernel/security'

/** A file of securityfs, which is mounted for it where it is not, in a mount namespace that ends with the reading. */
function read(name: string): string {
  const path = `${SECURITYFS}/${name}`
  if (existsSync(path)) return readFileSync(path, 'latin1')
  if (!existsSync(SECURITYFS)) return ''
  const script = `mount -t securityfs securityfs ${SECURITYFS} && { [ ! -e ${path} ] || cat ${path}; }`
  return execFileSync('unshare', ['-m', 'sh', '-c', script], { encoding: 'latin1' })
}

/** 'integrity' or 'confidentiality'; undefined where nothing is locked down. */
export function lockdown(): string | undefined {
  const level = /\[(\w+)\]/.exec(read('lockdown'))?.[1]
  return level === 'none' ? undefined : level
}

/** The security modules that are asked, in their order. */
export function securityModules(): readonly string[] {
  return read('lsm').trim().split(',')
}
