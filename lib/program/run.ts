import { isAnyArrayBuffer, isUint8Array } from 'node:util/types'
import type { Subject } from '../../syscalls/errno'
import { TestRunCalls, type TestRunSizes } from '../../syscalls/test-run-calls'
import { BPF_F_TEST_RUN_ON_CPU } from '../../syscalls/uapi-prog'
import type { Codec } from '../codec'
import { checkU32 } from '../map/attributes'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { type TypedContext, XDP_DATA_END } from './contexts'
import { bitsOf, type ProgramTypeLabel, RUN_FLAGS, type RunFlag } from './names'
import { type RunShape, runShape } from './run-shape'

/** What a program is run with. */
export interface RunOptions<C = Uint8Array> {
  /** The packet, from its Ethernet header on: 14 bytes at least. Types that are given no packet take none. */
  readonly data?: ArrayBufferView
  /**
   * The context: as bytes (of `raw_tracepoint`, its arguments: a BigUint64Array), by `xdpContext` or `skbContext`, or by a
   * codec of your own. It stays as it is; what the program made of it is in the result.
   */
  readonly ctx?: ArrayBufferView | TypedContext<C>
  /** How often, in one call, which blocks meanwhile; 1 where not given. */
  readonly repeat?: number
  /** The CPU to run on, for `raw_tracepoint`. Linux 5.10. */
  readonly cpu?: number
  /** XDP_LIVE_FRAMES lets the packets really go where the program sends them (Linux 5.18); SKB_CHECKSUM_COMPLETE (6.19). */
  readonly flags?: readonly RunFlag[]
  /** With XDP_LIVE_FRAMES, packets that go together: up to 256. Linux 5.18. */
  readonly batchSize?: number
  /** Room for the packet after the run, in bytes; 4096 more than before where not given, 0 for no packet. */
  readonly dataOutSize?: number
}

/** What a run came to. */
export interface RunResult<C = Uint8Array> {
  /** What the program returned, in the last run: a u32, which `retval | 0` makes signed. */
  readonly retval: number
  /** Nanoseconds a run, on average; 0 of `syscall`, `raw_tracepoint` and other types that are not timed. */
  readonly duration: number
  /**
   * The packet after the run; struct bpf_flow_keys of `flow_dissector`; empty where there is none. Yours to keep and to
   * write, but, like a Buffer, a part of a larger ArrayBuffer: mind `byteOffset` where you make a DataView of its `buffer`.
   */
  readonly data: Uint8Array
  /** The context after the run, by the codec where it was given by one; undefined where there is none. */
  readonly ctx: C | undefined
}

/** Beyond what common programs add to a packet. */
const HEADROOM = 4096
/** TEST_XDP_MAX_BATCH */
const MOST_BATCH = 256

/** A way to run a program: checked, and with the memory for it. */
export interface Prepared {
  readonly calls: TestRunCalls
  readonly shape: RunShape
  readonly type: ProgramTypeLabel
  /** With the causes of refused runs. */
  readonly subject: Subject
  /** What it was checked for, copied: a run that asks for the same need not be checked again. */
  readonly asked: Readonly<Omit<RunOptions, 'data' | 'ctx'>>
}

const OPTIONS = optionNames<RunOptions>({
  ...{ data: true, ctx: true, repeat: true, cpu: true, flags: true, batchSize: true, dataOutSize: true },
})

/** Checks the options for a program of this type. Throws TypeError, RangeError. */
export function prepare(type: ProgramTypeLabel, options: RunOptions<unknown>, program: Subject): Prepared {
  if (typeof options !== 'object' || options === null) throw new TypeError('a program is run by { data, ctx, repeat }')
  checkKnownOptions(options, OPTIONS)
  const shape = runShape(type)
  const { repeat, cpu, ctx, batchSize = 0, dataOutSize } = options
  const data = options.data === undefined ? undefined : bytesOf(options.data, 'data')
  checkData(type, shape, data)
  const ctxBytes = ctx === undefined ? 0 : ctxSize(ctx)
  checkCtx(type, shape, ctxBytes)
  if (repeat !== undefined) {
    checkU32('repeat', repeat, 1)
    if (!shape.repeat && repeat > 1) throw new TypeError(`programs of type ${type} run once a call: no repeat`)
  }
  if (cpu !== undefined) {
    checkU32('cpu', cpu)
    if (!shape.cpu) throw new TypeError(`programs of type ${type} run where they are started: no cpu`)
  }
  const flags = bitsOf('flag of a run', RUN_FLAGS, options.flags)
  const stray = options.flags?.find((flag) => !shape.flags.includes(flag))
  if (stray !== undefined) throw new TypeError(`programs of type ${type} are not run with the flag ${stray}`)
  const live = (flags & RUN_FLAGS.XDP_LIVE_FRAMES) !== 0
  checkU32('batchSize', batchSize)
  if (batchSize !== 0 && !live) throw new TypeError("batchSize goes with flags: ['XDP_LIVE_FRAMES'] alone")
  if (batchSize > MOST_BATCH) throw new RangeError(`${batchSize} cannot be batchSize: 1 to ${MOST_BATCH} can`)
  const settings = {
    repeat: shape.repeat ? (repeat ?? 1) : 0,
    flags: cpu === undefined ? flags : flags | BPF_F_TEST_RUN_ON_CPU,
    cpu: cpu ?? 0,
    batchSize,
  }
  const sizes = {
    dataIn: data?.length ?? 0,
    // The packets have gone.
    dataOut: live ? 0 : roomFor(shape, data, dataOutSize),
    ctxIn: ctxBytes,
    ctxOut: ctxBytes === 0 || live || shape.ctxOut === 'in place' ? 0 : shape.ctxOut,
  }
  const subject: Subject = {
    get description() {
      return program.description
    },
    hint: (_, code) => runHint(code, type, sizes, settings.cpu),
  }
  const asked = { repeat, cpu, flags: options.flags, batchSize: options.batchSize, dataOutSize }
  return { calls: new TestRunCalls(sizes, settings), shape, type, subject, asked: asked as Prepared['asked'] }
}

/** Whether a run with these options is what was prepared: the same in all but the bytes of packet and context. */
export function isPreparedFor({ calls, asked }: Prepared, options: RunOptions<unknown>): boolean {
  const { data, ctx } = options
  const { dataIn, ctxIn } = calls.sizes
  return (
    options.repeat === asked.repeat &&
    options.cpu === asked.cpu &&
    options.batchSize === asked.batchSize &&
    options.dataOutSize === asked.dataOutSize &&
    // A list may have changed.
    options.flags === undefined &&
    asked.flags === undefined &&
    (data === undefined
      ? dataIn === 0
      : dataIn !== 0 && (calls.isGiven(data) ? data : bytesOf(data, 'data')).length === dataIn) &&
    (ctx === undefined ? ctxIn === 0 : ctxIn !== 0 && ctxSize(ctx) === ctxIn) &&
    calls.isCurrent
  )
}

function checkData(type: ProgramTypeLabel, { leastData }: RunShape, data: Uint8Array | undefined): void {
  if (leastData === undefined) {
    if (data !== undefined) throw new TypeError(`programs of type ${type} are given no packet: no data`)
    return
  }
  if (leastData === 0) return
  if (data === undefined) throw new TypeError(`programs of type ${type} are run on a packet: data is missing`)
  if (data.length < leastData) {
    throw new RangeError(
      `data has ${data.length} bytes: programs of type ${type} are run on packets from ${leastData} bytes on, an Ethernet header`,
    )
  }
}

function checkCtx(type: ProgramTypeLabel, { mostCtx, leastCtx }: RunShape, bytes: number): void {
  if (bytes > mostCtx) {
    throw new RangeError(`ctx has ${bytes} bytes: programs of type ${type} are given up to ${mostCtx}`)
  }
  if (bytes === 0 || leastCtx === undefined || bytes >= leastCtx.bytes) return
  const { struct, size, bytes: least } = leastCtx
  throw new RangeError(
    `ctx has ${bytes} bytes: of ${struct}, which has ${size}, programs of type ${type} are given ${least} at least`,
  )
}

/** Far more than the kernel lets a packet have, in all its pages. */
const MOST_DATA = 2 ** 24

function roomFor({ dataOut }: RunShape, data: Uint8Array | undefined, wanted: number | undefined): number {
  if (wanted !== undefined) checkU32('dataOutSize', wanted)
  if (wanted !== undefined && wanted > MOST_DATA) {
    throw new RangeError(`dataOutSize is ${wanted} bytes, and no packet has more than ${MOST_DATA}`)
  }
  if (dataOut !== 'packet') return wanted === 0 ? 0 : dataOut
  return wanted ?? (data === undefined ? 0 : data.length + HEADROOM)
}

function bytesOf(view: ArrayBufferView, what: string): Uint8Array {
  if (isUint8Array(view)) return view
  if (!ArrayBuffer.isView(view) || !isAnyArrayBuffer(view.buffer)) {
    throw new TypeError(`${what} must be a Uint8Array or another view of an ArrayBuffer`)
  }
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}

function ctxSize(ctx: ArrayBufferView | TypedContext<unknown>): number {
  return isTyped(ctx) ? ctx.codec.size : ctx.byteLength
}

function isTyped(ctx: ArrayBufferView | TypedContext<unknown>): ctx is TypedContext<unknown> {
  if (ArrayBuffer.isView(ctx)) return false
  if (typeof ctx === 'object' && ctx !== null && typeof ctx.codec?.size === 'number') return true
  throw new TypeError('ctx is a Uint8Array, xdpContext(), skbContext(), or { codec, value }')
}

/** Writes what the program is to be given. Only where it runs at once is the packet read where it is. */
export function fill(prepared: Prepared, { data, ctx }: RunOptions<unknown>, when: 'now' | 'later'): void {
  if (ctx !== undefined) fillContext(prepared, ctx)
  // Last: nobody's codec may take it away from here on.
  if (data === undefined) return
  const { calls } = prepared
  const bytes = calls.isGiven(data) ? data : bytesOf(data, 'data')
  if (when === 'now') calls.giveData(bytes)
  else calls.copyData(bytes)
}

function fillContext({ calls, type }: Prepared, ctx: NonNullable<RunOptions<unknown>['ctx']>): void {
  const view = new DataView(calls.ctxIn.buffer, calls.ctxIn.byteOffset, calls.ctxIn.length)
  if (isTyped(ctx)) {
    // Of the last run: a codec need not write every byte.
    calls.ctxIn.fill(0)
    ;(ctx.codec as Codec<unknown>).write(view, 0, ctx.value)
  } else calls.ctxIn.set(bytesOf(ctx, 'ctx'))
  // bpf_prog_test_run_xdp refuses any other.
  if (type === 'xdp' && view.byteLength > 0 && view.getUint32(XDP_DATA_END) === 0) {
    new Uint32Array(view.buffer, view.byteOffset + XDP_DATA_END, 1)[0] = calls.sizes.dataIn
  }
}

/** One run. Whether there was room for all of the packet. */
export function runOnce({ calls, subject }: Prepared, fd: number): boolean {
  return calls.run(fd, subject) || isWhole(calls)
}

/** The same on the thread pool: until it is done, `prepared` is this run's alone. */
export async function runOnceAsync({ calls, subject }: Prepared, fd: number): Promise<boolean> {
  return (await calls.runAsync(fd, subject)) || isWhole(calls)
}

/** ENOSPC may be about the context, which another kernel may have more of, or about a packet that nobody asked for. */
function isWhole({ sizes, dataSizeOut }: TestRunCalls): boolean {
  return sizes.dataOut === 0 || dataSizeOut <= sizes.dataOut
}

/** The same run, with room for what the packet has grown to. */
export function withRoom(prepared: Prepared): Prepared {
  const { calls } = prepared
  return { ...prepared, calls: calls.withRoom(calls.dataSizeOut) }
}

/** The packet has outgrown its room, in a run that took place. */
export function outgrown({ sizes, dataSizeOut }: TestRunCalls): RangeError {
  return new RangeError(`the packet has grown to ${dataSizeOut} bytes, and dataOutSize is ${sizes.dataOut}`)
}

/** What the program has left. */
export function resultOf({ calls, shape }: Prepared, ctx: RunOptions<unknown>['ctx']): RunResult<unknown> {
  return { retval: calls.retval, duration: calls.duration, data: calls.takeData(), ctx: leftOf(calls, shape, ctx) }
}

function leftOf(calls: TestRunCalls, { ctxOut }: RunShape, ctx: RunOptions<unknown>['ctx']): unknown {
  if (ctx === undefined) return undefined
  const left = ctxOut === 'in place' ? calls.ctxIn : calls.ctxOut.subarray(0, calls.ctxSizeOut)
  if (left.length === 0) return undefined
  return isTyped(ctx) ? readBack(ctx.codec, left) : left.slice()
}

/** A kernel whose struct is shorter than the codec's has nothing to say of the rest. */
function readBack(codec: Codec<unknown>, left: Uint8Array): unknown {
  const bytes = new Uint8Array(Math.max(codec.size, left.length))
  bytes.set(left)
  return codec.read(new DataView(bytes.buffer), 0)
}

/** The likely cause of a run that the kernel refuses. */
function runHint(code: string, type: ProgramTypeLabel, calls: TestRunSizes, cpu: number): string | undefined {
  if (code === 'ENXIO') return `CPU ${cpu} is not there, or not running`
  if (code === 'ENODEV') return 'there is no interface of this ifindex in this network namespace'
  const tooLarge = `the packet is larger than the kernel takes (${calls.dataIn} bytes)`
  // What an xdp packet has more pages than (MAX_SKB_FRAGS in bpf_prog_test_run_xdp).
  if (code === 'ENOMEM' && calls.dataIn > PAGE) return `${tooLarge}, or there is no memory for it`
  if (code === 'EMSGSIZE' && calls.dataIn > PAGE) return tooLarge
  if (code === 'EFAULT' && type === 'tracing') {
    return 'the kernel cannot run programs of this attach type by themselves: of tracing, fentry, fexit and fmod_ret are run'
  }
  if (code !== 'EINVAL') return undefined
  // These two take any context, as long as the program reads no more of it.
  if (calls.ctxIn > 0 && (type === 'syscall' || type === 'raw_tracepoint')) {
    return `the program reads more of the context than its ${calls.ctxIn} bytes`
  }
  const causes = [
    ...(calls.dataIn > PAGE ? [tooLarge] : []),
    ...(calls.ctxIn > 0 ? [`a field of the context is set that programs of type ${type} are not given this way`] : []),
  ]
  if (causes.length > 0) return causes.join(', or ')
  return `the kernel does not run programs of type ${type} with these options, or needs a context (ctx)`
}

/** What one buffer of a packet may have, with what the kernel puts around it. */
const PAGE = 3520
