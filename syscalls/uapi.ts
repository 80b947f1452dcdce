/**
 * include/uapi/linux/bpf.h: its enums and flags, under its own names, up to Linux 7.3.
 * spec/syscalls/uapi.spec.ts compares every value with the running kernel's BTF.
 */
import * as attachTypes from './uapi-attach-type'
import * as commands from './uapi-cmd'
import { namesOf } from './uapi-cmd-name'
import * as links from './uapi-link'
import * as maps from './uapi-map'
import * as progs from './uapi-prog'

export * from './uapi-attach-type'
export * from './uapi-cmd'
export { commandName } from './uapi-cmd-name'
export * from './uapi-helper'
export * from './uapi-link'
export * from './uapi-map'
export * from './uapi-prog'

/** The second name of BPF_PROG_TEST_RUN. */
export const BPF_PROG_RUN = commands.BPF_PROG_TEST_RUN
/** Or'ed to a command: the fourth and fifth argument of bpf(2) are a struct bpf_common_attr. After 6.18. */
export const BPF_COMMON_ATTRS = 1 << 16

/**
 * The kernel's header has these beside the names without _DEPRECATED: cgroup-local storage (CGRP_STORAGE) replaces
 * both.
 */
export const BPF_MAP_TYPE_CGROUP_STORAGE_DEPRECATED = maps.BPF_MAP_TYPE_CGROUP_STORAGE
export const BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE_DEPRECATED = maps.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE

/** Names of maps and programs, with the NUL that ends them. */
export const BPF_OBJ_NAME_LEN = 16
/** The size of a program's tag. */
export const BPF_TAG_SIZE = 8

const MAP_TYPES = namesOf(maps, 'BPF_MAP_TYPE_')
const PROG_TYPES = namesOf(progs, 'BPF_PROG_TYPE_')
const ATTACH_TYPES = namesOf(attachTypes, 'BPF_')
const LINK_TYPES = namesOf(links, 'BPF_LINK_TYPE_')

/** 'BPF_MAP_TYPE_HASH' for 1; 'BPF_MAP_TYPE_99?' for a type that this file does not know. */
export function mapTypeName(type: number): string {
  return MAP_TYPES().get(type) ?? `BPF_MAP_TYPE_${type}?`
}

/** 'BPF_PROG_TYPE_XDP' for 6; 'BPF_PROG_TYPE_99?' for a type that this file does not know. */
export function programTypeName(type: number): string {
  return PROG_TYPES().get(type) ?? `BPF_PROG_TYPE_${type}?`
}

/** 'BPF_CGROUP_INET_INGRESS' for 0; 'BPF_ATTACH_TYPE_99?' for a type that this file does not know. */
export function attachTypeName(type: number): string {
  return ATTACH_TYPES().get(type) ?? `BPF_ATTACH_TYPE_${type}?`
}

/** 'BPF_LINK_TYPE_XDP' for 6; 'BPF_LINK_TYPE_99?' for a type that this file does not know. */
export function linkTypeName(type: number): string {
  return LINK_TYPES().get(type) ?? `BPF_LINK_TYPE_${type}?`
}
