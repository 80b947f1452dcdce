/**
 * Ids of processes and numbers of CPUs. The kernel takes them as signed: what is 2^31 and more would be negative there, and
 * 2^32 - 1 would be -1, which stands for all.
 */

const MOST = 0x7fffffff

/** 0 would be the calling thread. */
export function checkPid(what: string, pid: number): void {
  check(what, pid, 1)
}

export function checkCpu(cpu: number): void {
  check('cpu', cpu, 0)
}

function check(what: string, value: number, least: number): void {
  if (typeof value !== 'number') throw new TypeError(`${what} must be a number, not ${typeof value}`)
  if (Number.isInteger(value) && value >= least && value <= MOST) return
  throw new RangeError(`${value} cannot be ${what}: integers from ${least} to ${MOST} can`)
}
