/** What the specs know of the modules that they generate and compile: none of them is there when these are compiled. */
import type {
  ArrayMap,
  ArrayOfMaps,
  BpfMap,
  BpfObject,
  Codec,
  HashMap,
  HashOfMaps,
  LoadedObject,
  LoadOptions,
  MapSpec,
  ObjectShape,
  PerCpuArrayMap,
  Program,
  RingBuf,
} from '../../lib'

/** What a module exports for its object. */
interface Loader<S extends ObjectShape> {
  open(): BpfObject<S>
  load(options?: LoadOptions<S>): LoadedObject<S>
}

interface Flow {
  saddr: number
  daddr: number
  sport: number
  dport: number
  protocol: number
}

interface Limit {
  rate: number
  burst: number
  strict: boolean
}

interface Stats {
  packets: bigint
  bytes: bigint
  last: string | number
}

type Section = ArrayMap<Uint8Array>

export interface FlowsModule {
  readonly Flows: Loader<{
    maps: {
      flows: HashMap<Flow, Stats>
      defaults: HashMap<number, Limit>
      tenants: HashOfMaps<number, HashMap<number, Limit>>
      common: ArrayOfMaps<HashMap<number, Limit>>
      by_protocol: PerCpuArrayMap<bigint>
      refusals: RingBuf
      '.bss': Section
      '.rodata': Section
    }
    programs: { count: Program; refuse: Program; delete: Program | undefined }
    globals: { readonly tenant: number; readonly label: string; fallback: Limit; epoch: number; total: bigint }
  }>
  readonly Refused: Codec<object>
}

export interface ValuesModule {
  readonly Values: Loader<{
    maps: {
      first: ArrayMap<number>
      second: ArrayMap<number>
      by_index: ArrayOfMaps<ArrayMap<number>>
      by_key: HashOfMaps<number, ArrayMap<number>>
    }
    programs: { read: Program }
  }>
}

export interface TutorialModule {
  readonly Tutorial: {
    load<M extends BpfMap>(options: {
      inner: { outer_map: MapSpec<M> }
    }): LoadedObject<{
      maps: { outer_map: HashOfMaps<Uint8Array, M> }
      programs: { test_func: Program }
    }>
  }
}

export interface OpenEndsModule {
  readonly OpenEnds: Loader<{
    maps: { opens: RingBuf; last: HashMap<Uint8Array, Uint8Array> }
    programs: { open: Program }
    globals: { latest: Uint8Array }
  }>
  readonly Opened: Codec<{ header: { time: bigint; pid: number }; flags: number }>
  readonly Sampled: Codec<{ kind: number; cpu: number }>
}

export interface OuterMapInnerModule {
  readonly OuterMapInner: {
    load<A extends BpfMap, B extends BpfMap, C extends BpfMap>(options: {
      inner: { outer: MapSpec<A>; Outer: MapSpec<B>; outer_map: MapSpec<C> }
    }): LoadedObject<{
      maps: {
        outer: HashOfMaps<Uint8Array, A>
        Outer: HashOfMaps<Uint8Array, B>
        outer_map: HashOfMaps<Uint8Array, C>
      }
    }>
  }
}

interface Everything {
  name: string
  huge: bigint
  class: number
  ratio: number
}

export interface NamesModule {
  readonly Names: Loader<{
    maps: {
      nodes: ArrayMap<object>
      class: HashMap<{ a: number; b: number }, Everything>
      outer: HashOfMaps<{ of: number }, HashMap<{ in: number }, { bpf_object: number }>>
      '.data.custom.dots': Section
    }
    programs: { function: Program; import: Program }
    globals: { 'function.calls': number; flags: number; huge: bigint }
  }>
  readonly Bits: Codec<object>
  readonly ClassKey: Codec<{ a: number; b: number }>
  readonly Everything: Codec<Everything>
}
