/** ELF files as bytes, by the book (man 5 elf): small ones, of any width and byte order. */

export interface ImageSymbol {
  readonly name: string
  readonly address: number
  /** STT_FUNC where not given. */
  readonly kind?: number
  /** STB_GLOBAL where not given. */
  readonly binding?: number
  /** The number of its section; 0 for one that is elsewhere. */
  readonly section?: number
}

export interface ImageOptions {
  readonly bits: 32 | 64
  readonly littleEndian: boolean
  readonly symbols: readonly ImageSymbol[]
  /** SHT_SYMTAB where not given. */
  readonly tableType?: number
  /** ET_DYN where not given. */
  readonly type?: number
}

/** The one segment with code: so much of the file, at this address. */
export const CODE = { offset: 0x1000, address: 0x401000, size: 0x800 }

export const STT_FUNC = 2
export const STB_GLOBAL = 1

/** Where the image has what specs break. */
export interface Image {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly sectionHeaders: number
  readonly sectionHeaderBytes: number
  readonly programHeaders: number
  readonly symbols: number
}

/** Sections: 0 none, 1 the symbols, 2 their names. */
export function elfImage(options: ImageOptions): Image {
  const { bits, littleEndian, symbols, tableType = 2, type = 3 } = options
  const wide = bits === 64
  const bytes = new Uint8Array(0x2000)
  const view = new DataView(bytes.buffer)
  const u16 = (at: number, value: number) => view.setUint16(at, value, littleEndian)
  const u32 = (at: number, value: number) => view.setUint32(at, value, littleEndian)
  const word = (at: number, value: number) =>
    wide ? view.setBigUint64(at, BigInt(value), littleEndian) : u32(at, value)
  const [programHeaders, sectionHeaders] = [0x100, 0x200]
  const [programHeaderBytes, sectionHeaderBytes] = wide ? [56, 64] : [32, 40]
  bytes.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, littleEndian ? 1 : 2, 1])
  u16(16, type)
  u16(18, wide ? 62 : 3)
  word(wide ? 32 : 28, programHeaders)
  word(wide ? 40 : 32, sectionHeaders)
  const counts = wide ? 54 : 42
  u16(counts, programHeaderBytes)
  u16(counts + 2, 1)
  u16(counts + 4, sectionHeaderBytes)
  u16(counts + 6, 3)

  u32(programHeaders, 1) // PT_LOAD
  u32(programHeaders + (wide ? 4 : 24), 5) // PF_R | PF_X
  word(programHeaders + (wide ? 8 : 4), CODE.offset)
  word(programHeaders + (wide ? 16 : 8), CODE.address)
  word(programHeaders + (wide ? 32 : 16), CODE.size)

  const names = `\0${symbols.map(({ name }) => `${name}\0`).join('')}`
  const entry = wide ? 24 : 16
  const [table, strings] = [0x400, 0xc00]
  const section = (index: number, kind: number, offset: number, size: number, link: number, entrySize: number) => {
    const at = sectionHeaders + index * sectionHeaderBytes
    u32(at + 4, kind)
    word(at + (wide ? 24 : 16), offset)
    word(at + (wide ? 32 : 20), size)
    u32(at + (wide ? 40 : 24), link)
    word(at + (wide ? 56 : 36), entrySize)
  }
  section(1, tableType, table, symbols.length * entry, 2, entry)
  section(2, 3, strings, Buffer.byteLength(names), 0, 0)
  Buffer.from(bytes.buffer).write(names, strings, 'utf8')
  let nameAt = 1
  for (const [i, symbol] of symbols.entries()) {
    const at = table + i * entry
    u32(at, nameAt)
    word(at + (wide ? 8 : 4), symbol.address)
    bytes[at + (wide ? 4 : 12)] = ((symbol.binding ?? STB_GLOBAL) << 4) | (symbol.kind ?? STT_FUNC)
    u16(at + (wide ? 6 : 14), symbol.section ?? 1)
    nameAt += Buffer.byteLength(symbol.name) + 1
  }
  return { bytes, sectionHeaders, sectionHeaderBytes, programHeaders, symbols: table }
}
