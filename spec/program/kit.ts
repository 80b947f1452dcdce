/** What the specs of programs share. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { bpf, type Code, Program, type ProgramOptions } from '../../lib'
import { needs } from '../support/kernel'

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
