import { inspect } from 'node:util'
import { expect } from 'chai'
import { BpfObject, type Global } from '../../lib/elf'
import { ElfError } from '../../lib/elf-file/error'
import { ElfFile, type Section } from '../../lib/elf-file/file'
import { memorySource } from '../../lib/elf-file/source'
import { ElfFunctions } from '../../lib/elf-file/symbols'
import { elfImage } from '../support/elf-image'
import { errorOf } from '../support/error'
import { bytesOf, needsFixtures } from './kit'

// struct Elf64_Ehdr: e_shoff, e_shnum. struct Elf64_Shdr: sh_type, sh_offset, sh_size.
const [SHOFF, SHNUM, HEADER_BYTES] = [40, 60, 64]
const [TYPE, OFFSET, SIZE] = [4, 24, 32]
const SHT_NOBITS = 8

function sectionOf(bytes: Uint8Array, name: string): Section {
  const elf = new ElfFile(memorySource(bytes))
  return elf.sections.find((section) => elf.nameOf(section) === name) as Section
}

/** The file with headers of one section many times more, at its end. */
function withCopies(bytes: Uint8Array, name: string, copies: number): Uint8Array {
  const { sections } = new ElfFile(memorySource(bytes))
  const { at } = sectionOf(bytes, name)
  const header = bytes.subarray(at, at + HEADER_BYTES)
  const table = (sections[0] as Section).at
  const all = [bytes.subarray(table, table + sections.length * HEADER_BYTES), ...Array(copies).fill(header)]
  const whole = new Uint8Array(Buffer.concat([bytes, new Uint8Array(-bytes.length & 7), ...all]))
  const view = new DataView(whole.buffer)
  view.setBigUint64(SHOFF, BigInt(whole.length - (sections.length + copies) * HEADER_BYTES), true)
  view.setUint16(SHNUM, sections.length + copies, true)
  return whole
}

function refused(bytes: Uint8Array, reason: RegExp): void {
  const error = errorOf(() => BpfObject.open(bytes))
  expect(error).to.be.instanceOf(ElfError)
  expect((error as ElfError).reason).to.match(reason)
  expect((error as ElfError).offset).to.be.within(0, bytes.length)
}

describe('objects that are small, and made to fill all memory', () => {
  beforeEach(function () {
    needsFixtures(this)
  })

  it('sections, and tables of relocations, that are in the same bytes are refused', () => {
    const whole = bytesOf('globals')
    const elf = new ElfFile(memorySource(whole))
    const tables = elf.sections.filter(({ type }) => type === 9).sort((a, b) => b.size - a.size)
    // Each costs a header, and has more bytes than that.
    refused(withCopies(whole, elf.nameOf(tables[0] as Section), 2000), /bytes of relocations in \d+: they overlap/)
    refused(withCopies(whole, '.BTF', 2000), /bytes of sections in \d+: they overlap/)
    expect(() => BpfObject.open(withCopies(whole, '.BTF', 0))).not.to.throw()
  })

  it('zeros beyond what can be loaded are refused, all sections of them together', () => {
    const whole = bytesOf('globals')
    const { at } = sectionOf(whole, '.bss')
    new DataView(whole.buffer).setBigUint64(at + SIZE, 2n ** 27n, true)
    // What is collected between two looks at the process's memory makes it less, never more.
    const before = process.memoryUsage().arrayBuffers
    const object = BpfObject.open(whole)
    expect(process.memoryUsage().arrayBuffers - before).to.be.below(2 ** 20)
    const zero = Object.values(object.globals).find(({ section }) => section === '.bss') as Global
    expect([zero.value, inspect(object).includes(`${zero.name} = 0n`)]).to.deep.equal([0n, true])
    expect(process.memoryUsage().arrayBuffers - before).to.be.below(2 ** 20)
    // There is room for them when somebody writes.
    zero.value = 5n
    expect(zero.value).to.equal(5n)
    refused(withCopies(whole, '.bss', 3), /bytes of zeros: more than 268435456/)
  })

  it('slots beyond section .maps are refused', () => {
    const whole = bytesOf('values')
    const elf = new ElfFile(memorySource(whole))
    const maps = sectionOf(whole, '.maps')
    const relocations = elf.sections.find(({ type, info }) => type === 9 && info === maps.index) as Section
    const view = new DataView(whole.buffer)
    view.setBigUint64(relocations.offset, BigInt(maps.size + 8 * 2 ** 27), true)
    refused(whole, /it is for byte \d+ of the \d+ of section/)
    // What has no bytes may be as long as it likes.
    view.setUint32(maps.at + TYPE, SHT_NOBITS, true)
    view.setBigUint64(maps.at + SIZE, 2n ** 40n, true)
    refused(whole, /bytes of zeros: more than/)
    view.setBigUint64(maps.at + SIZE, 2n ** 28n, true)
    view.setBigUint64(relocations.offset, 2n ** 28n - 8n, true)
    refused(whole, /have no bytes in the file/)
  })

  it('names that are ends of one long name are refused', () => {
    const whole = bytesOf('globals')
    const long = 40_000
    const names = sectionOf(whole, '.strtab')
    const bytes = new Uint8Array(whole.length + long)
    bytes.set(whole)
    bytes.fill(0x61, whole.length, bytes.length - 1)
    const view = new DataView(bytes.buffer)
    view.setBigUint64(names.at + OFFSET, BigInt(whole.length), true)
    view.setBigUint64(names.at + SIZE, BigInt(long), true)
    refused(withNames(bytes, 400), /names are \d+ bytes, and all of them are in \d+/)
  })

  /** More sections, whose names begin one after the other in the long one. */
  function withNames(bytes: Uint8Array, copies: number): Uint8Array {
    const elf = new ElfFile(memorySource(bytes))
    const table = (elf.sections[0] as Section).at
    const headers = Array.from({ length: copies }, (_, i) => {
      const header = new Uint8Array(HEADER_BYTES)
      new DataView(header.buffer).setUint32(0, i, true)
      return header
    })
    const all = [bytes.subarray(table, table + elf.sections.length * HEADER_BYTES), ...headers]
    const whole = new Uint8Array(Buffer.concat([bytes, new Uint8Array(-bytes.length & 7), ...all]))
    const view = new DataView(whole.buffer)
    view.setBigUint64(SHOFF, BigInt(whole.length - (elf.sections.length + copies) * HEADER_BYTES), true)
    view.setUint16(SHNUM, elf.sections.length + copies, true)
    return whole
  }
})

describe('libraries that are small, and made to fill all memory', () => {
  it('tables of symbols that are in the same bytes are refused', () => {
    const symbols = Array.from({ length: 60 }, (_, i) => ({ name: `f${i}`, address: 0x401000 + i }))
    const { bytes, sectionHeaders } = elfImage({ bits: 64, littleEndian: true, symbols })
    const table = bytes.slice(sectionHeaders + HEADER_BYTES, sectionHeaders + 2 * HEADER_BYTES)
    const head = bytes.slice(sectionHeaders, sectionHeaders + 3 * HEADER_BYTES)
    const whole = new Uint8Array(Buffer.concat([bytes, head, ...Array(500).fill(table)]))
    const view = new DataView(whole.buffer)
    view.setBigUint64(SHOFF, BigInt(bytes.length), true)
    view.setUint16(SHNUM, 503, true)
    const error = errorOf(() => new ElfFunctions(memorySource(whole)))
    expect(error).to.be.instanceOf(ElfError)
    expect((error as ElfError).reason).to.match(/bytes of symbols in \d+: they overlap/)
  })
})
