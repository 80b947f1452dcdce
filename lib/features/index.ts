/** What the running kernel can do, and the error that says what it cannot. */
export type { HelperName, MapTypeName, ProgramTypeName } from '../../syscalls/uapi-names'
export type { AttachName } from './attach'
export type { BtfKindName } from './btf-kinds'
export { type AnyMapTypeName, type FeatureQuestion, type Features, features } from './features'
export type { GeneralName, InstructionSet } from './general'
export type { Answers, FeatureReport } from './report'
export { UnsupportedError } from './unsupported'
