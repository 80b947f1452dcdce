import { expect } from 'chai'
import * as fc from 'fast-check'
import type { Codec, StructCodec } from '../../lib/codec'
import { SCALE } from '../support/compiled'
import { anyModel, codecOf, type Model, valuesOf } from './schemas'
import { decode, encode } from './support'

const anyPair = anyModel.chain((model) => fc.tuple(fc.constant(model), valuesOf(model)))

/** Which bytes belong to a value, by the fields that the codec tells; the others are padding. */
function cover(model: Model, codec: Codec<unknown>, start: number, covered: boolean[]): void {
  if (model.kind === 'leaf') {
    covered.fill(true, start, start + codec.size)
  } else if (model.kind === 'array') {
    const element = codecOf(model.of)
    for (let i = 0; i < model.length; i++) cover(model.of, element, start + i * element.size, covered)
  } else {
    for (const [i, field] of (codec as StructCodec<unknown>).fields.entries()) {
      cover(model.fields[i]?.[1] as Model, field.codec, start + field.offset, covered)
    }
  }
}

describe('any schema', () => {
  it('reads what it wrote', () => {
    fc.assert(
      fc.property(anyPair, ([model, value]) => {
        const codec = codecOf(model)
        expect(decode(codec, encode(codec, value))).deep.equal(value)
      }),
      { numRuns: 1000 * SCALE },
    )
  })
  it('writes every byte of its size, the padding as zero, whatever was there', () => {
    let padded = 0
    fc.assert(
      fc.property(anyPair, ([model, value]) => {
        const codec = codecOf(model)
        const hex = encode(codec, value, 0xff)
        expect(encode(codec, value, 0x00)).equal(hex)
        const covered = new Array<boolean>(codec.size).fill(false)
        cover(model, codec, 0, covered)
        const bytes = Buffer.from(hex, 'hex')
        for (const [i, taken] of covered.entries()) {
          if (taken) continue
          padded++
          expect(bytes[i]).equal(0, `byte ${i} of ${codec.name}`)
        }
      }),
      { numRuns: 1000 * SCALE },
    )
    expect(padded).greaterThan(100)
  })
  it('has a size that is a multiple of its alignment', () => {
    fc.assert(
      fc.property(anyModel, (model) => {
        const { size, align } = codecOf(model)
        expect(size % align).equal(0)
      }),
    )
  })
})
