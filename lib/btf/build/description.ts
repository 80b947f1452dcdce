import type * as types from '../types'

/** A type without its id, which is given when it is added; what is nearly always the same may be left out. */
type Without<T extends { readonly id: number }, Optional extends keyof T = never> = Omit<T, 'id' | Optional> & {
  readonly [K in Optional]?: T[K]
}

type Member = Omit<types.BtfMember, 'bitfieldSize'> & { readonly bitfieldSize?: number }

interface Composite<Kind extends 'struct' | 'union'> {
  readonly kind: Kind
  readonly name?: string
  readonly size: number
  readonly members: readonly Member[]
}

/**
 * A type to be built, in the words in which `Btf` reads it: what that gives can be added as it is, but for the ids, which
 * are those of the BTF that is built. Left out, a name is '', an int unsigned and as wide as its size, an enum unsigned, a
 * function static, a tag that of the whole.
 */
export type BtfDescription =
  | Without<types.BtfInt, 'encoding' | 'bitOffset' | 'bits'>
  | Without<types.BtfPtr, 'name'>
  | Without<types.BtfArray, 'name'>
  | Composite<'struct'>
  | Composite<'union'>
  | Without<types.BtfEnum, 'name' | 'signed'>
  | Without<types.BtfEnum64, 'name' | 'signed'>
  | Without<types.BtfFwd>
  | Without<types.BtfTypedef>
  | Without<types.BtfVolatile, 'name'>
  | Without<types.BtfConst, 'name'>
  | Without<types.BtfRestrict, 'name'>
  | Without<types.BtfFunc, 'linkage'>
  | Without<types.BtfFuncProto, 'name' | 'variadic'>
  | Without<types.BtfVar, 'linkage'>
  | Without<types.BtfDatasec>
  | Without<types.BtfFloat>
  | Without<types.BtfDeclTag, 'component' | 'attribute'>
  | Without<types.BtfTypeTag, 'attribute'>

/** The description of that kind. */
export type DescriptionOf<K extends BtfDescription['kind']> = Extract<BtfDescription, { readonly kind: K }>

/** What a type says of itself in a message: "struct 'task'". */
export function labelOf({ kind, name = '' }: BtfDescription): string {
  return name === '' ? kind : `${kind} '${name}'`
}
