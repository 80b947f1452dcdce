/** e_machine */
const EM_X86_64 = 62
const EM_AARCH64 = 183

/** Where an argument of a probe is, in the words of the processor's assembler: '-4@-20(%rbp)', '8@x0'. */
export interface UsdtArgument {
  /** As the note has it. */
  readonly text: string
  /** Bytes: 1, 2, 4 or 8. */
  readonly size: number
  readonly signed: boolean
  /** undefined where it is somewhere that programs do not reach: a vector register, or relative to the code. */
  readonly place: UsdtPlace | undefined
}

export type UsdtPlace =
  | { readonly kind: 'constant'; readonly value: bigint }
  /** `at` is the register's place in struct pt_regs (of arm64, struct user_pt_regs), which programs have as their context. */
  | { readonly kind: 'register'; readonly register: string; readonly at: number }
  /** In memory, `offset` bytes behind where the register points; and `scale` times `index`, where there is one. */
  | {
      readonly kind: 'memory'
      readonly register: string
      readonly at: number
      readonly offset: bigint
      readonly index?: { readonly register: string; readonly at: number; readonly scale: number }
    }

/** The arguments of a note, separated by blanks; arm64 has blanks within them too: '8@[sp, 16]'. */
export function readArguments(text: string, machine: number): UsdtArgument[] {
  const placeOf = machine === EM_X86_64 ? placeOfX86 : machine === EM_AARCH64 ? placeOfArm : () => undefined
  const found = text.matchAll(/(-?)(\d+)(f?)@((?:\[[^\]]*\]|\([^)]*\)|[^\s[(])+)/g)
  return Array.from(found, ([whole, sign, bytes, float, operand = '']): UsdtArgument => {
    const size = Number(bytes)
    const fits = [1, 2, 4, 8].includes(size) && float === ''
    return { text: whole, size, signed: sign === '-', place: fits ? placeOf(operand) : undefined }
  })
}

function placeOfX86(operand: string): UsdtPlace | undefined {
  const constant = /^\$(-?(?:0x[0-9a-f]+|\d+))$/i.exec(operand)?.[1]
  if (constant !== undefined) return { kind: 'constant', value: number(constant) }
  const direct = /^%(\w+)$/.exec(operand)?.[1]
  if (direct !== undefined) return inRegister(direct, X86)
  const [, offset = '', base = '', index, scale] =
    /^(-?(?:0x[0-9a-f]+|\d+))?\(%(\w+)(?:,%(\w+)(?:,([1248]))?)?\)$/i.exec(operand) ?? []
  const memory = behind(base, offset, X86)
  if (memory === undefined || index === undefined) return memory
  const at = X86.get(index)
  return at === undefined ? undefined : { ...memory, index: { register: index, at, scale: Number(scale ?? 1) } }
}

function placeOfArm(operand: string): UsdtPlace | undefined {
  if (/^-?(0x[0-9a-f]+|\d+)$/i.test(operand)) return { kind: 'constant', value: number(operand) }
  const [, base, offset = ''] = /^\[\s*(\w+)\s*(?:,\s*#?(-?\d+)\s*)?\]$/.exec(operand) ?? []
  return base === undefined ? inRegister(operand, ARM) : behind(base, offset, ARM)
}

type Memory = Extract<UsdtPlace, { kind: 'memory' }>

function inRegister(register: string, registers: ReadonlyMap<string, number>): UsdtPlace | undefined {
  const at = registers.get(register)
  return at === undefined ? undefined : { kind: 'register', register, at }
}

function behind(register: string, offset: string, registers: ReadonlyMap<string, number>): Memory | undefined {
  const at = registers.get(register)
  return at === undefined ? undefined : { kind: 'memory', register, at, offset: offset === '' ? 0n : number(offset) }
}

function number(text: string): bigint {
  return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text)
}

/** struct pt_regs of x86-64 (arch/x86/include/asm/ptrace.h): the registers in its order, by the names of all their widths. */
const X86 = new Map<string, number>(
  [
    ...['r15', 'r14', 'r13', 'r12'].map(numbered),
    ['rbp', 'ebp', 'bp', 'bpl'],
    ['rbx', 'ebx', 'bx', 'bl'],
    ...['r11', 'r10', 'r9', 'r8'].map(numbered),
    ['rax', 'eax', 'ax', 'al'],
    ['rcx', 'ecx', 'cx', 'cl'],
    ['rdx', 'edx', 'dx', 'dl'],
    ['rsi', 'esi', 'si', 'sil'],
    ['rdi', 'edi', 'di', 'dil'],
    [], // orig_rax
    ['rip', 'eip', 'ip'],
    [], // cs
    [], // eflags
    ['rsp', 'esp', 'sp', 'spl'],
  ].flatMap((names, i) => names.map((name): [string, number] => [name, i * 8])),
)

function numbered(name: string): string[] {
  return [name, `${name}d`, `${name}w`, `${name}b`]
}

/** struct user_pt_regs of arm64: x0 to x30, sp, pc. */
const ARM = new Map<string, number>([
  ...Array.from({ length: 31 }, (_, i): [string, number][] => [
    [`x${i}`, i * 8],
    [`w${i}`, i * 8],
  ]).flat(),
  ['sp', 31 * 8],
])
