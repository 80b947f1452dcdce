import { expect } from 'chai'
import { Btf, BtfError } from '../../lib/btf'
import * as format from '../../lib/btf/format'
import { errorOf } from '../support/error'
import { everyKind, Image } from './image'

/** Where the types begin; with the 16 bytes of an int in front, where the second one does. */
const FIRST = 24
const SECOND = FIRST + 16

/** What reading says of BTF whose 32-bit words, by their offsets, are others. */
function saidOf(words: Readonly<Record<number, number>>, image = everyKind()): BtfError {
  const bytes = image.bytes()
  for (const [at, word] of Object.entries(words)) bytes.writeUInt32LE(word, Number(at))
  const error = errorOf(() => Btf.parse(bytes, { name: 'x.btf' }))
  expect(error).to.be.instanceOf(BtfError).with.property('code', 'ERR_EBPF_BTF')
  return error as BtfError
}

describe('BTF that cannot be', () => {
  it('is told by its header', () => {
    const { length } = everyKind().bytes()
    const typeBytes = everyKind().bytes().readUInt32LE(12)
    const cases: [Readonly<Record<number, number>>, number, string][] = [
      [{ 0: 0x0001eb9e }, 0, 'this is no BTF: it begins with 0xeb9e, and BTF with 0xeb9f in either byte order'],
      [{ 0: 0x0002eb9f }, 2, 'BTF of version 2, and only version 1 is known'],
      [{ 4: 20 }, 4, 'a header of 20 bytes; it has at least 24'],
      [{ 4: length + 1 }, 4, `a header of ${length + 1} bytes, and all there is are ${length}: it is cut off`],
      [{ 8: length }, 8, `types go from ${24 + length} to ${24 + length + typeBytes}, and all there is are`],
      [{ 8: 2 }, 8, 'the types are not aligned to 4 bytes'],
      [{ 12: 0xffff_ffff }, 8, `types go from 24 to ${24 + 0xffff_ffff}`],
      [{ 16: 0xffff_ffff }, 16, 'strings go from'],
      [{ 20: 0xffff_ffff }, 16, 'strings go from'],
      [{ 20: 0 }, 20, 'it has no strings, not even the empty one'],
      [{ 20: 4 }, 24 + typeBytes + 3, 'the last string does not end'],
      [{ 16: typeBytes + 1 }, 16, 'strings go from'],
    ]
    for (const [words, offset, reason] of cases) {
      const error = saidOf(words)
      expect(error.reason, JSON.stringify(words)).to.contain(reason)
      expect([error.offset, error.what], JSON.stringify(words)).to.deep.equal([offset, 'x.btf'])
      expect(error.message).to.equal(`x.btf at offset ${offset} (0x${offset.toString(16)}): ${error.reason}`)
    }
  })

  it('is told wherever it is cut off', () => {
    const whole = everyKind().bytes()
    for (let length = 0; length < whole.length; length++) {
      expect(() => Btf.parse(whole.subarray(0, length)), `${length} bytes`).to.throw(BtfError)
    }
    expect(Btf.parse(whole).size).to.equal(30)
  })

  it('has a string that does not begin empty', () => {
    const bytes = everyKind().bytes()
    const at = 24 + bytes.readUInt32LE(16)
    bytes[at] = 65
    expect(errorOf(() => Btf.parse(bytes))).to.include({ reason: 'the first string is not empty', offset: at })
  })

  it('may have a longer header, whose rest is not looked at', () => {
    const btf = Btf.parse(everyKind({ headerBytes: 48 }).bytes())
    expect([...btf.types()]).to.deep.equal([...Btf.parse(everyKind().bytes()).types()])
    // What of the layout section is in the header counts only where both its words are.
    expect(Btf.parse(everyKind({ headerBytes: 28 }).bytes()).size).to.equal(btf.size)
  })

  it('has a layout section that is none', () => {
    const image = () => everyKind({ layouts: [[0, 0]] })
    expect(saidOf({ 24: 0xffff }, image())).to.have.property('offset', 24)
    expect(saidOf({ 28: 3 }, image())).to.include({ reason: '3 bytes are no whole number of layouts', offset: 28 })
    const uneven = new Image({ layouts: Array.from({ length: 31 }, () => [2, 0] as const) })
    uneven.add(30, 'novelty', 0)
    expect(saidOf({}, uneven)).to.include({
      reason: 'types of kind 30 are 2 and 0 bytes long, which is not aligned',
      offset: 32,
    })
  })

  it('has a type that does not fit, or is of no kind', () => {
    const info = (kind: number, vlen = 0) => kind * 0x1000000 + vlen
    const typed = (word: number) => saidOf({ [SECOND + 4]: word })
    expect(typed(info(0))).to.include({ reason: 'a type of kind 0, which is none that is known', offset: SECOND + 4 })
    expect(typed(info(20))).to.include({ reason: 'a type of kind 20, which is none that is known' })
    expect(typed(info(0x7f))).to.include({ reason: 'a type of kind 127, which is none that is known' })
    expect(typed(info(format.STRUCT, 0xffffff))).to.have.property('offset', SECOND)
    expect(typed(info(format.STRUCT, 0xffffff)).reason).to.match(
      /^type 2 has 201326592 bytes, and the types end after \d+$/,
    )
    const image = new Image()
    image.int('int', 4)
    expect(saidOf({ 12: 8 }, image)).to.include({ reason: 'type 1 is cut off where the types end', offset: FIRST })
    // Layouts do not change what is known.
    const silly = new Image({ layouts: Array.from({ length: 5 }, () => [255, 255] as const) })
    silly.int('int', 4)
    expect(Btf.parse(silly.bytes()).type(1)).to.include({ kind: 'int', size: 4 })
  })

  it('has a type that is told when it is asked for, and spoils no other', () => {
    const image = new Image()
    const int = image.int('int', 4)
    const far = 99
    const ids = {
      ptr: image.ptr(far),
      array: image.array(far, 1),
      index: image.array(int, 1, far),
      struct: image.struct('s', 4, [['m', far, 0]]),
      typedef: image.typedef('t', far),
      func: image.add(format.FUNC, 'f', far),
      proto: image.add(format.FUNC_PROTO, '', far),
      param: image.add(format.FUNC_PROTO, '', int, [0, far], 1),
      variable: image.add(format.VAR, 'v', far, [0]),
      datasec: image.add(format.DATASEC, '.bss', 4, [far, 0, 4], 1),
      tag: image.add(format.DECL_TAG, 'tag', far, [-1]),
    }
    const last = ids.tag
    const unnamed = image.add(format.TYPEDEF, 0x7fff_fff0, int)
    const member = image.add(format.STRUCT, 's2', 4, [0x7fff_fff0, int, 0], 1)
    const linkage = image.add(format.FUNC, 'g', ids.proto, [], 3)
    const varLinkage = image.add(format.VAR, 'w', int, [3])
    const btf = Btf.parse(image.bytes(), { name: 'x.btf' })
    for (const [what, id] of Object.entries(ids)) {
      const error = errorOf(() => btf.type(id)) as BtfError
      expect(error, what).to.be.instanceOf(BtfError)
      expect(error.reason, what).to.equal(`it refers to type ${far}, and the last one is ${btf.size}`)
      expect(Buffer.from(btf.bytes).readUInt32LE(error.offset ?? -1), what).to.equal(far)
    }
    expect(last).to.be.below(btf.size)
    for (const id of [unnamed, member]) {
      const error = errorOf(() => btf.type(id)) as BtfError
      expect(error.reason).to.match(/^a string at 2147483632, and strings end at \d+$/)
      expect(Buffer.from(btf.bytes).readUInt32LE(error.offset ?? -1)).to.equal(0x7fff_fff0)
    }
    for (const id of [linkage, varLinkage]) {
      expect(() => btf.type(id)).to.throw(BtfError, 'linkage 3: it is 0 (static), 1 (global) or 2 (extern)')
    }
    expect(btf.type(int).name).to.equal('int')
    expect(btf.find('int')?.id).to.equal(int)
    for (let i = 0; i < 5; i++) expect(btf.find('nothing')).to.equal(undefined)
    expect(() => btf.require('imt')).to.throw(BtfError, "did you mean 'int'?")
  })

  it('goes wrong by one', () => {
    const image = new Image()
    const int = image.int('int', 4)
    const ptr = image.ptr(4)
    const named = image.add(format.TYPEDEF, image.stringBytes + 2, int)
    const btf = Btf.parse(image.bytes())
    expect(() => btf.type(ptr)).to.throw(BtfError, 'it refers to type 4, and the last one is 3')
    expect(btf.string(4)).to.equal('')
    expect(() => btf.string(5)).to.throw(BtfError, 'a string at 5, and strings end at 5')
    expect(() => btf.type(named)).to.throw(BtfError, 'a string at 7, and strings end at 5')
    // A last type that wants 4 bytes more than there are.
    const short = new Image()
    short.int('int', 4)
    short.add(format.ARRAY, '', 0, [1, 1])
    const said = errorOf(() => Btf.parse(short.bytes())) as BtfError
    expect(said).to.include({ reason: 'type 2 has 24 bytes, and the types end after 20', offset: SECOND })
  })

  it('has names that share their ends, which are short; a line of source may be long', () => {
    const image = new Image()
    const line = 'x'.repeat(5000)
    const at = image.name(line)
    const whole = image.add(format.TYPEDEF, at, image.int('int', 4))
    const end = image.add(format.TYPEDEF, at + 1, 1)
    const short = image.add(format.TYPEDEF, at + 5000 - 511, 1)
    const btf = Btf.parse(image.bytes())
    expect(btf.nameOf(whole)).to.equal(line)
    expect(btf.string(at)).to.equal(line)
    expect(btf.nameOf(short)).to.equal('x'.repeat(511))
    expect(() => btf.nameOf(end)).to.throw(
      BtfError,
      'a name that is the end of another, and not shorter than 512 bytes',
    )
    expect(btf.find(line)?.id).to.equal(whole)
  })

  it('costs no more than it is long', () => {
    // 10,000 types with one long name, each a byte later than the one before: 50 MB of names in 130 kB.
    const image = new Image()
    const at = image.name('y'.repeat(10_000))
    image.int('int', 4)
    for (let i = 0; i < 10_000; i++) image.add(format.TYPEDEF, at + i, 1)
    const btf = Btf.parse(image.bytes())
    for (let i = 0; i < 5; i++) expect(btf.find('y'.repeat(9000))).to.equal(undefined)
    let named = 0
    for (let id = 1; id <= btf.size; id++) {
      try {
        named += btf.nameOf(id).length > 0 ? 1 : 0
      } catch (error) {
        if (!(error instanceof BtfError)) throw error
      }
    }
    // int, the whole of it, and what is short enough
    expect(named).to.equal(1 + 1 + 511)
  })

  it('is refused where it is not even bytes', () => {
    for (const value of ['text', 7, null, undefined, [1, 2], new Uint32Array(9)]) {
      const text = 'bytes must be an ArrayBuffer or a Uint8Array'
      expect(() => Btf.parse(value as unknown as Uint8Array)).to.throw(TypeError, text)
    }
    expect(() => Btf.parse(new Uint8Array(), { base: {} as Btf })).to.throw(TypeError, 'base must be a Btf')
    expect(() => Btf.parse(new Uint8Array(), { bas: 1 } as never)).to.throw(TypeError, "did you mean 'base'?")
    expect(() => Btf.parse(new Uint8Array(), { name: 1 as unknown as string })).to.throw(TypeError)
    expect(() => Btf.parse(new Uint8Array())).to.throw(BtfError, 'BTF: 0 bytes are not even the start of a header')
    const whole = everyKind().bytes()
    const padded = new Uint8Array(whole.length + 3)
    padded.set(whole, 3)
    expect(Btf.parse(padded.subarray(3)).size).to.equal(30)
    expect(Btf.parse(padded.slice(3).buffer).size).to.equal(30)
  })
})
