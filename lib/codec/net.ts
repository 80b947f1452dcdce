/** node:net, which costs more to load than all of the codecs: only for who has addresses to check. */
export function net(): typeof import('node:net') {
  return process.getBuiltinModule('node:net')
}
