/** BTF: the types of the kernel, of its modules, and of compiled programs. */
export { Btf, type BtfOptions, type ModuleBtf } from './btf'
export { type BtfValue, codecOf } from './codec'
export { BtfError } from './error'
export {
  type BtfExt,
  type BtfExtSection,
  type BtfFuncInfo,
  type BtfLineInfo,
  type BtfRelocation,
  parseBtfExt,
} from './ext'
export type * from './types'
