import { checkFd } from '../../syscalls/fd'

/** Something the kernel takes by its fd: the number, or an object that has one (a program, a map, an fs.FileHandle). */
export type HasFd = number | { readonly fd: number }

/** The fd of an argument. Refuses, before the kernel is asked, what cannot be one: it would store any number's file. */
export function fdOf(given: HasFd, what: string): number {
  const fd = typeof given === 'object' && given !== null ? given.fd : given
  checkFd(fd, what)
  return fd
}
