/** What the specs of maps share. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import type { BpfMap } from '../../lib'
import { needs } from '../support/kernel'

export function openFds(): number {
  return readdirSync('/proc/self/fd').length
}

/** A field of the map's fd in /proc: what the kernel says without bpf(2). */
export function fdInfo(fd: number, field: string): string | undefined {
  return new RegExp(`^${field}:\\s*(\\S+)$`, 'm').exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1]
}

/** A number of that field; fdinfo writes some of them in hexadecimal. */
export function fdNumber(fd: number, field: string): number {
  return Number(fdInfo(fd, field) ?? Number.NaN)
}

const BPFTOOL = ['/usr/sbin/bpftool', '/usr/bin/bpftool', '/sbin/bpftool'].find((path) => existsSync(path))

export function needsBpftool(context: Mocha.Context): void {
  needs(context, BPFTOOL !== undefined, 'bpftool')
}

/** What bpftool reads of a map: its entries as bytes, by the text of the key's. */
export function bpftoolDump(map: BpfMap): Map<string, unknown> {
  const text = execFileSync(BPFTOOL as string, ['-j', 'map', 'dump', 'id', `${map.id}`], { encoding: 'utf8' })
  // An empty slot has an object with an error for its value.
  const entries = JSON.parse(text) as { key: string[]; value?: string[]; values?: unknown }[]
  return new Map(
    entries
      .filter((entry) => Array.isArray(entry.value) || entry.values !== undefined)
      .map((entry) => [hex(entry.key), entry.value === undefined ? entry.values : hex(entry.value)]),
  )
}

function hex(bytes: readonly string[]): string {
  return bytes.map((byte) => Number(byte).toString(16).padStart(2, '0')).join('')
}
