/** What specs do so that the kernel runs a program, by system calls that no other thread of this process makes. */
import { abi } from '../../../syscalls/abi'
import { errnoName } from '../../../syscalls/errno'
import { closeFd } from '../../../syscalls/fd'

/** socket(2), by process.arch; arm64, riscv64 and loong64 share a table. */
const SOCKET: Readonly<Record<string, number>> = { x64: 41, ppc64: 326, arm: 281, ia32: 359 }
export const NR_SOCKET = SOCKET[process.arch] ?? 198

export const AF_UNIX = 1
export const AF_INET = 2
export const AF_INET6 = 10
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000

/** Opens a socket and closes it: '' or the code of the refusal. */
export function openSocket(family = AF_INET): string {
  const result = abi().syscall(NR_SOCKET, family, SOCK_DGRAM | SOCK_CLOEXEC, 0)
  if (result < 0) return errnoName(-result)
  closeFd(result)
  return ''
}

/** The same in a thread that goes on until it is told to stop, and counts the results by errno; 0 is success. */
export const SOCKET_OPENER = `
  const { workerData, parentPort } = require('node:worker_threads')
  const { abi } = require(require('node:path').join(workerData.library, 'syscalls/abi'))
  const { closeFd } = require(require('node:path').join(workerData.library, 'syscalls/fd'))
  const stop = new Int32Array(workerData.stop)
  const results = new Map()
  const one = () => {
    const result = abi().syscall(${NR_SOCKET}, ${AF_INET}, ${SOCK_DGRAM | SOCK_CLOEXEC}, 0)
    if (result >= 0) closeFd(result)
    const key = result < 0 ? -result : 0
    results.set(key, (results.get(key) ?? 0) + 1)
  }
  one()
  parentPort.postMessage('running')
  while (Atomics.load(stop, 0) === 0) one()
  parentPort.postMessage(results)
`
