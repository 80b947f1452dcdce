import { KernelError } from '../../syscalls/errno'
import { links } from './link'
import type { LinkType } from './names'

/** "Link#7 xdp on veth0" of a program that is in somebody's way; undefined where no link of the type has it. */
export function describeLinkOf(type: LinkType, programId: number): string | undefined {
  try {
    for (const link of links()) if (link.type === type && link.programId === programId) return link.description
  } catch (error) {
    // It takes CAP_SYS_ADMIN to be told: what is being explained must be told without.
    if (!(error instanceof KernelError)) throw error
  }
  return undefined
}
