import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import { array, isCodec, mapped, struct, u8, u16, u32, withPath } from '../../lib/codec'
import { EXTENSION } from '../support/compiled'
import { failure } from './support'

describe('withPath', () => {
  const message = '-1 is out of range for u32 (0 to 4294967295)'

  it('puts segments in front, and gives back the same error', () => {
    const error = failure(u32, -1)
    expect(withPath('packets', error)).equal(error)
    expect(error.message).equal(`packets: ${message}`)
    withPath(3, error)
    expect(error.message).equal(`[3].packets: ${message}`)
    withPath(0, error)
    expect(error.message).equal(`[0][3].packets: ${message}`)
    withPath('value', error)
    expect(error.message).equal(`value[0][3].packets: ${message}`)
    expect(error).instanceOf(RangeError)
  })
  it('goes on where containers have begun', () => {
    const Stats = struct({ packets: u32, list: array(struct({ port: u16 }), 2) })
    expect(failure(Stats, { packets: -1, list: [] }, 'value').message).equal(`value.packets: ${message}`)
    expect(failure(Stats, { packets: 1, list: [{ port: 1 }, { port: 1, prot: 2 }] }, 'value').message).equal(
      'value.list[1].prot: no such field in struct { port: u16 }',
    )
    expect(failure(u32, -1, 'key').message).equal(`key: ${message}`)
  })
  it('quotes a segment that is no identifier', () => {
    expect(failure(struct({ 'a b': u8 }), { 'a b': -1 }, 'value').message).equal(
      'value["a b"]: -1 is out of range for u8 (0 to 255)',
    )
    expect(failure(struct({ größe: u8 }), { größe: -1 }).message).match(/^größe: /)
  })
  it('keeps the stack, with a header that says the same as the message', () => {
    const error = failure(struct({ list: array(u32, 1) }), { list: [-1] }, 'value')
    const [header, ...frames] = (error.stack ?? '').split('\n')
    expect(header).equal(`RangeError: value.list[0]: ${message}`)
    expect(frames.some((frame) => frame.includes(`integer${EXTENSION}`))).equal(true)
    expect(frames.some((frame) => frame.includes(`error.spec${EXTENSION}`))).equal(true)
  })
  it('does the same for errors of user codecs, also from another context and with $ in them', () => {
    const throwing = (make: () => Error) =>
      mapped(u32, String, () => {
        throw make()
      })
    const own = failure(struct({ x: throwing(() => new TypeError("cost $& and $' 5")) }), { x: '' }, 'key')
    expect(own.message).equal("key.x: cost $& and $' 5")
    expect(own.stack).match(/^TypeError: key\.x: cost \$& and \$' 5\n/)
    const foreign = failure(
      array(
        throwing(() => runInNewContext('new RangeError("far")')),
        1,
      ),
      [''],
      'key',
    )
    expect(foreign.message).equal('key[0]: far')
    expect(foreign).not.instanceOf(RangeError)
    const coded = Object.assign(new RangeError('no'), { code: 'ERR_X' })
    expect(withPath('key', coded)).equal(coded)
    expect([coded.message, coded.code]).deep.equal(['key: no', 'ERR_X'])
  })
  it('takes a message that was changed in between as it is', () => {
    const error = withPath('a', new TypeError('one')) as TypeError
    error.message = 'two'
    expect((withPath('b', error) as TypeError).message).equal('b: two')
  })
  it('leaves everything else alone', () => {
    class Other extends Error {}
    for (const error of [new Error('x'), new SyntaxError('x'), new Other('x')]) {
      const stack = error.stack
      expect(withPath('value', error)).equal(error)
      expect([error.message, error.stack]).deep.equal(['x', stack])
    }
    for (const value of [undefined, null, 'text', 5, { name: 'TypeError', message: 'x' }]) {
      expect(withPath('value', value)).equal(value)
    }
    const frozen = Object.freeze(new RangeError('x'))
    expect(withPath('value', frozen)).equal(frozen)
    expect(frozen.message).equal('x')
  })
})

describe('isCodec', () => {
  it('knows codecs by their shape, those of users too', () => {
    expect(isCodec(u32)).equal(true)
    expect(isCodec(struct({ a: u8 }))).equal(true)
    expect(isCodec({ name: 'own', size: 3, align: 16, write() {}, read() {} })).equal(true)
  })
  it('refuses everything else', () => {
    const own = { name: 'own', size: 3, align: 1, write() {}, read() {} }
    for (const wrong of [
      undefined,
      null,
      4,
      'u32',
      {},
      () => u32,
      { ...own, name: undefined },
      { ...own, size: -1 },
      { ...own, size: 1.5 },
      { ...own, size: '3' },
      { ...own, align: 3 },
      { ...own, align: 0 },
      { ...own, write: undefined },
      { ...own, read: 1 },
    ]) {
      expect(isCodec(wrong)).equal(false)
    }
  })
})
