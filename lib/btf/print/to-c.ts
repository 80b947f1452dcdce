import { checkKnownOptions, optionNames } from '../../text/known-options'
import type { Btf } from '../btf'
import type { BtfFunc, BtfType } from '../types'
import { CHeader } from './c-header'
import { CText } from './c-text'
import { C_ORDER, typeCalled } from './called'
import { Types } from './types'

export interface ToCOptions {
  /** Also all that the type needs, before it, in an order that compiles; what is only pointed to is only declared. */
  readonly deep?: boolean
}

const IF_CO_RE = '#ifndef BPF_NO_PRESERVE_ACCESS_INDEX'

/** Kinds that a header has, where they have names. */
const DECLARED: ReadonlySet<string> = new Set(['struct', 'union', 'enum', 'enum64', 'typedef', 'fwd'])

const OPTIONS = optionNames<ToCOptions>({ deep: true })

/** What `Btf#toC` says. */
export function toC(btf: Btf, what?: string | number, options: ToCOptions = {}): string {
  checkKnownOptions(options, OPTIONS)
  const { deep = false } = options
  if (typeof deep !== 'boolean') throw new TypeError(`deep must be true or false, not ${typeof deep}`)
  const types = new Types(btf)
  const text = new CText(types)
  if (what === undefined) return wholeHeader(types, text)
  const type = typeCalled(btf, what, C_ORDER)
  if (!deep) return `${single(types, text, type)}\n`
  const header = new CHeader(types, text)
  if (type.kind === 'datasec') for (const { type: id } of type.vars) header.declare(types.of(id))
  else if (DECLARED.has(type.kind) && type.name !== '') header.define(type)
  else if (type.kind === 'func' || type.kind === 'var') header.declare(type)
  else {
    header.need(type.id, true)
    header.add(text.definition(type))
  }
  return `${header.text}\n`
}

function single(types: Types, text: CText, type: BtfType): string {
  if (type.kind === 'datasec') return type.vars.map((variable) => text.definition(types.of(variable.type))).join('\n')
  if (type.kind === 'decl_tag') return types.deeper(type.id, () => single(types, text, types.of(type.type)))
  return text.definition(type)
}

/** vmlinux.h. */
function wholeHeader(types: Types, text: CText): string {
  const { btf } = types
  const header = new CHeader(types, text)
  const functions = kernelFunctions(types)
  for (const { name } of functions) text.reserve(name)
  const named: BtfType[] = []
  const enums: BtfType[] = []
  for (let id = btf.firstId; id < btf.firstId + btf.size; id++) {
    const kind = btf.kindOf(id)
    if (!DECLARED.has(kind)) continue
    const type = types.of(id)
    if (type.name !== '') named.push(type)
    else if (type.kind === 'enum' || type.kind === 'enum64') enums.push(type)
  }
  // Whoever has the lower id has the plain name, whatever needs what.
  for (const type of named) if (types.defined(type.id) === type) text.nameOf(type)
  for (const type of named) header.define(type)
  // Constants that no type names, as those of `enum { A, B };`.
  for (const type of enums) if (!text.hasWritten(type)) header.add(text.definition(type))
  for (const { type } of functions) header.need(type, false)
  const guard = `__${btf.name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}_H__`
  const parts = [
    `#ifndef ${guard}\n#define ${guard}`,
    // What programs read of these types is found where the running kernel has it (CO-RE).
    `${IF_CO_RE}\n#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)\n#endif`,
    // The kernel has structs that end in an open array within others.
    '#pragma clang diagnostic push\n#pragma clang diagnostic ignored "-Wgnu-variable-sized-type-not-at-end"',
    header.text,
    '#pragma clang diagnostic pop',
    `${IF_CO_RE}\n#pragma clang attribute pop\n#endif`,
  ]
  if (functions.length > 0) parts.push(prototypes(text, functions))
  return `${[...parts, `#endif /* ${guard} */`].join('\n\n')}\n`
}

/** The functions that programs may call, each once: the kernel marks them from Linux 6.10 on. */
function kernelFunctions(types: Types): BtfFunc[] {
  const found = new Map<string, BtfFunc>()
  for (const tag of types.btf.types('decl_tag')) {
    if (tag.name !== 'bpf_kfunc') continue
    const func = types.of(tag.type)
    if (func.kind === 'func' && !found.has(func.name)) found.set(func.name, func)
  }
  return [...found.values()]
}

/** As bpftool has them: weak, so that a program may ask whether the running kernel has one. */
function prototypes(text: CText, functions: readonly BtfFunc[]): string {
  const lines = functions.map(({ type, name }) => `extern ${text.declare(type, name)} __weak __ksym;`)
  return [
    '#ifndef BPF_NO_KFUNC_PROTOTYPES',
    '#ifndef __ksym\n#define __ksym __attribute__((section(".ksyms")))\n#endif',
    '#ifndef __weak\n#define __weak __attribute__((weak))\n#endif',
    '',
    ...lines,
    '#endif',
  ].join('\n')
}
