/** Types of BTF as C and as TypeScript. */
export { type ToCOptions, toC } from './to-c'
export { type TypeScriptParts, toTypeScript, typeScriptParts } from './to-typescript'
