/**
 * The kernel's types under the short names that its tools use: 'hash_of_maps' for BPF_MAP_TYPE_HASH_OF_MAPS,
 * 'sched_cls' for BPF_PROG_TYPE_SCHED_CLS, 'bpf_map_lookup_elem' for BPF_FUNC_map_lookup_elem,
 * 'cgroup_inet4_connect' for BPF_CGROUP_INET4_CONNECT.
 */
import * as attachTypes from './uapi-attach-type'
import * as helpers from './uapi-helper'
import * as maps from './uapi-map'
import * as progs from './uapi-prog'

type Short<Name, Prefix extends string> = Name extends `${Prefix}${infer Rest}` ? Lowercase<Rest> : never

export type MapTypeName = Exclude<Short<keyof typeof maps, 'BPF_MAP_TYPE_'>, 'unspec'>
export type ProgramTypeName = Exclude<Short<keyof typeof progs, 'BPF_PROG_TYPE_'>, 'unspec'>
export type HelperName = Exclude<`bpf_${Short<keyof typeof helpers, 'BPF_FUNC_'>}`, 'bpf_unspec'>
/** Where a program is attached: enum bpf_attach_type. */
export type AttachTypeName = Short<keyof typeof attachTypes, 'BPF_'>

/** The constants with the prefix, by their short names, in the kernel's order; without the unspecified one. */
function shortNames(constants: Readonly<Record<string, number>>, prefix: string, front = ''): Record<string, number> {
  const names: Record<string, number> = {}
  for (const [name, value] of Object.entries(constants).sort((a, b) => a[1] - b[1])) {
    if (!name.startsWith(prefix) || name.endsWith('_UNSPEC') || name.endsWith('_unspec')) continue
    names[front + name.slice(prefix.length).toLowerCase()] = value
  }
  return names
}

type Numbers<Name extends string> = Readonly<Record<Name, number>>

export const MAP_TYPE_NUMBERS = shortNames(maps, 'BPF_MAP_TYPE_') as Numbers<MapTypeName>
export const PROGRAM_TYPES = shortNames(progs, 'BPF_PROG_TYPE_') as Numbers<ProgramTypeName>
export const HELPER_NUMBERS = shortNames(helpers, 'BPF_FUNC_', 'bpf_') as Numbers<HelperName>
/** The first of them is 0. */
export const ATTACH_TYPES = shortNames(attachTypes, 'BPF_') as Numbers<AttachTypeName>
