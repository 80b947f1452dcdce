/** What the real calls of commands.spec.ts share. */
import { closeSync, mkdirSync, openSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import * as sys from '../../syscalls'
import { ElementCalls, KernelError } from '../../syscalls'
import { LE } from '../../syscalls/attr-common'
import * as uapi from '../../syscalls/uapi'
import { needs } from '../support/kernel'
import { returning, smallBtf } from '../support/programs'

const CGROUP2 = '/sys/fs/cgroup/unified'
/** The last id that may be asked from (INT_MAX is refused by bpf_obj_get_next_id): behind it is nothing. */
export const LAST_ID = 0x7ffffffe
export const subject = { description: 'the map of this spec' }

/** Opens what a case needs, and closes it all at its end, whatever happened. */
export class Kit {
  readonly #ends: (() => void)[] = []

  constructor(readonly mocha: Mocha.Context) {}

  own(fd: number): number {
    this.#ends.push(() => sys.closeFd(fd))
    return fd
  }

  end(): void {
    for (const end of this.#ends.reverse()) end()
  }

  map(map_type = uapi.BPF_MAP_TYPE_HASH): number {
    return this.own(sys.mapCreate({ map_type, key_size: 4, value_size: 8, max_entries: 4, map_name: 'commands' }))
  }

  elements(fd: number): ElementCalls {
    return new ElementCalls(fd, 4, 8, subject)
  }

  /** A map with the entries 1: 10, 2: 20. */
  filled(): number {
    const fd = this.map()
    const calls = this.elements(fd)
    for (const key of [1, 2]) {
      put(calls, key, BigInt(key * 10))
      calls.update(uapi.BPF_ANY)
    }
    return fd
  }

  program(prog_type = uapi.BPF_PROG_TYPE_SOCKET_FILTER, more: Partial<sys.ProgLoadFields> = {}): number {
    return this.own(sys.progLoad({ prog_type, insns: returning(0), license: 'GPL', ...more }))
  }

  /** A program that lets packets into a cgroup. */
  ingress(): number {
    const expected_attach_type = uapi.BPF_CGROUP_INET_INGRESS
    return this.program(uapi.BPF_PROG_TYPE_CGROUP_SKB, { insns: returning(1), expected_attach_type })
  }

  cgroup(): number {
    // The first line of the hybrid hierarchy, or cgroup2 alone.
    const root = readFileSync('/proc/self/mounts', 'utf8').includes(` ${CGROUP2} cgroup2 `) ? CGROUP2 : '/sys/fs/cgroup'
    needs(this.mocha, readFileSync('/proc/self/mounts', 'utf8').includes(` ${root} cgroup2 `), 'a cgroup2 mount')
    const path = join(root, `ebpf-ts-commands-${process.pid}`)
    mkdirSync(path)
    this.#ends.push(() => rmdirSync(path))
    const fd = openSync(path, 'r')
    this.#ends.push(() => closeSync(fd))
    return fd
  }

  link(prog_fd: number): number {
    const attach_type = uapi.BPF_CGROUP_INET_INGRESS
    return this.own(sys.linkCreate({ prog_fd, target_fd: this.cgroup(), attach_type }))
  }

  rawTracepoint(): { link: number; program: number } {
    const program = this.program(uapi.BPF_PROG_TYPE_RAW_TRACEPOINT)
    return { program, link: this.own(sys.rawTracepointOpen({ prog_fd: program, name: 'sys_enter' })) }
  }

  btf(): number {
    return this.own(sys.btfLoad({ btf: smallBtf() }))
  }
}

export function put(calls: ElementCalls, key: number, value?: bigint): void {
  calls.view.setUint32(calls.keyAt, key, LE)
  if (value !== undefined) calls.view.setBigUint64(calls.valueAt, value, LE)
}

export function got(calls: ElementCalls, key: number): bigint | undefined {
  put(calls, key, 0n)
  return calls.lookup(0) ? calls.view.getBigUint64(calls.valueAt, LE) : undefined
}

/** The answer to a call that must fail. */
export function refusal(call: () => unknown): KernelError {
  try {
    call()
  } catch (error) {
    if (error instanceof KernelError) return error
    throw error
  }
  throw new Error('the kernel did not refuse')
}

export function keysOf(batch: sys.BatchCalls, count: number): Map<number, bigint> {
  const entry = (i: number): [number, bigint] => [
    batch.view.getUint32(batch.keysAt + i * 4, LE),
    batch.view.getBigUint64(batch.valuesAt + i * 8, LE),
  ]
  return new Map(Array.from({ length: count }, (_, i) => entry(i)).sort(([a], [b]) => a - b))
}

type Callable = (...args: never[]) => unknown

/** For each command the typed calls that make it, and one real call with its effect. */
export type Table = Record<string, { calls: Callable[]; really: (kit: Kit) => void | Promise<void> }>
