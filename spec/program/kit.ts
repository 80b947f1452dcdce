/** What the specs of programs share. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { ArrayMap, bpf, type Code, Program, type ProgramOptions, programs, u64 } from '../../lib'
import { needs, requireRoot } from '../support/kernel'

/** XDP_PASS */
export const PASS = 2

/** r0 = value; exit */
export function returning(value: number): Code {
  return bpf`
    r0 = ${value}
    exit`
}

/** Loads a program whose kind does not matter. */
export function loadXdp(options: Partial<ProgramOptions> = {}): Program {
  return Program.load({ type: 'xdp', code: returning(PASS), ...options })
}

/** Returns the packet's first byte, and writes 0xee to the one at `at`. */
export function marking(at: 0 | 1): Program {
  return loadXdp({
    code: bpf`
          r2 = *(u32 *)(r1 + 0)
          r3 = *(u32 *)(r1 + 4)
          r4 = r2
          r4 += 14
          r0 = 0
          if r4 > r3 goto out
          r0 = *(u8 *)(r2 + 0)
          *(u8 *)(r2 + ${at}) = 0xee
    out:  exit`,
  })
}

/** The ids of the system's programs of this name: others come and go meanwhile. */
export function named(name: string): number[] {
  return Array.from(programs(), (program) => (program.name === name ? program.id : 0)).filter((id) => id !== 0)
}

/** A field of the program's fd in /proc: what the kernel says without bpf(2). */
export function fdInfo(program: { readonly fd: number }, field: string): string | undefined {
  const text = readFileSync(`/proc/self/fdinfo/${program.fd}`, 'latin1')
  return new RegExp(`^${field}:\\s*(\\S+)$`, 'm').exec(text)?.[1]
}

const BPFTOOL = ['/usr/sbin/bpftool', '/usr/bin/bpftool', '/sbin/bpftool'].find((path) => existsSync(path))

/** What bpftool says of a program, in JSON. */
export interface Shown {
  readonly id: number
  readonly type: string
  readonly name?: string
  readonly tag: string
  readonly gpl_compatible: boolean
  readonly loaded_at: number
  readonly uid: number
  readonly bytes_xlated: number
  readonly bytes_jited?: number
  readonly bytes_memlock: number
  readonly map_ids?: readonly number[]
  readonly btf_id?: number
  readonly run_cnt?: number
  readonly run_time_ns?: number
}

export function needsBpftool(context: Mocha.Context): void {
  needs(context, BPFTOOL !== undefined, 'bpftool')
}

export function bpftool(...args: readonly string[]): string {
  return execFileSync(BPFTOOL as string, args, { encoding: 'utf8' })
}

export function shown(program: Program): Shown {
  return JSON.parse(bpftool('-j', 'prog', 'show', 'id', `${program.id}`)) as Shown
}

export function packet(length = 64): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i & 0xff)
}

/** For a suite: how often programs ran, counted by themselves in a map, not by what a call says of them. */
export function useCounter(): { readonly runs: bigint | undefined; counted(rest: Code): Code } {
  let counts: ArrayMap<bigint>
  beforeEach(function () {
    requireRoot(this)
    counts = ArrayMap.create({ name: 'counts', value: u64, maxEntries: 1 })
  })
  afterEach(() => counts?.close())
  return {
    get runs() {
      return counts.get(0)
    },
    /** counts[0] += 1; r6 = the context; and the rest. */
    counted: (rest) => bpf`
        r6 = r1
        *(u32 *)(r10 - 4) = 0
        r1 = ${counts} ll
        r2 = r10
        r2 += -4
        call bpf_map_lookup_elem
        if r0 == 0 goto rest
        r1 = 1
        lock *(u64 *)(r0 + 0) += r1
  rest: r1 = r6
        ${rest}`,
  }
}
