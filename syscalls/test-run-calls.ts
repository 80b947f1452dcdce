import { isArrayBuffer } from 'node:util/types'
import { markAsUntransferable } from 'node:worker_threads'
import { type Abi, abi, keepAlive } from './abi'
import { LE, put64 } from './attr-common'
import { align8, checkBytes } from './buffer'
import { bpf, bpfAsync } from './call'
import { errnoName, type Subject, throwKernelError } from './errno'
import { checkFd } from './fd'
import { BPF_PROG_TEST_RUN } from './uapi-cmd'

// attr.test of union bpf_attr: the same offsets as packProgTestRun in attr-prog.ts writes.
const PROG_FD = 0
const RETVAL = 4
const DATA_SIZE_IN = 8
const DATA_SIZE_OUT = 12
const DATA_IN = 16
const DATA_OUT = 24
const REPEAT = 32
const DURATION = 36
const CTX_SIZE_IN = 40
const CTX_SIZE_OUT = 44
const CTX_IN = 48
const CTX_OUT = 56
const FLAGS = 64
const CPU = 68
const BATCH_SIZE = 72
const ATTR_BYTES = 80

/** Up to CTX_OUT, FLAGS .. CPU, BATCH_SIZE: what nobody asked for is not sent to a kernel that may not know it. */
const SIZES = { ctx: 64, cpu: 72, batch: 76 } as const

/** Bytes of each buffer; 0 for none. */
export interface TestRunSizes {
  readonly dataIn: number
  readonly dataOut: number
  readonly ctxIn: number
  readonly ctxOut: number
}

export interface TestRunSettings {
  readonly repeat: number
  readonly flags: number
  readonly cpu: number
  readonly batchSize: number
}

/** A block for the packets of many runs: large enough that making it hardly counts, small enough to be kept for one. */
const SLAB_BYTES = 65_536
const NULL = 0

/** TypedArray.prototype's own: by a length that an array says of itself the kernel would read beyond its end. */
const lengthOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), 'length')?.get as (
  this: Uint8Array,
) => number

/**
 * BPF_PROG_TEST_RUN of one shape, prepared once: attr and buffers live in one block of memory whose address is taken
 * once, so that a run allocates nothing.
 */
export class TestRunCalls {
  /** What the next run is given; written by the caller. A SYSCALL program's context is written back here. */
  readonly dataIn: Uint8Array
  readonly ctxIn: Uint8Array
  /** What the last run gave, as far as `ctxSizeOut` says. */
  readonly ctxOut: Uint8Array
  readonly sizes: TestRunSizes
  readonly #settings: TestRunSettings
  readonly #view: DataView
  readonly #seam: Abi
  readonly #address: number
  readonly #attrBytes: number
  /** The packet that was given last, and whether the kernel reads it where it is; else it has been copied to `dataIn`. */
  #given: Uint8Array | undefined
  #inPlace = false
  /** Where the kernel writes the packet: in the block at first, and in a slab from the first `takeData` on. */
  #out: ArrayBuffer
  /** The same: its length is 0 where somebody has detached the buffer, and costs no call to ask for. */
  #outBytes: Uint8Array
  #outAddress: number
  #outAt: number
  #isSlab = false

  constructor(sizes: TestRunSizes, settings: TestRunSettings) {
    const { repeat, flags, cpu, batchSize } = settings
    const { dataIn, dataOut, ctxIn, ctxOut } = sizes
    const at: number[] = []
    let end = ATTR_BYTES
    for (const [name, bytes] of Object.entries({ dataIn, dataOut, ctxIn, ctxOut })) {
      checkBytes(bytes, name)
      // The attr's sizes are u32: the kernel would be told the rest of a division.
      if (bytes > 0xffff_ffff) throw new RangeError(`${name} has ${bytes} bytes: the kernel takes less than 2^32`)
      at.push(end)
      end += align8(bytes)
    }
    const buffer = new ArrayBuffer(end)
    this.sizes = sizes
    this.#settings = settings
    this.#seam = abi()
    this.#address = this.#seam.addressOf(buffer)
    this.#view = new DataView(buffer)
    const part = (i: number, bytes: number) => new Uint8Array(buffer, at[i], bytes)
    this.dataIn = part(0, dataIn)
    this.#out = buffer
    this.#outBytes = new Uint8Array(buffer)
    this.#outAddress = this.#address
    this.#outAt = at[1] as number
    this.ctxIn = part(2, ctxIn)
    this.ctxOut = part(3, ctxOut)
    const pointer = (field: number, { length, byteOffset }: Uint8Array) =>
      put64(this.#view, field, length === 0 ? NULL : this.#address + byteOffset)
    pointer(DATA_IN, this.dataIn)
    pointer(DATA_OUT, part(1, dataOut))
    pointer(CTX_IN, this.ctxIn)
    pointer(CTX_OUT, this.ctxOut)
    this.#view.setUint32(DATA_SIZE_IN, dataIn, LE)
    this.#view.setUint32(CTX_SIZE_IN, ctxIn, LE)
    this.#view.setUint32(REPEAT, repeat, LE)
    this.#view.setUint32(FLAGS, flags, LE)
    this.#view.setUint32(CPU, cpu, LE)
    this.#view.setUint32(BATCH_SIZE, batchSize, LE)
    this.#attrBytes = batchSize !== 0 ? SIZES.batch : flags !== 0 || cpu !== 0 ? SIZES.cpu : SIZES.ctx
  }

  /** Whether what is behind the seam is still what the address was taken from. */
  get isCurrent(): boolean {
    return this.#seam === abi()
  }

  /** The same, with what the next run is given, and other room for the packet after it. */
  withRoom(dataOut: number): TestRunCalls {
    const calls = new TestRunCalls({ ...this.sizes, dataOut }, this.#settings)
    calls.dataIn.set(this.#inPlace && this.#given !== undefined ? this.#given : this.dataIn)
    calls.ctxIn.set(this.ctxIn)
    return calls
  }

  /**
   * The packet for the next run, of the size it was prepared for. Given a second time in a row it is not copied again: the
   * kernel reads it where it is.
   */
  giveData(data: Uint8Array): void {
    if (data !== this.#given) {
      this.copyData(data)
      this.#given = data
    } else if (!this.#inPlace) {
      if (isFixed(data.buffer) && lengthOf.call(data) === this.sizes.dataIn) {
        put64(this.#view, DATA_IN, this.#seam.addressOf(data.buffer) + data.byteOffset)
        this.#inPlace = true
      } else this.dataIn.set(data)
    } else if (data.length !== this.sizes.dataIn) {
      throw new RangeError(`data has ${data.length} bytes, and had ${this.sizes.dataIn} when the run was prepared`)
    }
  }

  /** Whether this is the very array that the last run was given, and so certain to be one. */
  isGiven(data: unknown): data is Uint8Array {
    return data === this.#given && data !== undefined
  }

  /** The same as a copy, for a run during which the packet may be changed or taken away. */
  copyData(data: Uint8Array): void {
    this.dataIn.set(data)
    if (this.#inPlace) put64(this.#view, DATA_IN, this.#address + this.dataIn.byteOffset)
    this.#given = undefined
    this.#inPlace = false
  }

  /** One call, of `repeat` runs. False where a buffer was too small for what there was to write; the rest was written. */
  run(fd: number, subject: Subject): boolean {
    this.#ask(fd)
    const result = bpf(this.#seam, BPF_PROG_TEST_RUN, this.#address, this.#attrBytes)
    // And by it all that the attr points at.
    keepAlive(this)
    return wasRoom(result, subject)
  }

  /** The same on the thread pool. Nobody else may run these calls, or touch their buffers, until it is done. */
  async runAsync(fd: number, subject: Subject): Promise<boolean> {
    // Nobody has a part of this one yet, and so nobody can detach it while the kernel has its address.
    if (this.sizes.dataOut > 0) this.#writeTo(align8(this.sizes.dataOut))
    this.#ask(fd)
    const result = await bpfAsync(this.#seam, BPF_PROG_TEST_RUN, this.#address, this.#attrBytes, [
      this.#view.buffer,
      this.#out,
    ])
    return wasRoom(result, subject)
  }

  /** Writes into the attr what the call before may have overwritten. */
  #ask(fd: number): void {
    checkFd(fd)
    // ArrayBuffer.prototype.transfer, of what the holder of an earlier packet has.
    if (this.#outBytes.length === 0) this.#writeTo(SLAB_BYTES + align8(this.sizes.dataOut))
    const view = this.#view
    view.setUint32(PROG_FD, fd, LE)
    // In: the room; out: what there was.
    view.setUint32(DATA_SIZE_OUT, this.sizes.dataOut, LE)
    view.setUint32(CTX_SIZE_OUT, this.sizes.ctxOut, LE)
  }

  /** What the program returned, in the last run. */
  get retval(): number {
    return this.#view.getUint32(RETVAL, LE)
  }

  /** Nanoseconds a run, on average. */
  get duration(): number {
    return this.#view.getUint32(DURATION, LE)
  }

  /** The size of the packet after the run, also where there was no room for all of it. */
  get dataSizeOut(): number {
    return this.#view.getUint32(DATA_SIZE_OUT, LE)
  }

  /** The packet of the last run, as far as there was room. Its memory is that of the next. */
  get dataOut(): Uint8Array {
    return new Uint8Array(this.#out, this.#outAt, Math.min(this.dataSizeOut, this.sizes.dataOut))
  }

  /**
   * The same for good: the next run writes elsewhere. It is not copied, as from 65 bytes on a Uint8Array with memory of its
   * own costs as much as the whole run does: it lies in one ArrayBuffer with those of other runs.
   */
  takeData(): Uint8Array {
    const { dataOut: most } = this.sizes
    const bytes = Math.min(this.dataSizeOut, most)
    const data = new Uint8Array(this.#out, this.#outAt, bytes)
    if (most === 0) return data.slice()
    // The last run's room, but for what it has filled, is the next one's.
    this.#outAt += align8(bytes)
    const isSlab = this.#isSlab
    if (!isSlab || this.#outAt + most > this.#outBytes.length) this.#writeTo(Math.max(SLAB_BYTES, 2 * most))
    else put64(this.#view, DATA_OUT, this.#outAddress + this.#outAt)
    // The block stays these calls' own.
    return isSlab ? data : data.slice()
  }

  #writeTo(bytes: number): void {
    const slab = new ArrayBuffer(bytes)
    // As Node.js does with what Buffer.allocUnsafe gives out pieces of: who sends one of them must not take all.
    markAsUntransferable(slab)
    this.#out = slab
    this.#outBytes = new Uint8Array(slab)
    this.#isSlab = true
    this.#outAddress = this.#seam.addressOf(slab)
    this.#outAt = 0
    put64(this.#view, DATA_OUT, this.#outAddress)
  }

  get ctxSizeOut(): number {
    return this.#view.getUint32(CTX_SIZE_OUT, LE)
  }
}

/** Memory that stays where it is as long as the array's length says so: not shared, and not to be shrunk. */
function isFixed(buffer: ArrayBufferLike): buffer is ArrayBuffer {
  return isArrayBuffer(buffer) && (buffer as { resizable?: boolean }).resizable !== true
}

function wasRoom(result: number, subject: Subject): boolean {
  if (result >= 0) return true
  if (errnoName(-result) === 'ENOSPC') return false
  return throwKernelError(-result, { command: 'BPF_PROG_TEST_RUN', subject })
}
