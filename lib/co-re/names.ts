import type { Btf, BtfType } from '../btf'

/**
 * The name without its flavour: `task_struct` of `task_struct___old`. Types of programs and of kernels are the same if
 * they are without; a flavour lets a program have several ideas of one type. It begins at the last three underscores
 * that have neither a fourth one nor an end beside them (bpf_core_essential_name_len of libbpf).
 */
export function essentialName(name: string): string {
  for (let at = name.lastIndexOf('___'); at > 0; at = name.lastIndexOf('___', at - 1)) {
    const after = name[at + 3]
    if (name[at - 1] !== '_' && after !== undefined && after !== '_') return name.slice(0, at)
  }
  return name
}

/** A type as C writes it where it has a name: `struct sample`, `pid_t`; else what it is. */
export function typeName(btf: Btf, id: number): string {
  const type = btf.type(id)
  switch (type.kind) {
    case 'struct':
    case 'union':
    case 'enum':
      return type.name === '' ? `an anonymous ${type.kind}` : `${type.kind} ${type.name}`
    case 'enum64':
      return type.name === '' ? 'an anonymous enum' : `enum ${type.name}`
    case 'fwd':
      return `${type.of} ${type.name}`
    default:
      return type.name === '' ? WORDS[type.kind] : type.name
  }
}

/** The same of what a field has, without typedefs and qualifiers, for a sentence. */
export function shapeOf(btf: Btf, id: number): string {
  const type = btf.resolve(id)
  if (type.kind === 'array') return `an array of ${type.length}`
  if (type.kind === 'ptr') return 'a pointer'
  return typeName(btf, type.id)
}

const WORDS: Readonly<Record<BtfType['kind'], string>> = {
  ...{ void: 'void', int: 'an integer', ptr: 'a pointer', array: 'an array', struct: 'a struct', union: 'a union' },
  ...{ enum: 'an enum', enum64: 'an enum', fwd: 'a declaration', typedef: 'a typedef', volatile: 'a volatile type' },
  ...{ const: 'a const type', restrict: 'a restrict type', func: 'a function', func_proto: 'a function type' },
  ...{ var: 'a variable', datasec: 'a section', float: 'a float', decl_tag: 'a tag', type_tag: 'a tagged type' },
  ...{ unknown: 'a type of a kind that is not known' },
}
