/** Types of BTF as C and as TypeScript. */
export { type ToCOptions, toC } from './to-c'
