import { release } from 'node:os'
import { type Abi, abi } from '../../syscalls/abi'
import {
  HELPER_NUMBERS,
  type HelperName,
  MAP_TYPE_NUMBERS,
  type MapTypeName,
  PROGRAM_TYPES,
  type ProgramTypeName,
} from '../../syscalls/uapi-names'
import type { Answer } from './answer'
import { ATTACH, type AttachName } from './attach'
import { BTF_KINDS, type BtfKindName, probeBtfKind } from './btf-kinds'
import { GENERAL, type GeneralName, INSTRUCTION_SET_NAMES, type InstructionSet, probeInstructionSet } from './general'
import { probeHelper, probeHelperAnywhere } from './helpers'
import { probeMapType } from './map-types'
import { probeMemlock } from './memlock'
import { type Aliases, checkKnown, PROGRAM_TYPE_ALIASES } from './names'
import { probeProgramType } from './program-types'
import { helperSince, isAtLeast, SINCE } from './since'

/** Something that a kernel has or has not. */
export interface Question {
  /** What is asked, for the list of answers: 'mapType arena'. */
  readonly key: string
  /** In words, and in the plural: 'maps of type arena'. */
  readonly words: string
  /** The first Linux version with it; undefined for what newer kernels no longer do. */
  readonly since: string | undefined
  probe(): Answer
}

export const MAP_TYPE_NAMES = Object.keys(MAP_TYPE_NUMBERS) as MapTypeName[]
export const PROGRAM_TYPE_NAMES = Object.keys(PROGRAM_TYPES) as ProgramTypeName[]
export const ATTACH_NAMES = Object.keys(ATTACH) as AttachName[]
export const HELPER_NAMES = Object.keys(HELPER_NUMBERS) as HelperName[]
export const GENERAL_NAMES = Object.keys(GENERAL) as GeneralName[]

/** What the general features are called in messages. */
const GENERAL_WORDS: Readonly<Record<GeneralName, string>> = {
  batch: 'batch commands on maps',
  outerMapBatch: 'batch commands on maps of maps',
  perCpuArrayBatch: 'batch commands on per-CPU arrays',
  lookupAndDelete: 'look-ups that delete, on hash maps',
  innerMapFlag: 'inner arrays of differing lengths (BPF_F_INNER_MAP)',
  mmap: 'arrays that can be mapped into memory (BPF_F_MMAPABLE)',
  freeze: 'maps that can be frozen',
  ringBuffer: 'ring buffers',
  userRingBuffer: 'user ring buffers',
  kernelBtf: 'BTF of its own types',
  boundedLoops: 'programs with loops',
  largePrograms: 'programs of more than 4096 instructions',
  kfuncs: 'calls of kernel functions',
  callbacks: 'functions as arguments of helpers (callbacks)',
  atomics: 'atomic operations but for the addition',
  xdpFragments: 'XDP programs for packets in fragments',
  logTrueSize: 'logs whose whole length is told',
  links: 'links',
  bpfCookie: 'cookies of attachments',
  pinByFolderFd: 'pins by the fd of their folder (BPF_F_PATH_FD)',
  statistics: 'statistics of programs (BPF_ENABLE_STATS)',
  tokens: 'tokens',
  programStreams: 'streams that programs print to',
}

export function mapTypeQuestion(name: MapTypeName): Question {
  const probe = () => probeMapType(name)
  return { key: `mapType ${name}`, words: `maps of type ${name}`, since: SINCE.mapType[name], probe }
}

export function programTypeQuestion(name: ProgramTypeName): Question {
  const probe = () => probeProgramType(name)
  return { key: `programType ${name}`, words: `programs of type ${name}`, since: SINCE.programType[name], probe }
}

export function attachQuestion(name: AttachName): Question {
  return { key: `attach ${name}`, words: `attachments by ${name}`, since: SINCE.attach[name], probe: ATTACH[name] }
}

export function helperQuestion(name: HelperName, type?: ProgramTypeName): Question {
  const since = helperSince(name)
  if (type === undefined) {
    const probe = () => probeHelperAnywhere(name, (each) => ask(helperQuestion(name, each)))
    return { key: `helper ${name}`, words: `calls of ${name}`, since, probe }
  }
  const words = `calls of ${name} from programs of type ${type}`
  const probe = () => probeHelper(name, type, ask(programTypeQuestion(type)))
  return { key: `helper ${name} ${type}`, words, since, probe }
}

export function instructionSetQuestion(name: InstructionSet): Question {
  const probe = () => probeInstructionSet(name)
  const words = `programs of the instruction set ${name}`
  return { key: `instructionSet ${name}`, words, since: SINCE.instructionSet[name], probe }
}

export function btfQuestion(name: BtfKindName): Question {
  return {
    key: `btf ${name}`,
    words: `BTF types of kind ${name}`,
    since: SINCE.btf[name],
    probe: () => probeBtfKind(name),
  }
}

export function generalQuestion(name: GeneralName): Question {
  return { key: name, words: GENERAL_WORDS[name], since: SINCE.general[name], probe: GENERAL[name] }
}

export const MEMLOCK: Question = {
  key: 'memlock',
  words: 'charges to RLIMIT_MEMLOCK for what BPF takes',
  since: undefined,
  probe: probeMemlock,
}

/** Whoever puts something else behind the seam asks another kernel. */
const answers = new WeakMap<Abi, Map<string, Answer>>()

/** The answer, found out once: one that tells nothing is not kept, as a capability may come or memory be freed. */
export function ask(question: Question): Answer {
  const seam = abi()
  let known = answers.get(seam)
  if (known === undefined) {
    known = new Map()
    answers.set(seam, known)
  }
  const before = known.get(question.key)
  if (before !== undefined) return before
  const answer = question.probe()
  if (answer.has !== undefined) known.set(question.key, answer)
  return answer
}

/** The answer in a sentence. */
export function explained(question: Question): string {
  const { has, why } = ask(question)
  const kernel = `this kernel (Linux ${release()})`
  if (has === true) return `${kernel} has ${question.words}`
  if (has === false) return `${kernel} has no ${question.words}${history(question.since)}`
  return `whether ${kernel} has ${question.words} cannot be told: ${why}`
}

function history(since: string | undefined): string {
  if (since === undefined) return ''
  return isAtLeast(since)
    ? `: it was built without them (they came with Linux ${since})`
    : `: they came with Linux ${since}`
}

/** A question by the name of the method or property that asks it. Throws TypeError for a name that is none. */
export function questionOf(kind: string, name?: string, type?: string): Question {
  switch (kind) {
    case 'mapType':
      return mapTypeQuestion(known('map type', name, MAP_TYPE_NAMES))
    case 'programType':
      return programTypeQuestion(known('program type', name, PROGRAM_TYPE_NAMES, PROGRAM_TYPE_ALIASES))
    case 'attach':
      return attachQuestion(known('way to attach', name, ATTACH_NAMES))
    case 'helper': {
      const helper = known('helper', name, HELPER_NAMES)
      return helperQuestion(helper, type === undefined ? undefined : known('program type', type, PROGRAM_TYPE_NAMES))
    }
    case 'instructionSet':
      return instructionSetQuestion(known('instruction set', name, INSTRUCTION_SET_NAMES))
    case 'btf':
      return btfQuestion(known('kind of BTF type', name, BTF_KINDS))
    case 'memlock':
      return MEMLOCK
    default:
      return generalQuestion(known('feature', kind, GENERAL_NAMES))
  }
}

/** The kernel's own capitals are as good. */
function known<Name extends string>(what: string, name: unknown, names: readonly Name[], aliases?: Aliases): Name {
  const lower = typeof name === 'string' && /^[A-Z0-9_]+$/.test(name) ? name.toLowerCase() : name
  checkKnown(what, lower, names, aliases)
  return lower as Name
}
