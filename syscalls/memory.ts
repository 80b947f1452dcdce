import { abi } from './abi'
import { throwKernelError } from './errno'
import { checkFd } from './fd'
import { IS_32_BIT, NR } from './numbers'

export const PROT_READ = 1
export const PROT_WRITE = 2
const MAP_SHARED = 0x01
const MAP_PRIVATE = 0x02
const MAP_FIXED = 0x10
const MAP_ANONYMOUS = 0x20
const MAP_NORESERVE = 0x4000
/** Linux 4.17. */
const MAP_FIXED_NOREPLACE = 0x100000
/** -1 as the `int` that mmap(2) takes. */
const NO_FD = 0xffffffff

/**
 * A mapping as an ArrayBuffer, with a safe end.
 *
 * Touching a view after munmap(2) is a segmentation fault, and Node 20 cannot detach a view. So `close()` maps
 * anonymous memory over the region: stale views read zero and their writes go nowhere. The addresses themselves are
 * given back when the ArrayBuffer, and with it every view, has been collected.
 */
export interface Region extends Disposable {
  readonly buffer: ArrayBuffer
  /** Where it is in this process. */
  readonly address: number
  readonly closed: boolean
  /** Ends the mapping. May be called twice. */
  close(): void
}

/**
 * Maps `length` bytes of a map's fd (or of any file). Errors: EPERM (frozen or read-only), EINVAL, ENOMEM, ENOTSUPP.
 */
export function mapFile(fd: number, length: number, protection: number, offset = 0): Region {
  checkFd(fd)
  return makeRegion(mmap(0, length, protection, MAP_SHARED, fd, offset), length)
}

/**
 * The same at an address of the caller's choice. Nothing that is there is replaced, but for what a region that this
 * function has made there, of the same length, has left behind: its views then show the memory of the new one. Errors:
 * EEXIST (something is there), and as above.
 */
export function mapFileAt(fd: number, length: number, protection: number, address: number): Region {
  checkFd(fd)
  if (!Number.isSafeInteger(address) || address <= 0) throw new RangeError(`${address} is no address to map at`)
  const left = chosen.get(address)
  if (left?.state.closed === true && left.place.length === length) {
    const buffer = left.buffer.deref()
    if (buffer !== undefined) {
      mmap(address, length, protection, MAP_SHARED | MAP_FIXED, fd, 0)
      left.state.closed = false
      return regionOf(buffer, left.place, left.state)
    }
    // Collected, and what gives the addresses back is yet to be called.
    collected.unregister(left.place)
    giveBack(left.place)
  }
  mmap(address, length, protection, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0)
  return makeRegion(address, length, true)
}

/** Maps `length` zeroed bytes that belong to nothing else. */
export function mapAnonymous(length: number): Region {
  return makeRegion(mmap(0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, NO_FD, 0), length)
}

function mmap(address: number, length: number, prot: number, flags: number, fd: number, offset: number): number {
  if (!Number.isSafeInteger(length) || length <= 0) throw new RangeError(`cannot map ${length} bytes`)
  if (!Number.isSafeInteger(offset) || offset < 0 || offset % 4096 !== 0) {
    throw new RangeError(`cannot map from offset ${offset}: it must be a multiple of the page size`)
  }
  // mmap2 counts in units of 4096 bytes, whatever the page size.
  const result = abi().syscall(NR.mmap, address, length, prot, flags, fd, IS_32_BIT ? offset / 4096 : offset)
  // MAP_FAILED arrives as -errno; on a 32-bit machine an address past 2 GiB is negative too, but far below -4095.
  if (result < 0 && result >= -4095) throwKernelError(-result, { syscall: 'mmap', command: 'mmap' })
  return result < 0 ? result + 2 ** 32 : result
}

function unmap(address: number, length: number): void {
  abi().syscall(NR.munmap, address, length, 0)
}

/** Addresses that are mapped until the ArrayBuffer over them is collected. */
interface Place {
  readonly address: number
  readonly length: number
}

interface Chosen {
  readonly place: Place
  readonly buffer: WeakRef<ArrayBuffer>
  readonly state: State
}

interface State {
  closed: boolean
}

/** What is mapped at addresses of the caller's choice, or is left of it, by address. */
const chosen = new Map<number, Chosen>()

function giveBack(place: Place): void {
  if (chosen.get(place.address)?.place === place) chosen.delete(place.address)
  unmap(place.address, place.length)
}

const collected = new FinalizationRegistry<Place>(giveBack)

function makeRegion(address: number, length: number, choice = false): Region {
  const place = { address, length }
  let buffer: ArrayBuffer
  try {
    buffer = abi().viewOf(address, length)
  } catch (error) {
    unmap(address, length)
    throw error
  }
  collected.register(buffer, place, place)
  const state = { closed: false }
  if (choice) chosen.set(address, { place, buffer: new WeakRef(buffer), state })
  return regionOf(buffer, place, state)
}

function regionOf(buffer: ArrayBuffer, { address, length }: Place, state: State): Region {
  let closed = false
  const close = () => {
    if (closed) return
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE
    mmap(address, length, PROT_READ | PROT_WRITE, flags, NO_FD, 0)
    closed = true
    state.closed = true
  }
  return {
    buffer,
    address,
    get closed() {
      return closed
    },
    close,
    [Symbol.dispose]: close,
  }
}
