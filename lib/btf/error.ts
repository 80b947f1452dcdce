/** BTF that says what cannot be; or that has not got what was looked for. */
export class BtfError extends Error {
  override readonly name: string = 'BtfError'
  /** 'ENOENT' where the BTF is sound and what was asked for is not in it, or there is no such BTF. */
  readonly code: 'ERR_EBPF_BTF' | 'ENOENT'
  /** Which BTF: 'vmlinux', 'BTF#12', or the name that `Btf.parse` was given. */
  readonly what: string
  /** Where in its bytes it says so; undefined where it is the BTF as a whole. */
  readonly offset: number | undefined
  /** What is wrong, without name and offset. */
  readonly reason: string

  constructor(what: string, reason: string, offset?: number, code: BtfError['code'] = 'ERR_EBPF_BTF') {
    const at = offset === undefined ? '' : ` at offset ${offset} (0x${offset.toString(16)})`
    super(`${what}${at}: ${reason}`)
    this.what = what
    this.offset = offset
    this.reason = reason
    this.code = code
  }
}
