import type { HasFd } from '../handle/fd-of'

/** What may be interpolated beside numbers, strings and code. All are known by their shape. */

/** The memory of a map's value: `array.at(0)`, or of an arena. The kernel adds the offset, in bytes. Linux 5.2 */
export interface MapValue {
  readonly map: HasFd
  readonly offset: number
}

/**
 * A function or variable of the kernel, by its id in the kernel's BTF, or in that of a module: `call ${symbol}` (a
 * kfunc, Linux 5.13) and `r1 = ${symbol} ll` (the address of a variable, Linux 5.10).
 */
export interface KernelSymbol {
  readonly btfId: number
  /** The BTF of the module, where it is not vmlinux that has it. */
  readonly module?: HasFd | undefined
}

/** Something with an fd, such as a map: `r1 = ${map} ll`. The fd is read when the bytes are made. */
export type MapLike = Exclude<HasFd, number>

export function kernelSymbol(value: unknown): KernelSymbol | undefined {
  if (!isObject(value) || !('btfId' in value) || typeof value.btfId !== 'number') return undefined
  const module = 'module' in value ? value.module : undefined
  return module === undefined || hasFd(module) ? (value as KernelSymbol) : undefined
}

export function mapValue(value: unknown): MapValue | undefined {
  if (!isObject(value) || !('map' in value && 'offset' in value)) return undefined
  return hasFd(value.map) && typeof value.offset === 'number' ? (value as MapValue) : undefined
}

/** Asks whether there is an fd, and does not read it: of a closed map it would throw. */
export function mapLike(value: unknown): MapLike | undefined {
  return isObject(value) && 'fd' in value ? (value as unknown as MapLike) : undefined
}

/** A number is looked at when the bytes are made, as what an object gives is. */
function hasFd(value: unknown): value is HasFd {
  return typeof value === 'number' || mapLike(value) !== undefined
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
