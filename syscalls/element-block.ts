import { endianness } from 'node:os'
import { type Abi, abi } from './abi'
import { align8, checkBytes } from './buffer'

const LE = endianness() === 'LE'

/** The element commands' struct in union bpf_attr: map_fd 0, key 8, value or next_key 16, flags 24; 32 bytes. */
export const ATTR_BYTES = 32
const KEY = 8
const VALUE = 16

/** attr, key and value of one element in one piece of memory whose address was taken once. */
export interface Block {
  readonly view: DataView
  readonly address: number
  readonly keyAt: number
  readonly valueAt: number
  readonly seam: Abi
}

/**
 * Blocks that closed maps have left, by their sizes. A service that opens and closes thousands of inner maps of one kind
 * then allocates none: memory outside of V8's heap is dear to get and to collect.
 */
const spare = new Map<number, Block[]>()
const SPARE_BYTES = 512
const SPARE_SIZES = 16
const SPARE_EACH = 8

/** Both sizes as one number, by which blocks are kept; undefined for those that are too large to keep. */
function sizesOf(keyBytes: number, valueBytes: number): number | undefined {
  return keyBytes + valueBytes <= SPARE_BYTES ? valueBytes * (SPARE_BYTES + 1) + keyBytes : undefined
}

/** A block for elements of these sizes, that another map has no more use for, or a new one. */
export function takeBlock(keyBytes: number, valueBytes: number): Block {
  checkBytes(keyBytes, 'a key')
  checkBytes(valueBytes, 'a value')
  const sizes = sizesOf(keyBytes, valueBytes)
  const block = sizes === undefined ? undefined : spare.get(sizes)?.pop()
  return block === undefined || block.seam !== abi() ? makeBlock(keyBytes, valueBytes) : block
}

/** Keeps a block that nobody uses any more for the next map of these sizes. */
export function giveBack(block: Block, keyBytes: number, valueBytes: number): void {
  const sizes = sizesOf(keyBytes, valueBytes)
  if (sizes === undefined) return
  const others = spare.get(sizes)
  if (others === undefined && spare.size < SPARE_SIZES) spare.set(sizes, [block])
  else if (others !== undefined && others.length < SPARE_EACH) others.push(block)
}

function makeBlock(keyBytes: number, valueBytes: number): Block {
  const seam = abi()
  const keyAt = ATTR_BYTES
  const valueAt = keyAt + align8(keyBytes)
  const buffer = new ArrayBuffer(valueAt + align8(valueBytes))
  const view = new DataView(buffer)
  const address = seam.addressOf(buffer)
  // A map without keys (queue, stack, bloom filter) wants NULL there.
  view.setBigUint64(KEY, BigInt(keyBytes === 0 ? 0 : address + keyAt), LE)
  view.setBigUint64(VALUE, BigInt(valueBytes === 0 ? 0 : address + valueAt), LE)
  return { view, address, keyAt, valueAt, seam }
}
