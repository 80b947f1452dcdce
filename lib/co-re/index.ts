/** CO-RE relocations: compiled programs made to fit the types of the kernel that they are loaded into. */
export { CoreError } from './error'
export type { CoreKind } from './kinds'
export {
  type PoisonedInstruction,
  type Relocated,
  type RelocateOptions,
  type Relocator,
  relocate,
  relocator,
} from './relocate'
