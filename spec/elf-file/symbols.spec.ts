import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { ElfError } from '../../lib/elf-file/error'
import { memorySource } from '../../lib/elf-file/source'
import { ElfFunctions, readFunctions } from '../../lib/elf-file/symbols'
import { libc } from '../support/attach/probes'
import { SCALE } from '../support/compiled'
import { CODE, elfImage, type ImageSymbol } from '../support/elf-image'
import { errorOf } from '../support/error'
import { needs } from '../support/kernel'

const functions = (bytes: Uint8Array) => new ElfFunctions(memorySource(bytes, 'image'))

/** Address by name and kind, as binutils read a table of the file; `name@version` and `name@@version` apart. */
function listed(path: string, ...options: string[]): Map<string, { address: number; kind: string }> {
  const text = execFileSync('nm', ['--defined-only', ...options, path], { encoding: 'utf8', maxBuffer: 1 << 28 })
  const rows = text.matchAll(/^([0-9a-f]+) (\w) (\S+)$/gm)
  return new Map(
    Array.from(rows, ([, address = '', kind = '', name = '']) => [
      name,
      { address: Number.parseInt(address, 16), kind },
    ]),
  )
}

describe('symbols of ELF files', () => {
  const SYMBOLS: readonly ImageSymbol[] = [
    { name: 'first', address: CODE.address },
    { name: 'last', address: CODE.address + CODE.size - 1 },
    { name: 'naïve', address: CODE.address + 0x10 },
    { name: 'data', address: CODE.address + 0x20, kind: 1 },
    { name: 'elsewhere', address: CODE.address + 0x30, section: 0 },
    { name: 'beyond', address: CODE.address + CODE.size },
  ]

  for (const bits of [32, 64] as const) {
    for (const littleEndian of [true, false]) {
      const what = `${bits} bits, ${littleEndian ? 'little' : 'big'}-endian`

      it(`${what}: the place in the file, by the segment that is loaded there`, () => {
        const found = functions(elfImage({ bits, littleEndian, symbols: SYMBOLS }).bytes)
        expect(found.names).to.deep.equal(['first', 'last', 'naïve', 'beyond'])
        expect(['first', 'last', 'naïve'].map((name) => found.offsetOf(name))).to.deep.equal([0x1000, 0x17ff, 0x1010])
        expect(errorOf(() => found.offsetOf('beyond')).message).to.match(/at offset \d+ .*0x401800: no code is loaded/)
        for (const name of ['data', 'elsewhere', 'nowhere']) {
          expect(errorOf(() => found.offsetOf(name))).to.include({ name: 'ElfError', code: 'ENOENT' })
        }
      })

      it(`${what}: whatever bytes are changed, there is an answer or an ElfError`, () => {
        const image = elfImage({ bits, littleEndian, symbols: SYMBOLS }).bytes
        // Where headers, symbols and names are: the rest is zeros.
        const place = fc.oneof(
          fc.nat(0x60),
          fc.integer({ min: 0x100, max: 0x300 }),
          fc.integer({ min: 0x400, max: 0x500 }),
        )
        const change = fc.tuple(place, fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255)))
        const cut = fc.oneof(
          { weight: 9, arbitrary: fc.constant(image.length) },
          { weight: 1, arbitrary: fc.nat(0x600) },
        )
        let errors = 0
        const check = fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), cut, (changes, length) => {
          const bytes = image.slice(0, length)
          for (const [at, value] of changes) if (at < length) bytes[at] = value
          try {
            const found = functions(bytes)
            for (const name of found.names) found.offsetOf(name)
          } catch (error) {
            if (!(error instanceof ElfError)) throw error
            errors++
          }
        })
        fc.assert(check, { numRuns: 4000 * SCALE })
        expect(errors).to.be.greaterThan(0)
      })
    }
  }

  it('of several with the same name, the one that others see; else all places are told', () => {
    const at = (offset: number, binding: number) => ({ name: 'twice', address: CODE.address + offset, binding })
    const offsetOf = (...symbols: ImageSymbol[]) =>
      functions(elfImage({ bits: 64, littleEndian: true, symbols }).bytes).offsetOf('twice')
    expect(offsetOf(at(1, 0), at(2, 1), at(3, 2))).to.equal(0x1002)
    expect(offsetOf(at(1, 0), at(3, 2))).to.equal(0x1003)
    expect(offsetOf(at(1, 0), at(1, 0))).to.equal(0x1001)
    const error = errorOf(() => offsetOf(at(1, 0), at(2, 0)))
    expect(error).to.include({ code: 'ENOENT' })
    const both = functions(elfImage({ bits: 64, littleEndian: true, symbols: [at(1, 0), at(2, 0)] }).bytes)
    expect(both.offsetsOf('twice')).to.deep.equal([0x1001, 0x1002])
    expect(error.message).to.equal("image: several functions are called 'twice': say which by its offset, 4097 or 4098")
  })

  it('a function that is chosen at load time is refused: its own address is never called', () => {
    const symbols = [{ name: 'memcpy', address: CODE.address, kind: 10 }]
    const found = functions(elfImage({ bits: 64, littleEndian: true, symbols }).bytes)
    expect(errorOf(() => found.offsetOf('memcpy')).message).to.include('STT_GNU_IFUNC')
    expect(found.names).to.deep.equal([])
  })

  describe('of a file that says what cannot be', () => {
    const {
      bytes: sound,
      sectionHeaders,
      sectionHeaderBytes,
      programHeaders,
      symbols,
    } = elfImage({
      bits: 64,
      littleEndian: true,
      symbols: SYMBOLS,
    })
    const table = sectionHeaders + sectionHeaderBytes
    /** Bytes of a 64-bit number. */
    const long = (value: bigint) => [...new Uint8Array(BigUint64Array.of(value).buffer)]
    const CASES: Readonly<Record<string, readonly [at: number, bytes: number[], offset: number, text: RegExp]>> = {
      'no magic': [0, [0, 0, 0, 0], 0, /no ELF file: it begins with 00 00 00 00/],
      'no class': [4, [7], 4, /7 is no class/],
      'no byte order': [5, [9], 5, /9 is no byte order/],
      'a relocatable object': [16, [1], 16, /its type is 1/],
      'section headers beyond its end': [40, long(8191n), 40, /3 section headers is 192 bytes at offset 8191, .* 8192/],
      'section headers that no file has': [40, long(1n << 60n), 40, /no file is so long/],
      'small section headers': [58, [1, 0], 58, /a section header is said to have 1 bytes/],
      'program headers beyond its end': [32, long(8176n), 32, /1 program headers is 56 bytes at offset 8176/],
      'symbols of another size': [table + 56, [25], table, /symbols of 64 bits have 24 bytes, and here 25/],
      'symbols beyond its end': [table + 32, long(24000n), table, /section 1 is 24000 bytes at offset 1024/],
      'names in no section': [table + 40, [9], table, /its names are in section 9 of 3/],
      'a name beyond the names': [symbols, [0x99, 0x99], symbols, /name is at 39321 of \d+ bytes of names/],
      'code that is not executable': [programHeaders + 4, [4], symbols, /no code is loaded there/],
    }
    for (const [what, [at, written, offset, text]] of Object.entries(CASES)) {
      it(`${what}: the error says where`, () => {
        const bytes = sound.slice()
        bytes.set(written, at)
        const error = errorOf(() => functions(bytes).offsetOf('first'))
        expect(error).to.include({ name: 'ElfError', code: 'ERR_EBPF_ELF', offset })
        expect(error.message).to.match(text)
      })
    }

    it('a file without headers names nothing', () => {
      const bytes = sound.slice()
      new DataView(bytes.buffer).setBigUint64(40, 0n, true)
      expect(errorOf(() => functions(bytes).offsetOf('first')).message).to.include('(it is stripped)')
    })
  })

  describe('of real files', () => {
    it('are where binutils see them', function () {
      needs(this, existsSync('/usr/bin/nm'), 'nm (binutils)')
      const path = libc()
      const found = readFunctions(path)
      const code = /LOAD +0x([0-9a-f]+) +0x([0-9a-f]+) \S+ \S+ \S+ +R E/.exec(
        execFileSync('readelf', ['-lW', path], { encoding: 'utf8' }),
      )
      const shift = Number.parseInt(code?.[1] ?? '', 16) - Number.parseInt(code?.[2] ?? '', 16)
      let compared = 0
      for (const [name, { address, kind }] of listed(path, '-D')) {
        const plain = name.split('@@')
        // T and W: code that others see. One @ is an old version.
        if (!/[TW]/.test(kind) || name.replace('@@', '').includes('@')) continue
        expect(found.offsetOf(plain[0] ?? ''), name).to.equal(address + shift)
        compared++
      }
      expect(compared).to.be.greaterThan(1000)
    })

    it('of an executable, functions that nobody else sees too', function () {
      needs(this, existsSync('/usr/bin/nm'), 'nm (binutils)')
      const here = listed(process.execPath)
      const name = [...here].find(([name, { kind }]) => kind === 't' && /^uv__/.test(name))?.[0]
      if (name === undefined) return needs(this, false, 'a node that is not stripped')
      expect(readFunctions(process.execPath).names).to.include(name)
    })

    it('what is no regular file is refused, and not waited for', () => {
      const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-'))
      try {
        const path = join(folder, 'fifo')
        execFileSync('mkfifo', [path])
        for (const each of [path, folder, '/dev/zero']) {
          expect(errorOf(() => readFunctions(each)).message).to.equal(`${each}: it is no regular file`)
        }
        const text = join(folder, 'text')
        writeFileSync(text, '#!/bin/sh\n')
        expect(errorOf(() => readFunctions(text)).message).to.include('it begins with 23 21 2f 62')
        writeFileSync(text, '')
        expect(errorOf(() => readFunctions(text)).message).to.include('it begins with nothing')
        const cut = join(folder, 'cut')
        copyFileSync(libc(), cut)
        truncateSync(cut, readFileSync(cut).length / 2)
        expect(errorOf(() => readFunctions(cut))).to.include({ name: 'ElfError', code: 'ERR_EBPF_ELF' })
        expect(errorOf(() => readFunctions(join(folder, 'none')))).to.include({ code: 'ENOENT' })
      } finally {
        rmSync(folder, { recursive: true })
      }
    })
  })
})
