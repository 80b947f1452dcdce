import {
  type ArrayMap,
  type ArrayOfMaps,
  bpf,
  type Code,
  type Infer,
  type MapLike,
  type MapValue,
  type PerCpuArrayMap,
  struct,
  u32,
} from '../../lib'
import { PORT } from './packets'

/** Settings that belong together: they make a tenant's configuration, and each is an element of its inner map. */
export const SETTINGS = 8

/** A setting says of which configuration it is a part. */
export const Setting = struct({ generation: u32, value: u32 })
export type Setting = Infer<typeof Setting>

/** How far the replacing has come: the generation that is being put in place, and the last that is in place everywhere. */
export const Progress = struct({ begun: u32, finished: u32 })

/** What a packet can find, and the place in the counters where that is counted. */
export const VERDICTS = {
  /** The configuration that was there before the one that is being put in place. */
  old: 0,
  /** The one that was put in place last. */
  new: 1,
  /** Settings of more than one. */
  mixed: 2,
  /** One that had been replaced before the packet came. */
  stale: 3,
  /** None, or a half. */
  missing: 4,
} as const

export type Verdict = keyof typeof VERDICTS

/** Where things are in a UDP packet without options, from its Ethernet header on. */
const ETHERTYPE = 12
const PROTOCOL = 23
const DESTINATION_PORT = 36
const PAYLOAD = 42

const IPV4 = 0x0800
const UDP = 17

const XDP_DROP = 1
const XDP_PASS = 2

/** The maps of the program. */
export interface ConfigMaps {
  /** By tenant, its configuration. */
  readonly configs: ArrayOfMaps<ArrayMap<Setting>>
  readonly progress: ArrayMap<Infer<typeof Progress>>
  readonly verdicts: PerCpuArrayMap<number>
}

/**
 * For XDP: takes each packet that comes for the port, reads all settings of its tenant's configuration, and counts what it
 * has found. How far the replacing has come is read on both sides of that: what was finished before must not be missing
 * from what is found, and what was begun after it is as new as anything can be.
 */
export function configReader({ configs, progress, verdicts }: ConfigMaps): Code {
  return bpf`
            r7 = *(u32 *)(r1 + 0)                 // struct xdp_md: data
            r8 = *(u32 *)(r1 + 4)                 // data_end
            r2 = r7
            r2 += ${PAYLOAD + 4}
            if r2 > r8 goto pass
            ${unless(ETHERTYPE, IPV4)}
            r2 = *(u8 *)(r7 + ${PROTOCOL})
            if r2 != ${UDP} goto pass
            ${unless(DESTINATION_PORT, PORT)}
            r2 = *(u32 *)(r7 + ${PAYLOAD})
            r2 = be32 r2
            *(u32 *)(r10 - 4) = r2                // the tenant
            ${readProgress(progress.at(0), 4)}
            *(u32 *)(r10 - 8) = r1                // finished before
            r6 = ${VERDICTS.missing}
            ${lookUp(configs)}
            if r0 == 0 goto count
            r7 = r0                               // the tenant's own configuration
            r8 = 0                                // which setting
    next:   *(u32 *)(r10 - 4) = r8
            r1 = r7
            r2 = r10
            r2 += -4
            call bpf_map_lookup_elem
            r6 = ${VERDICTS.missing}
            if r0 == 0 goto count
            r1 = *(u32 *)(r0 + 0)
            if r8 != 0 goto other
            r9 = r1                               // the first setting's generation
    other:  r6 = ${VERDICTS.mixed}
            if r1 != r9 goto count
            r8 += 1
            if r8 < ${SETTINGS} goto next
            r6 = ${VERDICTS.stale}
            r1 = *(u32 *)(r10 - 8)
            if r9 < r1 goto count
            ${readProgress(progress.at(0), 0)}
            r6 = ${VERDICTS.new}
            if r9 == r1 goto count
            r6 = ${VERDICTS.old}
            r1 += -1
            if r9 == r1 goto count
            r6 = ${VERDICTS.stale}
    count:  *(u32 *)(r10 - 4) = r6
            ${lookUp(verdicts)}
            if r0 == 0 goto drop
            r1 = *(u64 *)(r0 + 0)                 // this CPU's own
            r1 += 1
            *(u64 *)(r0 + 0) = r1
    drop:   r0 = ${XDP_DROP}
            exit
    pass:   r0 = ${XDP_PASS}
            exit`
}

/** Lets a packet pass whose 16 bits there are others, in network byte order. */
function unless(at: number, value: number): Code {
  return bpf`
            r2 = *(u16 *)(r7 + ${at})
            r2 = be16 r2
            if r2 != ${value} goto pass`
}

/** r0 = what is under the u32 on the stack. */
function lookUp(map: MapLike): Code {
  return bpf`
            r1 = ${map} ll
            r2 = r10
            r2 += -4
            call bpf_map_lookup_elem`
}

/** r1 = a u32 of the map's one value. */
function readProgress(value: MapValue, at: number): Code {
  return bpf`
            r1 = ${value} ll
            r1 = *(u32 *)(r1 + ${at})`
}
