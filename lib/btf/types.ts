/**
 * The types of BTF as plain objects, one interface a kind (Documentation/bpf/btf.rst, include/uapi/linux/btf.h). Names are
 * strings, '' for what has none; other types are told by their ids, as ids may form circles: `btf.type(id)` reads one.
 * Sizes are bytes unless they say bits. The kernel version behind a kind is the first that takes it in loaded BTF.
 */

interface Named {
  readonly id: number
  /** '' for what has none. */
  readonly name: string
}

interface Referring extends Named {
  /** The id of the type that it is made from. */
  readonly type: number
}

/** Id 0, which every BTF has without saying so. */
export interface BtfVoid extends Named {
  readonly kind: 'void'
}

/** An integer, or bool. */
export interface BtfInt extends Named {
  readonly kind: 'int'
  readonly size: number
  /** 'char' is what is printed as a character; whether it has a sign then depends on the machine. */
  readonly encoding: 'unsigned' | 'signed' | 'char' | 'bool'
  /** The bit at which the value begins, and the bits it has: not 0 and 8 × size in bit fields of old compilers only. */
  readonly bitOffset: number
  readonly bits: number
}

export interface BtfPtr extends Referring {
  readonly kind: 'ptr'
}

export interface BtfArray extends Named {
  readonly kind: 'array'
  /** The id of the elements' type. */
  readonly type: number
  /** The id of the type that an index has in C. */
  readonly indexType: number
  /** How many elements; 0 in the last member of a struct whose length is open. */
  readonly length: number
}

export interface BtfMember {
  /** '' in an anonymous struct or union, whose members count as those of the one around it. */
  readonly name: string
  readonly type: number
  /** From the start of the struct, in bits. */
  readonly bitOffset: number
  /** The bits of a bit field; 0 in what is none. */
  readonly bitfieldSize: number
}

export interface BtfStruct extends Named {
  readonly kind: 'struct'
  readonly size: number
  readonly members: readonly BtfMember[]
}

export interface BtfUnion extends Named {
  readonly kind: 'union'
  readonly size: number
  readonly members: readonly BtfMember[]
}

export interface BtfEnum extends Named {
  readonly kind: 'enum'
  readonly size: number
  /** Said from Linux 6.0 on; before, negative values stand there as 2^32 more. */
  readonly signed: boolean
  readonly values: readonly { readonly name: string; readonly value: number }[]
}

/** A struct or union that is declared, and described elsewhere or nowhere. */
export interface BtfFwd extends Named {
  readonly kind: 'fwd'
  readonly of: 'struct' | 'union'
}

export interface BtfTypedef extends Referring {
  readonly kind: 'typedef'
}

export interface BtfVolatile extends Referring {
  readonly kind: 'volatile'
}

export interface BtfConst extends Referring {
  readonly kind: 'const'
}

export interface BtfRestrict extends Referring {
  readonly kind: 'restrict'
}

export type BtfLinkage = 'static' | 'global' | 'extern'

/** A function; its type is a func_proto. Linux 5.0. */
export interface BtfFunc extends Referring {
  readonly kind: 'func'
  /** Linux 5.6; 'static' before. */
  readonly linkage: BtfLinkage
}

export interface BtfFuncProto extends Named {
  readonly kind: 'func_proto'
  /** The id of the type of the result, 0 for none. */
  readonly returns: number
  readonly params: readonly { readonly name: string; readonly type: number }[]
  /** Whether `...` follows. */
  readonly variadic: boolean
}

/** A global variable. Linux 5.2. */
export interface BtfVar extends Referring {
  readonly kind: 'var'
  readonly linkage: BtfLinkage
}

/** A section of an object, with the variables in it. Linux 5.2. */
export interface BtfDatasec extends Named {
  readonly kind: 'datasec'
  /** 0 in the BTF of an object that has not been loaded: its section headers tell. */
  readonly size: number
  /** `type` is the id of a var, or of a func where it is extern; `offset` counts from the section's start. */
  readonly vars: readonly { readonly type: number; readonly offset: number; readonly size: number }[]
}

/** Linux 5.13. */
export interface BtfFloat extends Named {
  readonly kind: 'float'
  readonly size: number
}

/** What __attribute__((btf_decl_tag("..."))) says of a declaration. Linux 5.16. */
export interface BtfDeclTag extends Referring {
  readonly kind: 'decl_tag'
  /** Which member or parameter it is said of; -1 where it is the whole. */
  readonly component: number
  /** The name is a whole attribute, not that of a btf_decl_tag. Linux 6.15. */
  readonly attribute: boolean
}

/** What __attribute__((btf_type_tag("..."))) says of what a pointer points to. Linux 5.17. */
export interface BtfTypeTag extends Referring {
  readonly kind: 'type_tag'
  /** The name is a whole attribute, not that of a btf_type_tag. Linux 6.15. */
  readonly attribute: boolean
}

/** An enum whose values need 64 bits. Linux 6.0. */
export interface BtfEnum64 extends Named {
  readonly kind: 'enum64'
  readonly size: number
  readonly signed: boolean
  readonly values: readonly { readonly name: string; readonly value: bigint }[]
}

/** A kind that is newer than this library, in BTF that says how long its types are. */
export interface BtfUnknown extends Named {
  readonly kind: 'unknown'
  /** The kernel's number of the kind. */
  readonly number: number
}

/** A type of any kind; `kind` tells which. */
export type BtfType =
  | BtfVoid
  | BtfInt
  | BtfPtr
  | BtfArray
  | BtfStruct
  | BtfUnion
  | BtfEnum
  | BtfFwd
  | BtfTypedef
  | BtfVolatile
  | BtfConst
  | BtfRestrict
  | BtfFunc
  | BtfFuncProto
  | BtfVar
  | BtfDatasec
  | BtfFloat
  | BtfDeclTag
  | BtfTypeTag
  | BtfEnum64
  | BtfUnknown

export type BtfKind = BtfType['kind']

/** The type of that kind. */
export type BtfTypeOf<K extends BtfKind> = Extract<BtfType, { readonly kind: K }>

/** What is left of a type when typedefs and qualifiers are taken away. */
export type BtfResolved = Exclude<BtfType, BtfTypedef | BtfVolatile | BtfConst | BtfRestrict | BtfTypeTag>
