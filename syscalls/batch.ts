import { type Abi, abi, keepAlive } from './abi'
import { packMapDeleteBatch, packMapLookupBatch, packMapUpdateBatch, readBatchCount } from './attr-map'
import { align8, checkBytes } from './buffer'
import { isTransient, MAX_TRIES } from './call'
import { errnoName } from './errno'
import { checkFd } from './fd'
import { NR } from './numbers'
import {
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_UPDATE_BATCH,
} from './uapi-cmd'

/** What a batch command came to. */
export interface BatchAnswer {
  /** Entries that were done, also when the command ended with a code. */
  readonly count: number
  /** '' for success, else the code: ENOENT at the end of a look-up, ENOTSUPP where the map type has no such command. */
  readonly code: string
  /** The positive errno behind the code, 0 for none. */
  readonly errno: number
}

/** struct batch in union bpf_attr is 56 bytes. */
const ATTR_BYTES = 56
const POSITION_FROM = 64

/**
 * Room for `capacity` entries of one map and the batch commands on them (Linux 5.6; outer maps later). attr, position,
 * keys and values are one block of memory: the keys stand one after the other from `keysAt`, the values from `valuesAt`.
 */
export class BatchCalls {
  readonly view: DataView
  readonly keysAt: number
  readonly valuesAt: number
  readonly #seam: Abi
  readonly #block: ArrayBuffer
  readonly #address: number
  readonly #positionBytes: number
  readonly #keyBytes: number
  readonly #valueBytes: number
  /** Whether a look-up has been made: the kernel's position then stands in the block. */
  #started = false

  constructor(
    readonly capacity: number,
    keyBytes: number,
    valueBytes: number,
  ) {
    if (!Number.isSafeInteger(capacity) || capacity < 1) throw new RangeError(`${capacity} is no room for a batch`)
    checkBytes(keyBytes, 'a key')
    checkBytes(valueBytes, 'a value')
    this.#seam = abi()
    this.#keyBytes = keyBytes
    this.#valueBytes = valueBytes
    // A hash keeps its position as a u32, the others as a key: the larger of both is always enough.
    this.#positionBytes = align8(Math.max(keyBytes, 4))
    this.keysAt = POSITION_FROM + 2 * this.#positionBytes
    this.valuesAt = this.keysAt + align8(keyBytes * capacity)
    this.#block = new ArrayBuffer(this.valuesAt + align8(valueBytes * capacity))
    this.view = new DataView(this.#block)
    this.#address = this.#seam.addressOf(this.#block)
  }

  /** The same place in the same map, with room for more: for a bucket that holds more entries than fit (ENOSPC). */
  larger(capacity: number): BatchCalls {
    const more = new BatchCalls(capacity, this.#keyBytes, this.#valueBytes)
    const position = new Uint8Array(this.#block, POSITION_FROM, 2 * this.#positionBytes)
    new Uint8Array(more.#block).set(position, POSITION_FROM)
    more.#started = this.#started
    return more
  }

  /** BPF_MAP_LOOKUP_BATCH, from where the last one ended. */
  lookup(fd: number, flags: number): BatchAnswer {
    return this.#read(BPF_MAP_LOOKUP_BATCH, fd, flags)
  }

  /** BPF_MAP_LOOKUP_AND_DELETE_BATCH, from where the last one ended. */
  lookupAndDelete(fd: number, flags: number): BatchAnswer {
    return this.#read(BPF_MAP_LOOKUP_AND_DELETE_BATCH, fd, flags)
  }

  /** BPF_MAP_UPDATE_BATCH of the first `count` keys and values. */
  update(fd: number, count: number, flags: number): BatchAnswer {
    return this.#write(BPF_MAP_UPDATE_BATCH, () => this.#packUpdate(fd, count, flags, 0), count)
  }

  /** BPF_MAP_DELETE_BATCH of `count` keys from number `from` on. */
  delete(fd: number, count: number, from = 0): BatchAnswer {
    return this.#write(BPF_MAP_DELETE_BATCH, () => this.#packDelete(fd, count, from), count)
  }

  /** `update` on the thread pool: for outer maps, whose writes wait for an RCU grace period. */
  updateAsync(fd: number, count: number, from = 0): Promise<BatchAnswer> {
    return this.#writeAsync(BPF_MAP_UPDATE_BATCH, () => this.#packUpdate(fd, count, 0, from), count)
  }

  /** `delete` on the thread pool. */
  deleteAsync(fd: number, count: number, from = 0): Promise<BatchAnswer> {
    return this.#writeAsync(BPF_MAP_DELETE_BATCH, () => this.#packDelete(fd, count, from), count)
  }

  #read(command: number, fd: number, flags: number): BatchAnswer {
    checkFd(fd)
    const position = this.#address + POSITION_FROM
    let result = 0
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      // Packed anew each time: the kernel has written over the count.
      packMapLookupBatch(this.#clearAttr(), {
        map_fd: fd,
        in_batch: this.#started ? position : 0,
        out_batch: position + this.#positionBytes,
        keys: this.#address + this.keysAt,
        values: this.#address + this.valuesAt,
        count: this.capacity,
        elem_flags: flags,
      })
      result = this.#seam.syscall(NR.bpf, command, this.#address, ATTR_BYTES)
      if (command !== BPF_MAP_LOOKUP_BATCH || !isTransient(result)) break
    }
    keepAlive(this.#block)
    const code = result < 0 ? errnoName(-result) : ''
    // ENOENT is the end, and may come with the last entries; every other failure has given none.
    const count = code === '' || code === 'ENOENT' ? readBatchCount(this.view) : 0
    if (code === '') {
      // Only now: a call that failed is made again from the same place.
      const next = POSITION_FROM + this.#positionBytes
      new Uint8Array(this.#block).copyWithin(POSITION_FROM, next, next + this.#positionBytes)
      this.#started = true
    }
    return { count, code, errno: result < 0 ? -result : 0 }
  }

  /** Packed anew for each try, as the kernel writes over the count. */
  #write(command: number, pack: () => void, count: number): BatchAnswer {
    let result = 0
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      pack()
      result = this.#seam.syscall(NR.bpf, command, this.#address, ATTR_BYTES)
      if (!this.#isWorthAnotherTry(result, count)) break
    }
    return this.#written(result, count)
  }

  async #writeAsync(command: number, pack: () => void, count: number): Promise<BatchAnswer> {
    let result = 0
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      pack()
      result = await this.#seam.syscallAsync(NR.bpf, [command, this.#address, ATTR_BYTES], [this.#block])
      if (!this.#isWorthAnotherTry(result, count)) break
    }
    return this.#written(result, count)
  }

  /** Entries that are done are not sent again: a key that is deleted already would end the second try. */
  #isWorthAnotherTry(result: number, sent: number): boolean {
    return isTransient(result) && this.#doneOf(sent) === 0
  }

  /** A refusal that comes before the first entry leaves the count as it was sent; one at an entry is always below it. */
  #doneOf(sent: number): number {
    const count = readBatchCount(this.view)
    return count < sent ? count : 0
  }

  #packUpdate(fd: number, count: number, flags: number, from: number): void {
    checkFd(fd)
    this.#checkCount(count, from)
    const keys = this.#address + this.keysAt + from * this.#keyBytes
    const values = this.#address + this.valuesAt + from * this.#valueBytes
    packMapUpdateBatch(this.#clearAttr(), { map_fd: fd, keys, values, count, elem_flags: flags })
  }

  #packDelete(fd: number, count: number, from: number): void {
    checkFd(fd)
    this.#checkCount(count, from)
    const keys = this.#address + this.keysAt + from * this.#keyBytes
    packMapDeleteBatch(this.#clearAttr(), { map_fd: fd, keys, count })
  }

  #checkCount(count: number, from: number): void {
    if (!Number.isInteger(from) || from < 0) throw new RangeError(`${from} is no place in a batch`)
    if (!Number.isInteger(count) || count < 1 || from + count > this.capacity) {
      throw new RangeError(`a batch of ${count} entries in room for ${this.capacity}`)
    }
  }

  #clearAttr(): DataView {
    new Uint8Array(this.#block, 0, POSITION_FROM).fill(0)
    return this.view
  }

  #written(result: number, sent: number): BatchAnswer {
    keepAlive(this.#block)
    if (result >= 0) return { count: sent, code: '', errno: 0 }
    return { count: this.#doneOf(sent), code: errnoName(-result), errno: -result }
  }
}
