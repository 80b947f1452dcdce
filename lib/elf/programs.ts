import type { ObjectProgram } from './description'
import type { ObjectFunction, ObjectFunctions } from './functions'
import { type LinkedCode, linkCode, MOST_SLOTS } from './link-code'
import { sectionMeaning } from './section-names'

/** A program, and its code with what is still to be filled in. */
export interface PlacedProgram {
  readonly program: ObjectProgram
  readonly function: ObjectFunction
  readonly linked: LinkedCode
}

/** Where compilers put functions that are no programs. */
export const TEXT = '.text'

/**
 * The programs of an object: its global functions outside of .text. Static ones are called by others, wherever they are
 * (the same rule as bpf_object__add_programs of libbpf, which refuses static ones instead). Errors: ElfError.
 */
export function readPrograms(functions: ObjectFunctions): PlacedProgram[] {
  const outside = functions.all.filter(({ section, local }) => section.name !== TEXT && !local)
  const room = { slots: MOST_SLOTS }
  return outside.map((entry) => {
    const linked = linkCode(functions, entry, room)
    return { program: describe(entry, linked), function: entry, linked }
  })
}

function describe({ name, section }: ObjectFunction, { bytes }: LinkedCode): ObjectProgram {
  // libbpf: a question mark leaves it to the caller whether it is loaded.
  const optional = section.name.startsWith('?')
  const meaning = sectionMeaning(optional ? section.name.slice(1) : section.name)
  return {
    name,
    section: section.name,
    kind: meaning?.kind,
    target: meaning?.target,
    code: bytes,
    type: meaning?.type,
    expectedAttachType: meaning?.expectedAttachType,
    attachTo: undefined,
    flags: [...(meaning?.flags ?? [])],
    autoload: !optional,
    autoattach: true,
  }
}
