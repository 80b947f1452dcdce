import { endianness } from 'node:os'
import { type Abi, abi, keepAlive } from './abi'
import { align8, checkBytes } from './buffer'
import { bpf, bpfAsync } from './call'
import { errnoName, type Subject, throwKernelError } from './errno'
import { checkFd } from './fd'
import {
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
  commandName,
} from './uapi'

const LE = endianness() === 'LE'

/** The element commands' struct in union bpf_attr: map_fd 0, key 8, value or next_key 16, flags 24; 32 bytes. */
const ATTR_BYTES = 32
const MAP_FD = 0
const KEY = 8
const VALUE = 16
/** BPF_MAP_DELETE_ELEM ends with `key`: the value's address behind it would be EINVAL. */
const DELETE_BYTES = 16
/** BPF_MAP_GET_NEXT_KEY ends with `next_key`. */
const NEXT_KEY_BYTES = 24
/** The half of the u64 `flags` that holds BPF_ANY ... BPF_F_LOCK; the other half stays zero. */
const FLAGS_LOW = LE ? 24 : 28

/**
 * Blocks that closed maps have left, by their sizes. A service that opens and closes thousands of inner maps of one kind
 * then allocates none: memory outside of V8's heap is dear to get and to collect.
 */
const spare = new Map<number, ElementCalls[]>()
const SPARE_BYTES = 512
const SPARE_SIZES = 16
const SPARE_EACH = 8
const NOBODY: Subject = { description: 'a closed map' }

/** Both sizes as one number, by which blocks are kept; undefined for those that are too large to keep. */
function sizesOf(keyBytes: number, valueBytes: number): number | undefined {
  return keyBytes + valueBytes <= SPARE_BYTES ? valueBytes * (SPARE_BYTES + 1) + keyBytes : undefined
}

/**
 * The commands on one element of one map, prepared once: attr, key and value live in one block of memory whose
 * address is taken here and never again, so that a call allocates nothing.
 *
 * The key's bytes are written at `keyAt` of `view`, the value's at `valueAt`. The block belongs to one call at a
 * time: whoever writes into it owns it (`state`) until it has read the answer.
 */
export class ElementCalls {
  /** 0 free, 1 in use, 2 closed. */
  state: 0 | 1 | 2 = 0
  readonly view: DataView
  readonly keyAt = ATTR_BYTES
  readonly valueAt: number
  readonly #seam: Abi
  readonly #address: number
  readonly #sizes: number | undefined
  #subject: Subject

  /** Sizes are those that the kernel copies: `valueBytes` of a per-CPU map counts every possible CPU. */
  constructor(fd: number, keyBytes: number, valueBytes: number, subject: Subject) {
    checkFd(fd)
    checkBytes(keyBytes, 'a key')
    checkBytes(valueBytes, 'a value')
    this.#seam = abi()
    this.#sizes = sizesOf(keyBytes, valueBytes)
    this.#subject = subject
    this.valueAt = ATTR_BYTES + align8(keyBytes)
    const block = new ArrayBuffer(this.valueAt + align8(valueBytes))
    this.view = new DataView(block)
    this.#address = this.#seam.addressOf(block)
    this.view.setUint32(MAP_FD, fd, LE)
    // A map without keys (queue, stack, bloom filter) wants NULL there.
    this.#setPointer(KEY, keyBytes === 0 ? 0 : this.#address + this.keyAt)
    this.#setPointer(VALUE, valueBytes === 0 ? 0 : this.#address + this.valueAt)
  }

  #setPointer(at: number, address: number): void {
    this.view.setBigUint64(at, BigInt(address), LE)
  }

  /** Prepared calls on a map of these sizes: those that another map has no more use for, or new ones. */
  static of(fd: number, keyBytes: number, valueBytes: number, subject: Subject): ElementCalls {
    const sizes = sizesOf(keyBytes, valueBytes)
    const calls = sizes === undefined ? undefined : spare.get(sizes)?.pop()
    if (calls === undefined || calls.#seam !== abi()) return new ElementCalls(fd, keyBytes, valueBytes, subject)
    checkFd(fd)
    calls.view.setUint32(MAP_FD, fd, LE)
    calls.#subject = subject
    calls.state = 0
    return calls
  }

  /**
   * Ends the use of the fd: also a call that is being prepared can no longer reach whatever gets this fd next.
   * The caller forgets the object, as one that is idle is kept for the next map of these sizes. May be called twice.
   */
  close(): void {
    const idle = this.state === 0
    this.state = 2
    this.view.setInt32(MAP_FD, -1, LE)
    this.#subject = NOBODY
    if (!idle || this.#sizes === undefined) return
    const others = spare.get(this.#sizes)
    if (others === undefined && spare.size < SPARE_SIZES) spare.set(this.#sizes, [this])
    else if (others !== undefined && others.length < SPARE_EACH) others.push(this)
  }

  /** BPF_MAP_LOOKUP_ELEM: whether there was such an entry; its value is in the block. */
  lookup(flags: number): boolean {
    return this.#found(BPF_MAP_LOOKUP_ELEM, this.#call(BPF_MAP_LOOKUP_ELEM, flags))
  }

  /** BPF_MAP_LOOKUP_AND_DELETE_ELEM: the same, and the entry is gone. Hash maps from Linux 5.14, queues from 4.20. */
  lookupAndDelete(flags: number): boolean {
    return this.#found(BPF_MAP_LOOKUP_AND_DELETE_ELEM, this.#call(BPF_MAP_LOOKUP_AND_DELETE_ELEM, flags))
  }

  /** BPF_MAP_DELETE_ELEM: whether there was such an entry. */
  delete(): boolean {
    const result = bpf(this.#seam, BPF_MAP_DELETE_ELEM, this.#address, DELETE_BYTES)
    keepAlive(this.view)
    return this.#found(BPF_MAP_DELETE_ELEM, result)
  }

  /** BPF_MAP_UPDATE_ELEM. */
  update(flags: number): void {
    const result = this.#call(BPF_MAP_UPDATE_ELEM, flags)
    if (result < 0) this.#fail(BPF_MAP_UPDATE_ELEM, result)
  }

  /** BPF_MAP_UPDATE_ELEM on the thread pool: 0, or the errno. For outer maps, whose writes wait. */
  async updateAsync(flags: number): Promise<number> {
    this.view.setUint32(FLAGS_LOW, flags, LE)
    const result = await bpfAsync(this.#seam, BPF_MAP_UPDATE_ELEM, this.#address, ATTR_BYTES, [this.view.buffer])
    return result < 0 ? -result : 0
  }

  /** BPF_MAP_DELETE_ELEM on the thread pool: 0, or the errno. */
  async deleteAsync(): Promise<number> {
    const result = await bpfAsync(this.#seam, BPF_MAP_DELETE_ELEM, this.#address, DELETE_BYTES, [this.view.buffer])
    return result < 0 ? -result : 0
  }

  /** BPF_MAP_UPDATE_ELEM whose refusals are answers: '' for success, else the code. */
  tryUpdate(flags: number): string {
    const result = this.#call(BPF_MAP_UPDATE_ELEM, flags)
    return result < 0 ? errnoName(-result) : ''
  }

  #found(command: number, result: number): boolean {
    if (result >= 0) return true
    if (result === -ENOENT) return false
    return this.#fail(command, result)
  }

  #call(command: number, flags: number): number {
    this.view.setUint32(FLAGS_LOW, flags, LE)
    const result = bpf(this.#seam, command, this.#address, ATTR_BYTES)
    // Not every caller uses `this`, which holds the block, after the call.
    keepAlive(this.view)
    return result
  }

  #fail(command: number, result: number): never {
    throwKernelError(-result, { command: commandName(command), subject: this.#subject })
  }
}

/** A walk over a map's keys by BPF_MAP_GET_NEXT_KEY: a small block of its own, as a walk outlives many other calls. */
export class KeyWalk {
  /** The keys one after the other: the one stood on at `keyAt`, the next at `nextAt`. */
  readonly view: DataView
  readonly keyAt = ATTR_BYTES
  readonly nextAt: number
  readonly #keyBytes: number
  readonly #seam: Abi
  readonly #address: number
  readonly #subject: Subject

  constructor(keyBytes: number, subject: Subject) {
    checkBytes(keyBytes, 'a key')
    this.#seam = abi()
    this.#subject = subject
    this.#keyBytes = keyBytes
    this.nextAt = ATTR_BYTES + align8(keyBytes)
    const block = new ArrayBuffer(this.nextAt + align8(keyBytes))
    this.view = new DataView(block)
    this.#address = this.#seam.addressOf(block)
    this.view.setBigUint64(VALUE, BigInt(this.#address + this.nextAt), LE)
  }

  /**
   * Steps to the next key, to the first one after `restart`; false at the end. A key that is gone makes the kernel
   * begin again (man 2 bpf): whoever walks has to notice. The fd is asked for at each step: it may be closed by then.
   */
  next(fd: number): boolean {
    checkFd(fd)
    this.view.setUint32(MAP_FD, fd, LE)
    const result = bpf(this.#seam, BPF_MAP_GET_NEXT_KEY, this.#address, NEXT_KEY_BYTES)
    if (result === -ENOENT) return false
    if (result < 0) throwKernelError(-result, { command: 'BPF_MAP_GET_NEXT_KEY', subject: this.#subject })
    const bytes = new Uint8Array(this.view.buffer)
    bytes.copyWithin(this.keyAt, this.nextAt, this.nextAt + this.#keyBytes)
    this.view.setBigUint64(KEY, BigInt(this.#address + this.keyAt), LE)
    return true
  }
}

const ENOENT = 2
