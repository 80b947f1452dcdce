/** Held by `tsc --noEmit`: a wrong type in here does not compile. */
import {
  array,
  bool,
  bytes,
  type Codec,
  cstring,
  enumOf,
  flagsOf,
  type Infer,
  type ipv4Prefix,
  mapped,
  packed,
  type StructCodec,
  struct,
  u8,
  u16be,
  u32,
  u64,
  type u64n,
} from '../../lib/codec'

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

const Stats = struct({ packets: u64, bytes: u64 })
const Listener = packed({ port: u16be, name: cstring(16), up: bool })
const Table = struct({ id: u32, raw: bytes(6), listeners: array(Listener, 4), grid: array(array(u8, 2), 3) })
const Protocol = enumOf({ TCP: 6, UDP: 17 }, u8)
const Wide = enumOf({ A: 1n }, u64)
const Flags = flagsOf({ UP: 1, DOWN: 2 })
const WideFlags = flagsOf({ UP: 1n }, u64)
const Time = mapped(
  u64,
  (ns) => new Date(Number(ns / 1_000_000n)),
  (date) => BigInt(date.getTime()) * 1_000_000n,
)

export const holds: [
  Equal<Infer<typeof u32>, number>,
  Equal<Infer<typeof u64>, bigint>,
  Equal<Infer<typeof u64n>, number>,
  Equal<Infer<typeof ipv4Prefix>, string>,
  Equal<Infer<typeof Stats>, { packets: bigint; bytes: bigint }>,
  Equal<Infer<typeof Listener>, { port: number; name: string; up: boolean }>,
  Equal<
    Infer<typeof Table>,
    { id: number; raw: Uint8Array; listeners: { port: number; name: string; up: boolean }[]; grid: number[][] }
  >,
  Equal<typeof Stats, StructCodec<{ packets: bigint; bytes: bigint }>>,
  Equal<Infer<typeof Protocol>, 'TCP' | 'UDP' | number>,
  Equal<Infer<typeof Wide>, 'A' | bigint>,
  Equal<Infer<typeof Flags>, readonly ('UP' | 'DOWN' | number)[]>,
  Equal<Infer<typeof WideFlags>, readonly ('UP' | bigint)[]>,
  Equal<Infer<typeof Time>, Date>,
  Equal<Infer<string>, never>,
  Equal<Equal<number, bigint>, false>,
] = [true, true, true, true, true, true, true, true, true, true, true, true, true, true, true]

export function refused(view: DataView): void {
  // @ts-expect-error a 64-bit integer is a bigint
  u64.write(view, 0, 5)
  // @ts-expect-error a 32-bit integer is a number
  u32.write(view, 0, 5n)
  // @ts-expect-error a field is missing
  Stats.write(view, 0, { packets: 1n })
  // @ts-expect-error there is no such field
  Stats.write(view, 0, { packets: 1n, bytes: 1n, bites: 1n })
  // @ts-expect-error there is no such name
  Protocol.write(view, 0, 'TPC')
  // @ts-expect-error there is no such flag
  Flags.write(view, 0, ['UP', 'LEFT'])
  // @ts-expect-error bigint constants want a 64-bit base
  enumOf({ A: 1n })
  // @ts-expect-error numbers do not fit a bigint base
  flagsOf({ A: 1 }, u64)
  // @ts-expect-error a schema is made of codecs
  struct({ packets: 8 })
  // @ts-expect-error a codec is no one's to change
  u32.size = 8
  // @ts-expect-error the fields neither
  Stats.fields[0] = { name: 'x', offset: 0, codec: u32 }
}

/** A codec that a user writes as a plain object fits everywhere. */
const own: Codec<Date> = { name: 'date', size: 8, align: 8, write() {}, read: () => new Date() }
export const seen: Equal<Infer<ReturnType<typeof struct<{ at: typeof own }>>>, { at: Date }> = true
