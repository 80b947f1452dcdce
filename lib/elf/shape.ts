import type { BpfMap, MapSpec, OuterMap } from '../map'
import type { Program } from '../program'
import type { ObjectMap, ObjectProgram } from './description'
import type { Global } from './globals'

/**
 * The names in an object, with their types, for who wants TypeScript to know them: `BpfObject.open<Shape>(path)`. It is
 * believed, not checked; `npx ebpf-ts gen` writes one that is true.
 */
export interface ObjectShape {
  /** The maps when they are loaded: `{ hits: HashMap<number, bigint> }`. */
  readonly maps?: object
  /** The programs: `Program`, or `Program | undefined` of what is only loaded on request. */
  readonly programs?: object
  /** What the variables are: `{ packets: bigint }`; with `readonly`, what cannot be written once it is loaded. */
  readonly globals?: object
}

/** Maps by name; typed where the shape says how. */
export type MapsOf<S extends ObjectShape> = S extends { readonly maps: infer M }
  ? Readonly<M>
  : Readonly<Record<string, BpfMap>>

/** Programs by name; just these where the shape names them. */
export type ProgramsOf<S extends ObjectShape> = S extends { readonly programs: infer P }
  ? Readonly<P>
  : Readonly<Record<string, Program>>

/** Variables by name; typed where the shape says how. */
export type GlobalsOf<S extends ObjectShape> = S extends { readonly globals: infer G }
  ? { readonly [K in keyof G]: IsReadonly<G, K> extends true ? Readonly<Global<G[K]>> : Global<G[K]> }
  : Readonly<Record<string, Global>>

/** What maps are before they are loaded, by name. */
export type ObjectMapsOf<S extends ObjectShape> = S extends { readonly maps: infer M }
  ? { readonly [K in keyof M]: ObjectMap }
  : Readonly<Record<string, ObjectMap>>

/** What programs are before they are loaded, by name. */
export type ObjectProgramsOf<S extends ObjectShape> = S extends { readonly programs: infer P }
  ? { readonly [K in keyof P]: ObjectProgram }
  : Readonly<Record<string, ObjectProgram>>

/** What variables begin with, by name: before it is loaded, constants are written too. */
export type ObjectGlobalsOf<S extends ObjectShape> = S extends { readonly globals: infer G }
  ? { readonly [K in keyof G]: Global<G[K]> }
  : Readonly<Record<string, Global>>

/** What outer maps hold, by the outer map's name. */
export type InnerOf<S extends ObjectShape> = S extends { readonly maps: infer M }
  ? {
      readonly [K in keyof M as M[K] extends AnyOuter ? K : never]: M[K] extends OuterMap<never, infer I>
        ? MapSpec<I>
        : never
    }
  : Readonly<Record<string, MapSpec>>

type AnyOuter = OuterMap<never, BpfMap>

/** TypeScript tells whether a property is readonly only where types have to be identical. */
type IsReadonly<T, K extends keyof T> =
  (<X>() => X extends Pick<T, K> ? 1 : 2) extends <X>() => X extends Readonly<Pick<T, K>> ? 1 : 2 ? true : false
