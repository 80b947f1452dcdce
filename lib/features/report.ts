import { release } from 'node:os'
import type { HelperName, MapTypeName, ProgramTypeName } from '../../syscalls/uapi-names'
import type { AttachName } from './attach'
import { BTF_KINDS, type BtfKindName } from './btf-kinds'
import { type GeneralName, INSTRUCTION_SET_NAMES, type InstructionSet } from './general'
import { TRACELESS_NOT } from './helpers'
import {
  ATTACH_NAMES,
  ask,
  attachQuestion,
  btfQuestion,
  GENERAL_NAMES,
  generalQuestion,
  HELPER_NAMES,
  helperQuestion,
  instructionSetQuestion,
  MAP_TYPE_NAMES,
  MEMLOCK,
  mapTypeQuestion,
  PROGRAM_TYPE_NAMES,
  programTypeQuestion,
  type Question,
} from './questions'

/** Answers by name; null where it cannot be told. */
export type Answers<Name extends string> = Readonly<Record<Name, boolean | null>>

/** What a kernel can do, as data. */
export interface FeatureReport {
  /** '6.18.44' */
  readonly kernel: string
  /** 'x64', as `process.arch` has it. */
  readonly arch: string
  readonly mapTypes: Answers<MapTypeName>
  readonly programTypes: Answers<ProgramTypeName>
  readonly attach: Answers<AttachName>
  /** Whether programs of any type may call them; null also for those that were not asked for, see `features.helper`. */
  readonly helpers: Answers<HelperName>
  readonly instructionSets: Answers<InstructionSet>
  readonly btf: Answers<BtfKindName>
  readonly others: Answers<GeneralName | 'memlock'>
}

export function makeReport(): FeatureReport {
  return {
    kernel: release(),
    arch: process.arch,
    mapTypes: answersOf(MAP_TYPE_NAMES, mapTypeQuestion),
    programTypes: answersOf(PROGRAM_TYPE_NAMES, programTypeQuestion),
    attach: answersOf(ATTACH_NAMES, attachQuestion),
    helpers: answersOf(HELPER_NAMES, (name) => (TRACELESS_NOT.has(name) ? undefined : helperQuestion(name))),
    instructionSets: answersOf(INSTRUCTION_SET_NAMES, instructionSetQuestion),
    btf: answersOf(BTF_KINDS, btfQuestion),
    others: answersOf([...GENERAL_NAMES, 'memlock'], (name) => (name === 'memlock' ? MEMLOCK : generalQuestion(name))),
  }
}

function answersOf<Name extends string>(
  names: readonly Name[],
  question: (name: Name) => Question | undefined,
): Answers<Name> {
  const answers: Partial<Record<Name, boolean | null>> = {}
  for (const name of names) {
    const asked = question(name)
    answers[name] = asked === undefined ? null : (ask(asked).has ?? null)
  }
  return answers as Answers<Name>
}

const INDENT = '    '
const WIDTH = 100

/** What an operator wants to know first: what is missing, and from when on it would be there. Helpers are left out. */
export function summary(): string {
  const general = [...GENERAL_NAMES.map(generalQuestion), MEMLOCK]
  return [
    `features of Linux ${release()} (${process.arch})`,
    ...group('map types', MAP_TYPE_NAMES.map(mapTypeQuestion)),
    ...group('program types', PROGRAM_TYPE_NAMES.map(programTypeQuestion)),
    ...group('attach', ATTACH_NAMES.map(attachQuestion)),
    ...group('instruction sets', INSTRUCTION_SET_NAMES.map(instructionSetQuestion)),
    ...group('BTF kinds', BTF_KINDS.map(btfQuestion)),
    ...group('others', general),
  ].join('\n')
}

function group(title: string, questions: readonly Question[]): string[] {
  const found = questions.map((question) => ({ question, has: ask(question).has }))
  const short = ({ question }: { question: Question }) => question.key.split(' ').at(-1) ?? ''
  const dated = (one: { question: Question }) =>
    one.question.since === undefined ? short(one) : `${short(one)} (${one.question.since})`
  return [
    `  ${title}`,
    ...lines('yes', found.filter(({ has }) => has === true).map(short)),
    ...lines('no ', found.filter(({ has }) => has === false).map(dated)),
    ...lines('?  ', found.filter(({ has }) => has === undefined).map(short)),
  ]
}

/** The names after their answer, in lines that a terminal has room for. */
function lines(answer: string, names: readonly string[]): string[] {
  if (names.length === 0) return []
  const result: string[] = []
  let line = `${INDENT}${answer}`
  for (const name of names) {
    if (line.length + 1 + name.length > WIDTH) {
      result.push(line)
      line = `${INDENT}   `
    }
    line += ` ${name}`
  }
  return [...result, line]
}
