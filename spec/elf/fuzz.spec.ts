import { expect } from 'chai'
import { BtfError } from '../../lib/btf'
import { BpfObject } from '../../lib/elf'
import { readContents } from '../../lib/elf/contents'
import { kernelBtf } from '../../lib/elf/kernel-btf'
import { readObjectFile } from '../../lib/elf/object-file'
import { linesOf, recordsOf, relocationsOf } from '../../lib/elf/program-btf'
import { ElfError } from '../../lib/elf-file/error'
import { ElfFile } from '../../lib/elf-file/file'
import { memorySource } from '../../lib/elf-file/source'
import { SCALE } from '../support/compiled'
import { bytesOf, needsFixtures } from './kit'

const SEED = 20_261
const ROUNDS = Math.ceil(250 * SCALE)
const OBJECTS = [
  'functions',
  'globals',
  'inner',
  'kinds',
  'maps',
  'values',
  'tutorial',
  'externs',
  'struct_ops',
  'struct_ops_link',
  'arena',
]

/** Numbers from 0 to below a limit, the same each time (mulberry32). */
function numbers(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % limit
  }
}

/** Values that are at the edge of something. */
const EDGES = [0, 1, 2, 3, 7, 8, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fff8, 0xffff_ffff]

interface Span {
  readonly from: number
  readonly to: number
}

/** Where an object has what its reader goes by: headers, tables, BTF and code; not texts. */
function structure(bytes: Uint8Array): Span[] {
  const elf = new ElfFile(memorySource(bytes))
  const sections = elf.sections.filter(({ size }) => size > 0)
  return [
    { from: 0, to: 64 },
    ...sections.map(({ at }) => ({ from: at, to: at + 64 })),
    ...sections.filter(({ type }) => type !== 8).map(({ offset, size }) => ({ from: offset, to: offset + size })),
  ]
}

/** What `load` makes of an object before the kernel is asked. */
function whatLoadReads(bytes: Uint8Array): void {
  const { file, btf, ext, programs } = readContents(readObjectFile(bytes, 'broken'))
  if (btf === undefined) return
  expect(kernelBtf(file, btf, () => false).length).to.equal(btf.bytes.length)
  if (ext === undefined) return
  for (const { linked } of programs) {
    recordsOf(linked, ext)
    linesOf(linked, ext, btf)
    relocationsOf(linked, ext)
  }
}

describe('objects that are broken', function () {
  this.timeout(300_000)

  beforeEach(function () {
    needsFixtures(this)
  })

  for (const name of OBJECTS) {
    it(`are read, or refused with the reason: ${name}`, () => {
      const next = numbers(SEED)
      const whole = bytesOf(name)
      const spans = structure(whole)
      let refused = 0
      for (let round = 0; round < ROUNDS; round++) {
        const bytes = whole.slice()
        const view = new DataView(bytes.buffer)
        for (let changes = 1 + next(3); changes > 0; changes--) {
          const { from, to } = spans[next(spans.length)] as Span
          const at = from + next(to - from)
          const value = next(2) === 0 ? (EDGES[next(EDGES.length)] as number) : next(0x1_0000_0000)
          if (next(2) === 0) bytes[at] = value
          else if (at + 4 <= bytes.length) view.setUint32(at, value, true)
        }
        try {
          const object = BpfObject.open(bytes)
          for (const global of Object.values(object.globals)) expect(global.size).to.be.at.least(1)
          whatLoadReads(bytes)
        } catch (error) {
          refused++
          if (error instanceof ElfError || error instanceof BtfError) expect(error.reason).not.to.equal('')
          else throw new Error(`round ${round} of seed ${SEED}`, { cause: error })
        }
      }
      expect(refused).to.be.within(1, ROUNDS)
    })

    it(`are refused where they are cut off: ${name}`, () => {
      const next = numbers(SEED)
      const whole = bytesOf(name)
      for (let round = 0; round < ROUNDS / 5; round++) {
        // The section headers are at the end.
        const bytes = whole.slice(0, next(whole.length))
        expect(() => BpfObject.open(bytes)).to.throw(ElfError)
      }
    })
  }
})
