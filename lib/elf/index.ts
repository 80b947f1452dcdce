/** Compiled objects: read, changed, loaded. */
export type { ObjectMap, ObjectProgram } from './description'
export type { Global } from './globals'
export type { LoadOptions } from './load-options'
export { Attachments, type GlobalsOf, LoadedObject, type MapsOf, type ObjectShape } from './loaded'
export { BpfObject, type OpenObjectOptions } from './object'
