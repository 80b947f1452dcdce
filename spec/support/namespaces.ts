/** What specs of stories need that make networks of their own, and how they see that nothing of one is left. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { runs } from './attach/network'
import { eventually, mapIds, needs, pending, requireRoot } from './kernel'

/** Goes on where network namespaces and wires between them can be made. */
export function requireNamespaces(context: Mocha.Context): void {
  requireRoot(context)
  needs(context, runs('unshare', '--net', 'true') && runs('nsenter', '--net=/proc/self/ns/net', 'true'), 'util-linux')
  needs(context, runs('ip', '-V'), 'ip (iproute2)')
  if (!runs('unshare', '--net', 'ip', 'link', 'add', 'wire0', 'type', 'veth'))
    pending(context, 'there are no veth devices')
}

/** The network namespace that this process is in, and the processes that it has started. */
export function whereabouts(): { readonly namespace: string; readonly children: readonly string[] } {
  const children = readdirSync('/proc/self/task').flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, 'latin1').trim().split(' ').filter(Boolean),
  )
  return { namespace: execFileSync('readlink', [`/proc/${process.pid}/ns/net`], { encoding: 'utf8' }), children }
}

/** Waits until the maps are gone, and all that was started since. */
export async function nothingLeft(before: ReturnType<typeof whereabouts>, maps: readonly number[]): Promise<void> {
  await eventually(() => mapIds().every((id) => !maps.includes(id)), 'the story leaves no map')
  await eventually(() => {
    const now = whereabouts()
    return now.namespace === before.namespace && now.children.every((child) => before.children.includes(child))
  }, 'the story leaves no process, and this one where it was')
}
