import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Attachment,
  attachFreplace,
  attachIterator,
  attachKprobe,
  attachKprobeMulti,
  attachLsm,
  attachRawTracepoint,
  attachTracepoint,
  attachTracing,
  attachUprobe,
  attachUprobeMulti,
} from '../link'
import { offsetsOf } from '../link/uprobe'
import type { Program } from '../program'
import type { ObjectProgram } from './description'
import type { UsdtSpecs } from './usdt'

/** Attaches a program to where its section's name says; undefined where the name does not tell a place. */
export function attachBySection(program: Program, description: ObjectProgram, usdt: UsdtSpecs): Attachment | undefined {
  const { kind, target, attachTo } = description
  if (kind === undefined) return undefined
  // What these are for was said when they were loaded.
  if (target !== undefined || attachTo !== undefined) {
    const whole = LOADED_FOR[kind]
    if (whole !== undefined) return whole(program)
  }
  if (target === undefined) return undefined
  if (kind === 'usdt' || kind === 'usdt.s') return toUsdt(program, target, description, usdt)
  return BY_TARGET[kind]?.(program, target, description)
}

const LOADED_FOR: Readonly<Record<string, (program: Program) => Attachment>> = {
  tp_btf: attachTracing,
  fentry: attachTracing,
  'fentry.s': attachTracing,
  fexit: attachTracing,
  'fexit.s': attachTracing,
  fmod_ret: attachTracing,
  'fmod_ret.s': attachTracing,
  freplace: (program) => attachFreplace(program),
  lsm: attachLsm,
  'lsm.s': attachLsm,
  iter: (program) => attachIterator(program),
  'iter.s': (program) => attachIterator(program),
}

type ByTarget = (program: Program, target: string, description: ObjectProgram) => Attachment

const BY_TARGET: Readonly<Record<string, ByTarget>> = {
  tp: toTracepoint,
  tracepoint: toTracepoint,
  raw_tp: toRawTracepoint,
  raw_tracepoint: toRawTracepoint,
  'raw_tp.w': toRawTracepoint,
  'raw_tracepoint.w': toRawTracepoint,
  kprobe: (program, target, description) => {
    const { name, offset } = place(target, description)
    return attachKprobe(program, name, { offset })
  },
  kretprobe: (program, target) => attachKprobe(program, target, { return: true }),
  ksyscall: (program, target) => attachKprobe(program, systemCall(target)),
  kretsyscall: (program, target) => attachKprobe(program, systemCall(target), { return: true }),
  'kprobe.multi': (program, target) => attachKprobeMulti(program, pattern(target)),
  'kretprobe.multi': (program, target) => attachKprobeMulti(program, pattern(target), { return: true }),
  'kprobe.session': (program, target) => attachKprobeMulti(program, pattern(target)),
  uprobe: toUser(false),
  'uprobe.s': toUser(false),
  uretprobe: toUser(true),
  'uretprobe.s': toUser(true),
  'uprobe.multi': toUsers(false),
  'uprobe.multi.s': toUsers(false),
  'uretprobe.multi': toUsers(true),
  'uretprobe.multi.s': toUsers(true),
  'uprobe.session': toUsers(false),
  'uprobe.session.s': toUsers(false),
}

function toTracepoint(program: Program, target: string, description: ObjectProgram): Attachment {
  const [category, name, ...more] = target.split('/')
  if (category === undefined || name === undefined || more.length > 0) throw notLike('tp/category/name', description)
  return attachTracepoint(program, category, name)
}

function toRawTracepoint(program: Program, target: string): Attachment {
  return attachRawTracepoint(program, target)
}

function toUser(atReturn: boolean): ByTarget {
  return (program, target, description) => {
    const { path, rest } = inFile(target, description)
    const { name, offset } = place(rest, description)
    const number = /^(0x[0-9a-f]+|\d+)$/i.test(name) ? Number(name) : undefined
    const where = number ?? (offset === 0 ? name : (offsetsOf(path, [name])[0] ?? 0) + offset)
    return attachUprobe(program, path, where, { return: atReturn })
  }
}

function toUsers(atReturn: boolean): ByTarget {
  return (program, target, description) => {
    const { path, rest } = inFile(target, description)
    return attachUprobeMulti(program, path, pattern(rest), atReturn ? { return: true } : {})
  }
}

/** 'path:provider:name' */
function toUsdt(program: Program, target: string, description: ObjectProgram, specs: UsdtSpecs): Attachment {
  const [path = '', provider = '', name = '', ...more] = target.split(':')
  if (path === '' || provider === '' || name === '' || more.length > 0) {
    throw notLike('usdt/path:provider:name', description)
  }
  return specs.attach(program, fileOf(path), provider, name)
}

/** 'function+offset' */
function place(text: string, description: ObjectProgram): { name: string; offset: number } {
  const [, name = '', offset = '0'] = /^([^+]+)(?:\+(0x[0-9a-f]+|\d+))?$/i.exec(text) ?? []
  if (name === '') throw notLike('kprobe/function+offset', description)
  return { name, offset: Number(offset) }
}

/** 'path:function' */
function inFile(target: string, description: ObjectProgram): { path: string; rest: string } {
  const at = target.lastIndexOf(':')
  if (at <= 0 || at === target.length - 1) throw notLike('uprobe/path:function', description)
  return { path: fileOf(target.slice(0, at)), rest: target.slice(at + 1) }
}

/** A path; or the name of a library or of a command, found where the system has them (resolve_full_path of libbpf). */
function fileOf(name: string): string {
  if (name.includes('/')) return name
  const triple = `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`
  const libraries = ['/usr/lib64', '/usr/lib', `/usr/lib/${triple}`, '/lib64', '/lib', `/lib/${triple}`]
  const [variable, standard] = /\.so\b/.test(name)
    ? [process.env.LD_LIBRARY_PATH, libraries]
    : [process.env.PATH, ['/usr/bin', '/usr/sbin', '/bin', '/sbin']]
  const folders = [...(variable ?? '').split(':').filter((folder) => folder !== ''), ...standard]
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path)) ?? name
}

/** Names, or what a shell's pattern of * and ? stands for. */
function pattern(text: string): string[] | RegExp {
  if (!/[*?]/.test(text)) return [text]
  const escaped = text.replace(/[.+^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`)
}

/** The function of a system call, as the processor's kernel calls it (CONFIG_ARCH_HAS_SYSCALL_WRAPPER). */
function systemCall(name: string): string {
  return `__${process.arch === 'arm64' ? 'arm64' : 'x64'}_sys_${name}`
}

function notLike(form: string, { name, section }: ObjectProgram): Error {
  return new TypeError(`program '${name}' is in section '${section}', which should be like '${form}'`)
}
