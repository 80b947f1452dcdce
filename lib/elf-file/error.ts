/** A file that is no ELF file, or says what cannot be; or that has not got what was looked for. */
export class ElfError extends Error {
  override readonly name: string = 'ElfError'
  /** 'ENOENT' where the file is sound and what was asked for is not in it. */
  readonly code: 'ERR_EBPF_ELF' | 'ENOENT'
  readonly path: string
  /** Where in the file it says so; undefined where it is the file as a whole. */
  readonly offset: number | undefined
  /** What is wrong, without path and offset. */
  readonly reason: string

  constructor(path: string, reason: string, offset?: number, code: ElfError['code'] = 'ERR_EBPF_ELF') {
    const at = offset === undefined ? '' : ` at offset ${offset} (0x${offset.toString(16)})`
    super(`${path}${at}: ${reason}`)
    this.path = path
    this.offset = offset
    this.reason = reason
    this.code = code
  }
}
