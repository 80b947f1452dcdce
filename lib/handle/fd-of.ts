import { checkFd } from '../../syscalls/fd'
import { given as shown } from '../text/given'

/** Something the kernel takes by its fd: the number, or an object that has one (a program, a map, an fs.FileHandle). */
export type HasFd = number | { readonly fd: number }

/**
 * The fd of an argument. Refuses, before the kernel is asked, what cannot be one: it would store any number's file. `ways`
 * are all that the argument may be, where a number is not the first that comes to mind.
 */
export function fdOf(given: HasFd, what: string, ways?: string): number {
  const fd: number = typeof given === 'object' && given !== null ? given.fd : given
  if (ways !== undefined && typeof fd !== 'number') {
    throw new TypeError(`${what} is ${ways}, not ${given === null ? 'null' : typeof given}`)
  }
  if (typeof given === 'object' && given !== null && typeof fd !== 'number') {
    throw new TypeError(`${what} must be an fd, or what has one: ${shown(given)} has none`)
  }
  checkFd(fd, what)
  return fd
}
