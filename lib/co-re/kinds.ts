/** enum bpf_core_relo_kind of include/uapi/linux/bpf.h (Linux 5.17), by number; clang 10 to 15 brought them. */
export const CORE_KINDS = [
  ...(['field_byte_offset', 'field_byte_size', 'field_exists', 'field_signed'] as const),
  ...(['field_lshift_u64', 'field_rshift_u64', 'type_id_local', 'type_id_target'] as const),
  ...(['type_exists', 'type_size', 'enumval_exists', 'enumval_value', 'type_matches'] as const),
] as const

/** What a relocation asks for: BPF_CORE_FIELD_BYTE_OFFSET is 'field_byte_offset', and so on. */
export type CoreKind = (typeof CORE_KINDS)[number]

/** The kinds that ask about a field. */
export type FieldKind = Extract<CoreKind, `field_${string}`>

/** In words, in front of what it asks about. */
export const KIND_WORDS: Readonly<Record<CoreKind, string>> = {
  field_byte_offset: 'the byte offset of',
  field_byte_size: 'the byte size of',
  field_exists: 'whether there is',
  field_signed: 'the sign of',
  field_lshift_u64: 'the left shift of',
  field_rshift_u64: 'the right shift of',
  type_id_local: 'the own type id of',
  type_id_target: 'the type id of',
  type_exists: 'whether there is',
  type_size: 'the size of',
  enumval_exists: 'whether there is',
  enumval_value: 'the value of',
  type_matches: 'whether there is the same',
}

export const isFieldKind = (kind: CoreKind): kind is FieldKind => kind.startsWith('field_')
export const isEnumKind = (kind: CoreKind): boolean => kind.startsWith('enumval_')
