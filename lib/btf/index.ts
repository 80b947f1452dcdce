/** BTF: the types of the kernel, of its modules, of compiled programs, and of one's own. */
export { Btf, type BtfOptions, type ModuleBtf } from './btf'
export { BtfBuilder } from './build/builder'
export type { BtfDescription } from './build/description'
export { type BtfValue, type CodecOfOptions, codecOf } from './codec'
export { BtfError } from './error'
export {
  type BtfExt,
  type BtfExtSection,
  type BtfFuncInfo,
  type BtfLineInfo,
  type BtfRelocation,
  parseBtfExt,
} from './ext'
export type { ToCOptions } from './print'
export type * from './types'
