/** Compiled objects: read, changed, loaded. */
export type { ObjectMap, ObjectProgram, ObjectStructOps } from './description'
export type { Global } from './globals'
export type { LoadOptions } from './load-options'
export { Attachments, LoadedObject } from './loaded'
export { BpfObject, type OpenObjectOptions } from './object'
export type {
  GlobalsOf,
  InnerOf,
  MapsOf,
  ObjectGlobalsOf,
  ObjectMapsOf,
  ObjectProgramsOf,
  ObjectShape,
  ProgramsOf,
} from './shape'
export { StructOpsMap } from './struct-ops-map'
export type { StructOpsRegistration } from './struct-ops-registration'
