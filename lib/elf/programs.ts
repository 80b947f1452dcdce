import type { Btf } from '../btf'
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
export function readPrograms(functions: ObjectFunctions, btf: Btf | undefined): PlacedProgram[] {
  const outside = functions.all.filter(({ section, local }) => section.name !== TEXT && !local)
  const room = { slots: MOST_SLOTS }
  const callbacks = exceptionCallbacks(functions, btf)
  return outside.map((entry) => {
    const linked = linkCode(functions, entry, room, callbacks.get(entry.name))
    return { program: describe(entry, linked), function: entry, linked }
  })
}

/** __exception_cb(name) of the kernel's bpf_experimental.h */
const EXCEPTION_CALLBACK = 'exception_callback:'

/** What the programs are left through by bpf_throw, by their names: it is told by a tag, and no instruction names it. */
function exceptionCallbacks(functions: ObjectFunctions, btf: Btf | undefined): Map<string, [ObjectFunction]> {
  const found = new Map<string, [ObjectFunction]>()
  const { file } = functions
  const section = file.section('.BTF')
  if (btf === undefined || section === undefined) return found
  const { buffer, byteOffset, byteLength } = file.bytes(section)
  if (!Buffer.from(buffer, byteOffset, byteLength).includes(EXCEPTION_CALLBACK)) return found
  for (const tag of btf.types()) {
    if (tag.kind !== 'decl_tag' || !tag.name.startsWith(EXCEPTION_CALLBACK)) continue
    const program = btf.type(tag.type)
    const name = tag.name.slice(EXCEPTION_CALLBACK.length)
    const callback = functions.all.find((each) => each.name === name)
    if (callback === undefined) {
      throw file.error(
        section.at,
        `the exception callback of '${program.name}' is '${name}', which is no function here`,
      )
    }
    found.set(program.name, [callback])
  }
  return found
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
