import { endianness } from 'node:os'
import { type Abi, abi, keepAlive } from './abi'
import { align8, checkBytes } from './buffer'
import { bpf, bpfAsync } from './call'
import { ATTR_BYTES, type Block, giveBack, takeBlock } from './element-block'
import { errnoName, type Subject, throwKernelError } from './errno'
import { checkFd } from './fd'
import {
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
} from './uapi-cmd'
import { commandName } from './uapi-cmd-name'

const LE = endianness() === 'LE'

// The element commands' struct in union bpf_attr; see element-block.ts.
const MAP_FD = 0
const KEY = 8
const VALUE = 16
/** BPF_MAP_DELETE_ELEM ends with `key`: the value's address behind it would be EINVAL. */
const DELETE_BYTES = 16
/** BPF_MAP_GET_NEXT_KEY ends with `next_key`. */
const NEXT_KEY_BYTES = 24
/** The half of the u64 `flags` that holds BPF_ANY ... BPF_F_LOCK; the other half stays zero. */
const FLAGS_LOW = LE ? 24 : 28

/** What a closed object has in place of its block: whoever still writes to it writes nowhere. */
const NOWHERE = new DataView(new ArrayBuffer(0))

/**
 * The commands on one element of one map, prepared once: attr, key and value live in one block of memory whose
 * address is taken once, so that a call allocates nothing.
 *
 * The key's bytes are written at `keyAt` of `view`, the value's at `valueAt`. The block belongs to one call at a
 * time: whoever writes into it owns it (`state`) until it has read the answer.
 */
export class ElementCalls {
  /** 0 free, 1 in use, 2 closed. */
  state: 0 | 1 | 2 = 0
  view: DataView
  readonly keyAt: number
  readonly valueAt: number
  readonly #seam: Abi
  readonly #address: number
  readonly #block: Block
  readonly #keyBytes: number
  readonly #valueBytes: number
  readonly #subject: Subject

  /** Sizes are those that the kernel copies: `valueBytes` of a per-CPU map counts every possible CPU. */
  constructor(fd: number, keyBytes: number, valueBytes: number, subject: Subject) {
    checkFd(fd)
    const block = takeBlock(keyBytes, valueBytes)
    this.#block = block
    this.view = block.view
    this.keyAt = block.keyAt
    this.valueAt = block.valueAt
    this.#seam = block.seam
    this.#address = block.address
    this.#keyBytes = keyBytes
    this.#valueBytes = valueBytes
    this.#subject = subject
    this.view.setUint32(MAP_FD, fd, LE)
  }

  /**
   * Ends the use of the fd: a call that is being prepared can no longer reach whatever gets this fd next. A block that
   * is idle goes to the next map. May be called twice.
   */
  close(): void {
    if (this.state === 2) return
    const idle = this.state === 0
    this.state = 2
    this.view.setInt32(MAP_FD, -1, LE)
    if (!idle) return
    this.view = NOWHERE
    giveBack(this.#block, this.#keyBytes, this.#valueBytes)
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
    if (this.view === NOWHERE) throw new Error('these calls are closed')
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
  updateAsync(flags: number): Promise<number> {
    this.view.setUint32(FLAGS_LOW, flags, LE)
    return this.#callAsync(BPF_MAP_UPDATE_ELEM, ATTR_BYTES)
  }

  /** BPF_MAP_DELETE_ELEM on the thread pool: 0, or the errno. */
  deleteAsync(): Promise<number> {
    return this.#callAsync(BPF_MAP_DELETE_ELEM, DELETE_BYTES)
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

  /** The block is in use until the call is done. */
  async #callAsync(command: number, size: number): Promise<number> {
    if (this.state !== 0) throw new Error('these calls are in use, or closed')
    this.state = 1
    try {
      const result = await bpfAsync(this.#seam, command, this.#address, size, [this.#block.view.buffer])
      return result < 0 ? -result : 0
    } finally {
      if (this.state === 1) this.state = 0
    }
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
