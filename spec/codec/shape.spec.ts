import { setFlagsFromString } from 'node:v8'
import { runInThisContext } from 'node:vm'
import { expect } from 'chai'
import * as codecs from '../../lib/codec'

describe('codec objects', () => {
  it('have one hidden class, whatever they are', () => {
    setFlagsFromString('--allow-natives-syntax')
    const sameMap: (a: unknown, b: unknown) => boolean = runInThisContext('(a, b) => %HaveSameMap(a, b)')
    const { u8, u32, u64 } = codecs
    const constants = Object.values(codecs).filter(codecs.isCodec)
    const made = [
      codecs.bytes(4),
      codecs.cstring(16),
      codecs.array(u8, 4),
      codecs.struct({ a: u8, b: u64 }),
      codecs.packed({ a: u8 }),
      codecs.enumOf({ A: 1 }),
      codecs.flagsOf({ A: 1n }, u64),
      codecs.mapped(u32, String, Number),
    ]
    expect(constants.length).equal(25)
    for (const codec of [...constants, ...made]) expect(sameMap(u32, codec)).equal(true, codec.name)
    expect(sameMap(u32, { ...u32, more: 1 })).equal(false)
  })
})
