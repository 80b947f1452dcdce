/** Types of BTF as C and as TypeScript. */
export type { UniqueNames } from './identifiers'
export { type ToCOptions, toC } from './to-c'
export { type TypeScriptParts, toTypeScript, typeScriptParts, usesName, type WantedType } from './to-typescript'
export { comment, literal, propertyName, typeName, typeNames } from './typescript-text'
