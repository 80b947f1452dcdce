import { expect } from 'chai'
import * as fc from 'fast-check'
import { Btf, BtfError, type BtfType, parseBtfExt } from '../../lib/btf'
import { SCALE } from '../support/compiled'
import { everyKind, Image } from './image'

/** Of each property; fast-check prints the seed of one that fails, and the least that makes it fail. */
const RUNS = Math.max(60, 100 * SCALE)

/** 32-bit words that are more often wrong than others: ends, signs, kinds with many of everything. */
const INTERESTING = [
  0, 1, 2, 4, 7, 12, 24, 30, 31, 32, 33, 0xff, 0xffff, 0x10000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
]
const info = fc
  .tuple(fc.nat(20), fc.constantFrom(0, 1, 2, 3, 40, 0xffff, 0xffffff), fc.boolean())
  .map(([kind, vlen, flag]) => kind * 0x1000000 + vlen + (flag ? 0x8000_0000 : 0))

/** A word that is made another, by a number that is taken modulo how many there are; or the end, cut off. */
const change = fc.record({
  place: fc.nat(),
  word: fc.oneof(
    fc.constantFrom(...INTERESTING),
    fc.nat(40),
    fc.nat(600),
    info,
    fc.integer({ min: 0, max: 0xffff_ffff }),
  ),
  how: fc.constantFrom('types', 'header', 'byte', 'cut'),
})
type Change = { readonly place: number; readonly word: number; readonly how: string }

const changes = fc.array(change, { minLength: 1, maxLength: 6 })

function changed(image: Buffer, changes: readonly Change[], littleEndian: boolean, headerBytes: number): Buffer {
  let bytes: Buffer = Buffer.from(image)
  for (const { place, word, how } of changes) {
    if (how === 'cut') bytes = bytes.subarray(0, place % 8 === 0 ? word % (bytes.length + 1) : bytes.length)
    if (bytes.length < headerBytes) return bytes
    if (how === 'byte') bytes[place % bytes.length] = word & 0xff
    const [from, words] = how === 'header' ? [0, headerBytes / 4] : [headerBytes, (bytes.length - headerBytes) >>> 2]
    if ((how === 'types' || how === 'header') && words > 0) {
      const at = from + (place % words) * 4
      if (littleEndian) bytes.writeUInt32LE(word, at)
      else bytes.writeUInt32BE(word, at)
    }
  }
  return bytes
}

/** What it comes to: an answer, or undefined where BtfError is thrown. Any other error is a failure. */
function attempted<T>(use: () => T): T | undefined {
  try {
    return use()
  } catch (error) {
    if (error instanceof BtfError && error.code === 'ERR_EBPF_BTF') return undefined
    throw error
  }
}

/** chai takes a hundred times as long. */
function check(holds: boolean, what: string): void {
  if (!holds) throw new Error(what)
}

/** Everything that can be asked of BTF, whatever it says. */
function exercise(btf: Btf): void {
  const end = btf.firstId + btf.size
  for (let id = 0; id < end; id++) {
    const type = attempted(() => btf.type(id))
    if (type !== undefined) {
      check(type.id === id && type.kind === btf.kindOf(id) && type.name === btf.nameOf(id), `type ${id} is another`)
      for (const other of references(type)) check(other >= 0 && other < end, `type ${id} refers to ${other}`)
    }
    attempted(() => btf.nameOf(id))
    const resolved = attempted(() => btf.resolve(id))
    const qualifier = /^(typedef|const|volatile|restrict|type_tag)$/.test(resolved?.kind ?? '')
    check(!qualifier, `type ${id} is resolved to ${resolved?.kind}`)
    const size = attempted(() => btf.sizeOf(id)) ?? 0
    check(Number.isInteger(size) && size >= 0 && size < 2 ** 32, `the size of type ${id} is ${size}`)
    const alignment = attempted(() => btf.alignOf(id)) ?? 1
    check([1, 2, 4, 8, 16].includes(alignment), `the alignment of type ${id} is ${alignment}`)
  }
  for (const name of ['int', 'node', 'node_t', 'nothing', 'wide_signed', '']) {
    // Through all types first, and then by the index: the same, or what is wrong with one of them.
    const all = Array.from({ length: 5 }, () => attempted(() => btf.findAll(name)?.map(({ id }) => id)))
    for (const ids of all) check(`${ids}` === `${all[0]}`, `${name} is ${ids} and ${all[0]}`)
    for (const id of all[0] ?? []) check(btf.nameOf(id) === name, `type ${id} is not called ${name}`)
  }
  try {
    btf.require('nodee')
  } catch (error) {
    if (!(error instanceof BtfError)) throw error
  }
}

function references(type: BtfType): number[] {
  switch (type.kind) {
    case 'struct':
    case 'union':
      return type.members.map(({ type }) => type)
    case 'func_proto':
      return [type.returns, ...type.params.map(({ type }) => type)]
    case 'datasec':
      return type.vars.map(({ type }) => type)
    case 'array':
      return [type.type, type.indexType]
    default:
      return 'type' in type ? [type.type] : []
  }
}

describe('BTF of which anything may be wrong', function () {
  this.timeout(300_000)
  const seed = Date.now() & 0x7fff_ffff

  const images: [string, Image, boolean, number, Btf?][] = [
    ['little-endian', everyKind(), true, 24],
    ['big-endian', everyKind({ littleEndian: false }), false, 24],
    ['with a layout section', everyKind({ layouts: Array.from({ length: 40 }, () => [4, 8] as const) }), true, 32],
  ]
  const base = everyKind()
  const split = new Image({ base: { types: base.typeCount, stringBytes: base.stringBytes } })
  split.struct('pair', 56, [
    ['nodes', split.array(7, 2), 0],
    ['same', 33, 384],
  ])
  split.typedef('node_t', 34)
  split.typedef('node', 9)
  images.push(['split', split, true, 24, Btf.parse(base.bytes())])

  for (const [what, image, littleEndian, headerBytes, base] of images) {
    it(`is read, or refused with BtfError: ${what}`, () => {
      const bytes = image.bytes()
      let read = 0
      fc.assert(
        fc.property(changes, (changes) => {
          const spoiled = changed(bytes, changes, littleEndian, headerBytes)
          const btf = attempted(() => Btf.parse(spoiled, base === undefined ? {} : { base }))
          if (btf === undefined) return
          read++
          exercise(btf)
        }),
        { seed, numRuns: RUNS },
      )
      // Else it would be seen only how headers are refused.
      expect(read).to.be.above(RUNS / 20)
    })
  }

  it('is read, or refused with BtfError: .BTF.ext', () => {
    const btf = Btf.parse(everyKind().bytes())
    const functions = [8, 1, 2, 0, 19, 16, 21, 5, 1, 8, 19]
    const lines = [16, 1, 2, 0, 1, 5, (7 << 10) | 3, 8, 1, 5, (9 << 10) | 3]
    const relocations = [16, 1, 1, 24, 7, 5, 5]
    const words = [
      0,
      functions.length,
      functions.length,
      lines.length,
      functions.length + lines.length,
      relocations.length,
    ]
    const all = [32, ...words.map((word) => word * 4), ...functions, ...lines, ...relocations]
    const bytes = Buffer.alloc(4 + all.length * 4)
    bytes.writeUInt32LE(0x0001_eb9f)
    for (const [i, word] of all.entries()) bytes.writeUInt32LE(word, 4 + i * 4)
    expect(parseBtfExt(bytes, btf).relocations).to.have.length(1)
    fc.assert(
      fc.property(changes, (changes) => {
        const ext = attempted(() => parseBtfExt(changed(bytes, changes, true, 32), btf))
        for (const { records } of ext?.functions ?? []) for (const { type } of records) btf.type(type)
        for (const { records } of ext?.lines ?? []) for (const { text } of records) attempted(() => btf.string(text))
      }),
      { seed, numRuns: RUNS * 4 },
    )
  })
})
