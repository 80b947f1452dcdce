import type { Btf } from '../btf'
import type { BtfMember, BtfStruct, BtfType } from '../types'

/** A struct without the array of open length that it ends in, `char path[]`, and that array. */
export interface OpenEnded {
  readonly fixed: BtfStruct
  readonly rest: BtfMember
}

/** undefined for what ends otherwise, and for a struct that has nothing before the array. */
export function openEnded(btf: Btf, type: BtfType): OpenEnded | undefined {
  if (type.kind !== 'struct' || type.members.length < 2) return undefined
  const rest = type.members[type.members.length - 1] as BtfMember
  const its = btf.resolve(rest.type)
  if (its.kind !== 'array' || its.length !== 0) return undefined
  return { fixed: { ...type, members: type.members.slice(0, -1) }, rest }
}
