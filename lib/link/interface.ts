import { interfaceIndex, interfaceName } from '../../syscalls/interface'

/**
 * A network device: its name or its number, in the network namespace of the calling thread, which is where the kernel
 * looks too.
 */
export type NetworkInterface = string | number

/** A device by both. Errors: ENODEV for what no device has. */
export function resolveInterface(device: NetworkInterface): { readonly ifindex: number; readonly label: string } {
  if (typeof device !== 'number') return { ifindex: interfaceIndex(device), label: device }
  if (!Number.isInteger(device) || device < 1 || device > 0x7fffffff) {
    throw new RangeError(`${device} cannot be the number of an interface: integers from 1 to 2147483647 can`)
  }
  return { ifindex: device, label: interfaceName(device) }
}
