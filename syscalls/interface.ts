import { LE } from './attr-common'
import { KernelError, type Subject, throwKernelError } from './errno'
import { closeFd } from './fd'
import { AF_INET, openSocket, SOCK_DGRAM, tryIoctl } from './socket'

/**
 * Network devices by name and by number (man 7 netdevice).
 *
 * Asked of a socket, as the answer is then that of the calling thread's network namespace, which is the one that
 * BPF_LINK_CREATE looks in too. /sys/class/net is that of whoever mounted sysfs, and os.networkInterfaces() leaves out
 * devices that are down or have no address.
 */

/** ioctl(2) requests of include/uapi/linux/sockios.h */
const SIOCGIFNAME = 0x8910
const SIOCGIFINDEX = 0x8933

/** struct ifreq: a name, and a union in which an int is the first. */
const IFREQ_BYTES = 40
const IFNAMSIZ = 16
const AT_INDEX = 16

/** The number of a device. Errors: ENODEV. */
export function interfaceIndex(name: string, subject?: Subject): number {
  const bytes = Buffer.from(checkInterfaceName(name))
  const request = new ArrayBuffer(IFREQ_BYTES)
  new Uint8Array(request).set(bytes)
  const result = ask(SIOCGIFINDEX, request)
  if (result < 0) {
    const about = subject ?? { description: name, hint: () => `there is no network device '${name}' in this namespace` }
    throwKernelError(-result, { syscall: 'ioctl', command: 'SIOCGIFINDEX', subject: about })
  }
  return new DataView(request).getInt32(AT_INDEX, LE)
}

/** The name of the device with this number. Errors: ENODEV. */
export function interfaceName(index: number): string {
  const request = new ArrayBuffer(IFREQ_BYTES)
  new DataView(request).setInt32(AT_INDEX, index, LE)
  const result = ask(SIOCGIFNAME, request)
  if (result < 0) {
    const hint = () => 'there is no network device of this number in this namespace'
    const subject = { description: `interface ${index}`, hint }
    throwKernelError(-result, { syscall: 'ioctl', command: 'SIOCGIFNAME', subject })
  }
  const text = Buffer.from(request, 0, IFNAMSIZ)
  return text.toString('utf8', 0, text.indexOf(0))
}

/** What messages call a device: its name, or its number where it has none here. Never throws KernelError. */
export function interfaceLabel(index: number): string {
  try {
    return interfaceName(index)
  } catch (error) {
    // It is in another namespace, or no fd is left for the question: a message about something else must not fail for it.
    if (!(error instanceof KernelError)) throw error
    return `interface ${index}`
  }
}

/**
 * Refuses what no device can be called (dev_valid_name in net/core/dev.c): of the longer ones the kernel would take the
 * beginning, and of 'lo:1' what is before the colon (dev_ioctl).
 */
function checkInterfaceName(name: string): string {
  if (typeof name !== 'string') throw new TypeError(`an interface is a name or a number, not ${typeof name}`)
  const bytes = Buffer.byteLength(name)
  if (bytes === 0 || bytes >= IFNAMSIZ || /[/: \t\n\v\f\r\0]/.test(name) || name === '.' || name === '..') {
    const can = `1 to ${IFNAMSIZ - 1} bytes without blanks, ':' and '/' can`
    throw new RangeError(`${JSON.stringify(name)} cannot be the name of an interface: ${can}`)
  }
  return name
}

function ask(request: number, argument: ArrayBuffer): number {
  const fd = openSocket(AF_INET, SOCK_DGRAM, 0, 'AF_INET')
  try {
    return tryIoctl(fd, request, argument)
  } finally {
    closeFd(fd)
  }
}
