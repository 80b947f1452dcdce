import { release } from 'node:os'
import { HELPER_NUMBERS, type HelperName } from '../../syscalls/uapi-names'
import { isLockedDown, LOCKED_DOWN } from '../features/lockdown'
import { helperSince } from '../features/since'
import { mapTypeLabel } from '../map/attributes'

/**
 * The verifier's common refusals in words. Its own are for who knows its source; and they change: the patterns hold for
 * Linux 5.10 to 7.3.
 */

/** What a cause may go by besides the message. */
export interface Refused {
  /** The text of the instruction, where it is known. */
  readonly text: string
  readonly type: string
  /** What newer kernels say in sentences. */
  readonly reason?: string | undefined
}

type Words = string | ((match: RegExpExecArray, refused: Refused) => string | undefined)

const STACK =
  'a program has 512 bytes of stack, with all the functions that call each other: use a map for what is larger'
const UNWRITTEN =
  'what is read from the stack has not been written on every way to here: initialise it (all bytes of it, also padding)'
const NULL_CHECK = 'may be null: compare it with 0 first (if r0 == 0 goto out), and use it only where it is not'
/** What look-ups give; others come of reservations, of kernel functions, of the context. */
const LOOKED_UP = /^(?:map_value|(?:tcp_|xdp_)?sock(?:_common)?)$/

const ONLY_A_COPY = 'r10 is where the stack of the function begins, and stays: copy it (r2 = r10), and change the copy'
const NO_PROG_ARRAY = 'tail calls go through a PROG_ARRAY, and this map is none'
/** What was released or submitted is a number from then on, wherever it is kept (release_reference). */
const RELEASED = 'what was released or submitted before is no pointer any more'

const CAUSES: readonly (readonly [pattern: RegExp, cause: Words])[] = [
  // Before what else is said of the same pointer.
  [
    /invalid mem access '(\w+?)_or_null_?'|arithmetic on (\w+?)_or_null_? prohibited|\btype[= ](\w+?)_or_null/,
    ([, used, moved, given]) =>
      `${LOOKED_UP.test(used ?? moved ?? given ?? '') ? 'what a lookup gives' : 'this pointer'} ${NULL_CHECK}`,
  ],
  [/[Pp]ossibly NULL pointer passed/, `this pointer ${NULL_CHECK}`],
  [
    /invalid access to packet|offset is outside of the packet/,
    'the packet may be shorter: compare the end of what is read with data_end first (if r3 > r2 goto out); of metadata, with data',
  ],
  [/\bR(\d+) !read_ok/, ([, register], { text }) => unwrittenCause(Number(register), text)],
  [/combined stack size of \d+ calls is (\d+)/, ([, bytes]) => `${STACK}: the functions called together take ${bytes}`],
  [/invalid [a-z ]*\bstack (?:type )?(?:R\d+ )?off=(-?\d+) \w*size=(\d+)/, (match) => stackCause(match)],
  [/invalid (?:indirect )?read from stack/, UNWRITTEN],
  [
    /invalid variable[- ](?:offset|stack)|variable stack access/,
    'this may be outside of the stack: bound the offset first, by comparing or by &, so that it ends below r10',
  ],
  [/frame pointer is read only/, ONLY_A_COPY],
  [
    /the call stack of \d+ frames is too deep|recursive call from/,
    'functions call each other 8 deep at most, the program itself included, and so none may call itself',
  ],
  [/stack (?:depth|size) (?:is )?\d+.*[Tt]oo large|stack limit/, STACK],
  [
    /GPL[- ](?:restricted|only) function|GPL-restricted/,
    "the helper is for GPL-compatible programs alone: load it with license: 'GPL', if that is its license",
  ],
  [
    /reference leak|[Uu]nreleased reference(?: id=\d+ alloc_insn=(\d+))?/,
    ([, from]) => {
      const where = from === undefined ? '' : ` by instruction ${from}`
      return `what was acquired${where} (a socket, a ring buffer record, a reference) is not released on every way out`
    },
  ],
  [/program of this type cannot use helper (\w+)#\d+/, ([, helper], { type }) => notForType(helper, type)],
  [/unknown func (\w+)#\d+/, ([, helper], { type }) => notForType(helper, type)],
  [/invalid func unknown#(\d+)/, ([, number]) => helperCause(Number(number))],
  [/kernel btf_id \d+ is not a (?:kernel )?function/, 'no function of the kernel has the BTF id that is called'],
  [
    /infinite loop detected|back-edge from insn|loop is not supported/,
    'a loop must come to an end that the verifier can see: let a counter decide, with an end that is known',
  ],
  [
    /BPF program is too large|program is too large\. Processed|too many instructions/,
    'the verifier gave up after a million instructions: it follows every way through the program and every round of its loops; make it shorter, or bound it tighter',
  ],
  [/The sequence of \d+ jumps is too complex/, 'there are too many branches for the verifier to follow at once'],
  [
    /invalid access to (?:map (value|key)|memory), \w+_size=(\d+) off=(-?\d+) size=(\d+)\s+R\d+ min value is outside/,
    ([, of = 'piece of memory', bytes, offset, size]) => outsideOf(of, Number(bytes), Number(offset), Number(size)),
  ],
  [
    /\bR(\d+) min value is negative, either use unsigned( index)?/,
    ([, register, index]) =>
      index === undefined
        ? `r${register} may be negative: make certain that it is not, by comparing (if r${register} s< 0 goto out) or by &`
        : 'the offset may be negative: make certain that it is not, by comparing (if r2 s< 0 goto out) or by &',
  ],
  [
    /\bR(\d+) is not a (?:known constant|const\b)/,
    ([, register]) => `r${register} has to be a constant: the verifier must know it, and the same on every way to here`,
  ],
  [/(write into|read from) map forbidden/, ([, what]) => mapCause(what as string)],
  [/cannot write into packet/, (_, { type }) => `programs of type ${type} may not write to packets here`],
  [
    /invalid mem access 'pkt_end'|pointer arithmetic on pkt_end prohibited/,
    'data_end is there to be compared with: nothing is read there, and it is not moved',
  ],
  [
    /cannot pass map_type (\d+) into func (\w+)/,
    ([, type, helper]) => `${helper} does not take maps of type ${mapTypeLabel(Number(type))}`,
  ],
  [/expected prog.array map for tail call/, NO_PROG_ARRAY],
  // Up to Linux 6.12, of the same (record_func_map).
  [
    /kernel subsystem misconfigured verifier/,
    (_, { text }) => (/\bcall bpf_tail_call\b/.test(text) ? NO_PROG_ARRAY : undefined),
  ],
  [
    /invalid access to map value|memory range|\bR\d+ unbounded size|unbounded memory access|with unbounded (?:min|max) value/,
    'this may be outside of the memory that the pointer stands for: bound the offset (or the size) first, by comparing or by &',
  ],
  [
    /(?:leaks addr|pointer comparison prohibited|only allowed for CAP_|allowed for CAP_BPF|allowed for root|prohibited for !root|for unprivileged)/,
    'only privileged programs may do so: the process lacks CAP_PERFMON (or CAP_BPF, CAP_SYS_ADMIN)',
  ],
  [
    /invalid bpf_context access off=(-?\d+) size=(\d+)/,
    ([, offset, size], { type, text }) => {
      const what = /^\*\(/.test(text) ? 'written' : 'read'
      return `the context of ${type} programs has no field of ${size} bytes at ${offset} that may be ${what} here`
    },
  ],
  [
    /dereference of modified ctx ptr|variable ctx access|stores into R\d+ ctx is not allowed/,
    'the context is used at constant offsets from the pointer that the program was given, by loads and (where a field allows it) stores of registers',
  ],
  [/unreachable insn/, 'nothing leads to this instruction: leave it out, or jump to it'],
  [/jump out of range|jump into the middle/, 'the jump leads to where no instruction begins'],
  [
    /last insn is not an exit or jmp/,
    'the program, or one of its functions, runs on past its end: each ends with exit, or a jump back',
  ],
  [
    /invalid mem access '(?:inv|scalar)'/,
    `a number is used as an address: pointers lose what they are by arithmetic that the verifier cannot follow, and those into a packet by helpers that change it; and ${RELEASED}`,
  ],
  [/misaligned stack access/, 'what is on the stack is at a multiple of its size from r10, on all processors'],
  [
    /\bmisaligned\b/,
    (_, { text }) =>
      isAtomic(text)
        ? 'atomic operations are done at multiples of their size, on all processors'
        : 'this is not at a multiple of its size, and this processor, or BPF_F_STRICT_ALIGNMENT, wants it so',
  ],
  [
    /At program exit the register R0 has|At subprogram exit/,
    'what the program returns has to be in a range that goes with its type',
  ],
  [
    /Only .* programs can be sleepable|rogram of this type cannot be sleepable/,
    (_, { type }) => `this ${type} program is of a kind that cannot sleep: load it without SLEEPABLE`,
  ],
  [/Sleepable programs can only use/, 'one of its maps is of a type that is not for programs which may sleep'],
  [
    /(?:might sleep|sleepable \S+ \S+) in (?:a )?non-sleepable prog|program must be sleepable/,
    "whether a program may sleep decides what it may call: flags: ['SLEEPABLE'] makes it one that may",
  ],
  [
    /sleepable (?:helper \S+ in|within) \S+ region/,
    'what may sleep is not called between a lock and its end (of RCU, of preemption, of interrupts)',
  ],
  [
    /R(\d+) type=(\S+) expected=(.*)/,
    ([, register, is = '', expected = '']) => {
      const released = /^(?:inv|scalar)$/.test(is) && RELEASABLE.test(expected) ? `; ${RELEASED}` : ''
      return `an argument is not of the kind that is wanted: r${register} is ${is}, and ${expected} would do${released}`
    },
  ],
  [/calling kernel function \S+ is not allowed/, 'this kernel function is not for programs of this type'],
  [/attach_btf_id \d+ is not|is not modifiable/, 'programs of this kind cannot be attached there'],
]

function outsideOf(what: string, bytes: number, offset: number, size: number): string {
  const which = size === 1 ? `1 byte at ${offset} is` : `${size} bytes at ${offset} are`
  return `${which} outside of a ${what} of ${bytes} bytes`
}

/** Linux 7.3 says of a constant offset that it is one, in words that are those of others up to there. */
const CONSTANT = /\bis map_(value|key); offset is constant (-?\d+); access_size is (\d+);\s+object_size is (\d+)/

/** Kinds of pointers that a program has to give back. */
const RELEASABLE = /ringbuf_mem|alloc_mem|^mem$|sock|ptr_/

function mapCause(what: string): string {
  const [may, flag] = what === 'read from' ? ['write', 'WRONLY_PROG'] : ['read', 'RDONLY_PROG']
  return `programs may only ${may} this map: it was made with the flag ${flag}`
}

/** What libbpf puts where the kernel's types have no answer to a relocation, as `relocate` does. */
const POISON = 0xbad2310

function notForType(helper = '', type: string): string {
  const why = `${helper} is not for programs of type ${type}, or this kernel has it not`
  const may = (LOCKED_DOWN as ReadonlySet<string>).has(helper) && isLockedDown() !== false
  return may ? `${why}, or lockdown forbids it (/sys/kernel/security/lockdown)` : why
}

function helperCause(number: number): string {
  if (number === POISON) {
    return 'what CO-RE asks for there, this kernel has not got; bpf_core_field_exists() asks before, and what it guards is not reached'
  }
  const name = (Object.keys(HELPER_NUMBERS) as HelperName[]).find((each) => HELPER_NUMBERS[each] === number)
  if (name === undefined) return `this kernel has no helper of number ${number}`
  return `this kernel (Linux ${release()}) has no ${name}, which came with Linux ${helperSince(name)}`
}

function unwrittenCause(register: number, text: string): string {
  if (register === 0 && text === 'exit') {
    return 'r0 is what the program returns, and on a way to this exit nothing has been written to it'
  }
  if (register === 6 && text.includes(')skb[')) return 'packet loads (skb[...]) find the context in r6: r6 = r1 first'
  const spent = register >= 1 && register <= 5 ? ' (a call leaves r1 to r5 unwritten)' : ''
  return `r${register} is read, and on a way to here nothing has been written to it${spent}`
}

function isAtomic(text: string): boolean {
  return /^lock |\b(?:atomic|load_acquire|store_release)/.test(text)
}

/** What is outside of the stack; or within it, and was not written (newer kernels say both in the same words). */
function stackCause([, offset, size]: RegExpExecArray): string | undefined {
  const [from, to] = [Number(offset), Number(offset) + Number(size)]
  if (to === from) return 'a size of 0 is not taken here'
  if (to > 0) {
    const past = from < 0 ? `, and ${size} bytes from ${from} on reach past it` : ''
    return `the stack of a program is below r10: offsets are negative, from -1 to -512${past}`
  }
  return from < -STACK_BYTES ? STACK : UNWRITTEN
}

/** MAX_BPF_STACK */
const STACK_BYTES = 512

/** The likely cause of a refusal by what the verifier said last; undefined where it is none of the common ones. */
export function causeOf(messages: readonly string[], refused: Refused): string | undefined {
  const text = messages.join('\n')
  const [, of, offset, size, bytes] = CONSTANT.exec(refused.reason ?? '') ?? []
  if (of !== undefined) return outsideOf(of, Number(bytes), Number(offset), Number(size))
  for (const [pattern, cause] of CAUSES) {
    const match = pattern.exec(text)
    if (match !== null) return typeof cause === 'string' ? cause : cause(match, refused)
  }
  return undefined
}
