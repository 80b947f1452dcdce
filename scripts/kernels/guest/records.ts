/** What goes over a guest's console: JSON text sequences (RFC 7464), told from all else by the character in front. */
import { writeSync } from 'node:fs'
import type { Costs } from './costs'

export const SEPARATOR = '\x1e'

/** What guests tell, in this order: start, specs as they end, end of the specs, what the kernel has. */
export type GuestRecord =
  | { readonly kind: 'start'; readonly release: string; readonly node: string; readonly seconds: number }
  | { readonly kind: 'passed'; readonly title: string; readonly ms: number }
  | { readonly kind: 'pending'; readonly title: string; readonly reason: string }
  | { readonly kind: 'failed'; readonly title: string; readonly error: string }
  | { readonly kind: 'retried'; readonly title: string; readonly error: string }
  | { readonly kind: 'end'; readonly passed: number; readonly failed: number; readonly pending: number }
  | { readonly kind: 'features'; readonly report: unknown }
  | { readonly kind: 'costs'; readonly costs: Costs }
  | { readonly kind: 'done'; readonly code: number | null; readonly seconds: number }

export function send(record: GuestRecord): void {
  const bytes = Buffer.from(`${SEPARATOR}${JSON.stringify(record)}\n`)
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at)
}
