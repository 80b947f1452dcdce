import { expect } from 'chai'
import { Btf, BtfError, codecOf } from '../../lib/btf'
import * as kind from '../../lib/btf/format'
import { errorOf } from '../support/error'
import { Image, type Member } from './image'

/** Ids: 1 is an int, the others as they are added. */
function image(): Image {
  const made = new Image()
  made.int('int', 4, { encoding: 1 })
  return made
}

function refused(image: Image, use: (btf: Btf) => unknown, reason: RegExp): void {
  const btf = Btf.parse(image.bytes())
  const error = errorOf(() => use(btf))
  expect(error).to.be.instanceOf(BtfError)
  expect((error as BtfError).reason).to.match(reason)
}

/** Structs without names, each of two of the one before. */
function tower(height: number, union = false): Image {
  const made = image()
  let below = made.struct('', 4, [['leaf', 1, 0]])
  for (let i = 0; i < height; i++) {
    const members: Member[] = [
      ['', below, 0],
      [`m${i}`, below, 0],
    ]
    below = made.struct(i === height - 1 ? 'top' : '', 4, members, { union })
  }
  return made
}

describe('BTF that is small, and made to be without end', () => {
  it('circles of const behind an array, and of pointers and arrays, are refused', () => {
    const made = image()
    const itself = made.add(kind.CONST, '', made.typeCount + 1)
    const ofIt = made.array(itself, 4)
    refused(made, (btf) => codecOf(btf, ofIt), /is made from itself/)
    refused(made, (btf) => btf.toTypeScript(ofIt), /is made from itself/)
    const pointer = made.ptr(made.typeCount + 1)
    refused(made, (btf) => btf.toC(pointer, { deep: true }), /is made from itself/)
    const array = made.array(made.typeCount + 1, 1)
    made.struct('holder', 4, [['it', array, 0]])
    refused(made, (btf) => btf.toC('holder'), /is made from itself/)
  })

  it('circles of variables and of tags are refused', () => {
    const made = image()
    const variable = made.add(kind.VAR, 'v', made.typeCount + 1, [1])
    refused(made, (btf) => btf.toTypeScript(variable), /is made from itself/)
    const tag = made.add(kind.DECL_TAG, 'tag', made.typeCount + 1, [-1])
    refused(made, (btf) => btf.toC(tag), /is made from itself/)
  })

  it('what has no name is not written out over and over', () => {
    refused(tower(40), (btf) => btf.toC('top'), /written out over and over/)
    refused(tower(40), (btf) => btf.toC('top', { deep: true }), /written out over and over/)
    refused(tower(40), (btf) => btf.toC(), /written out over and over/)
    // In TypeScript each has a name.
    expect(Btf.parse(tower(40).bytes()).toTypeScript('top')).to.have.length.below(20_000)
    // A few times is what compilers write.
    expect(Btf.parse(tower(5).bytes()).toC('top')).to.contain('leaf')
  })

  it('what is nearly all padding is printed as an array of bytes', () => {
    const made = image()
    made.struct('wide', 0xffff_fff0, [['first', 1, 0]])
    const text = Btf.parse(made.bytes()).toC('wide')
    expect(text).to.equal('struct wide {\n\tint first;\n\tint: 32;\n\tchar __padding_8[4294967272];\n};\n')
  })

  it('arrays of arrays that no memory holds have no codec', () => {
    const made = image()
    let array = made.array(1, 0x7fff_ffff)
    for (let i = 0; i < 3; i++) array = made.array(array, 0x7fff_ffff)
    refused(made, (btf) => codecOf(btf, array), /is larger than 4 GiB/)
  })

  it('a union that is larger than the struct around it is not written past its end', () => {
    const made = image()
    const union = made.struct('', 4096, [['a', 1, 0]], { union: true })
    made.struct('small', 8, [
      ['', union, 0],
      ['b', 1, 32],
    ])
    refused(made, (btf) => codecOf(btf, 'small'), /has a union that ends at 4096, and the whole has 8 bytes/)
  })
})
