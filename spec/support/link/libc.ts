/** Sockets by libc itself: what a spec does so that the kernel runs a program, with no other thread and no wait. */
import { errnoName } from '../../../syscalls/errno'

type Call = (...args: unknown[]) => number

/** -1 is a failure; others are thrown by their names. */
function call(name: string, signature: string): Call {
  let found: Call | undefined
  return (...args) => {
    const koffi = require('koffi') as typeof import('koffi')
    found ??= koffi.load(null).func(signature) as Call
    const result = found(...args)
    if (result >= 0) return result
    const code = errnoName(koffi.errno())
    throw Object.assign(new Error(`${code}: ${name}`), { code })
  }
}

export const libc = {
  unshare: call('unshare', 'int unshare(int)'),
  setns: call('setns', 'int setns(int, int)'),
  socket: call('socket', 'int socket(int, int, int)'),
  bind: call('bind', 'int bind(int, void *, unsigned int)'),
  connect: call('connect', 'int connect(int, void *, unsigned int)'),
  listen: call('listen', 'int listen(int, int)'),
  accept: call('accept', 'int accept(int, void *, void *)'),
  getsockname: call('getsockname', 'int getsockname(int, void *, void *)'),
  getpeername: call('getpeername', 'int getpeername(int, void *, void *)'),
  sendto: call('sendto', 'long sendto(int, void *, size_t, int, void *, unsigned int)'),
  recvfrom: call('recvfrom', 'long recvfrom(int, void *, size_t, int, void *, void *)'),
  setsockopt: call('setsockopt', 'int setsockopt(int, int, int, void *, unsigned int)'),
  getsockopt: call('getsockopt', 'int getsockopt(int, int, int, void *, void *)'),
}
