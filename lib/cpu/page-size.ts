import { readFileSync } from 'node:fs'
import { endianness } from 'node:os'

/** AT_PAGESZ of include/uapi/linux/auxvec.h. */
const AT_PAGESZ = 6

let size: number | undefined

/**
 * Bytes of a page of memory: 4096 on x86, up to 65536 on other machines. From /proc/self/auxv, which is what
 * getpagesize(3) reads too; 4096 where there is no /proc.
 */
export function pageSize(): number {
  size ??= readPageSize()
  return size
}

function readPageSize(): number {
  let auxv: Buffer
  try {
    auxv = readFileSync('/proc/self/auxv')
  } catch {
    return 4096
  }
  const view = new DataView(auxv.buffer, auxv.byteOffset, auxv.byteLength)
  const little = endianness() === 'LE'
  const word = /^(arm|ia32|mips|mipsel)$/.test(process.arch) ? 4 : 8
  const read = (at: number) => (word === 4 ? view.getUint32(at, little) : Number(view.getBigUint64(at, little)))
  for (let at = 0; at + 2 * word <= auxv.length; at += 2 * word) if (read(at) === AT_PAGESZ) return read(at + word)
  return 4096
}
