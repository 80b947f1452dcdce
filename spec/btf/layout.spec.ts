import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { Btf, BtfError, type BtfStruct, type BtfUnion } from '../../lib/btf'
import * as kind from '../../lib/btf/format'
import { KERNEL_BTF } from '../../lib/btf/kernel'
import { errorOf } from '../support/error'
import { requireFeature } from '../support/kernel'
import { requireBpftool } from './bpftool'
import { compile, requireClang, sectionOf } from './compile'
import { withFolder } from './folder'
import { Image } from './image'

describe('sizes and alignments', function () {
  this.timeout(300_000)

  it("are those of clang, for all structs and unions of the kernel's", function () {
    requireFeature(this, 'kernelBtf')
    requireBpftool(this)
    requireClang(this)
    const btf = Btf.kernel()
    const types = [...btf.types('struct'), ...btf.types('union')].filter((type) => isSayable(btf, type))
    const words = withFolder((folder) => {
      writeFileSync(join(folder, 'vmlinux.h'), header(btf))
      const asked = types.map(({ kind, name }) => `sizeof(${kind} ${name}), _Alignof(${kind} ${name}),`)
      const source = `#include "vmlinux.h"\nunsigned int asked[] __attribute__((section("answers"))) = {\n${asked.join('\n')}\n};\n`
      const section = sectionOf(compile(source, folder), 'answers')
      return new Uint32Array(section.buffer.slice(section.byteOffset, section.byteOffset + section.length))
    })
    const wrong: string[] = []
    types.forEach(({ id, name }, i) => {
      const [mine, its] = [
        [btf.sizeOf(id), btf.alignOf(id)],
        [words[2 * i], words[2 * i + 1]],
      ]
      if (`${mine}` !== `${its}`) wrong.push(`${name} (type ${id}): size and alignment are ${its}, not ${mine}`)
    })
    expect(wrong).to.deep.equal([])
    expect(types.length).to.be.above(1000)
    if (this.test !== undefined) this.test.title += ` (${types.length})`
  })

  it('are those of C, where it is 32 bits wide too', () => {
    for (const [name, pointer] of [
      ['long int', 4],
      ['long unsigned int', 8],
    ] as const) {
      const image = new Image()
      const long = image.int(name, pointer)
      const int = image.int('int', 4)
      const u64 = image.int('long long int', 8)
      const ptr = image.ptr(0)
      const wide = image.int('__int128', 16)
      const longDouble = image.add(kind.FLOAT, 'long double', pointer === 8 ? 16 : 12)
      const array = image.array(image.array(int, 3), 5)
      const open = image.array(u64, 0)
      const constant = image.add(kind.CONST, '', image.typedef('ints', array))
      const variable = image.add(kind.VAR, 'x', constant, [0])
      const enum64 = image.add(kind.ENUM64, 'e', 8)
      const btf = Btf.parse(image.bytes())
      expect(btf.pointerSize).to.equal(pointer)
      const layout = (id: number) => [btf.sizeOf(id), btf.alignOf(id)]
      expect(layout(long)).to.deep.equal([pointer, pointer])
      expect(layout(ptr)).to.deep.equal([pointer, pointer])
      expect(layout(u64)).to.deep.equal([8, pointer])
      expect(layout(enum64)).to.deep.equal([8, pointer])
      expect(layout(wide)).to.deep.equal([16, pointer === 8 ? 16 : 4])
      expect(layout(longDouble)).to.deep.equal(pointer === 8 ? [16, 16] : [12, 4])
      for (const id of [array, constant, variable]) expect(layout(id)).to.deep.equal([60, 4])
      expect(layout(open)).to.deep.equal([0, pointer])
    }
  })

  it('of structs are those of their members, unless they are packed', () => {
    const image = new Image()
    const u8 = image.int('u8', 1)
    const u32 = image.int('u32', 4)
    const u64 = image.int('u64', 8)
    const natural = image.struct('natural', 16, [
      ['a', u8, 0],
      ['b', u64, 64],
    ])
    const packed = image.struct('packed', 9, [
      ['a', u8, 0],
      ['b', u64, 8],
    ])
    const short = image.struct('short', 12, [
      ['a', u64, 0],
      ['b', u32, 64],
    ])
    const bits = image.struct(
      'bits',
      4,
      [
        ['a', u32, 3 << 24],
        ['b', u32, (5 << 24) | 3],
      ],
      { flag: true },
    )
    const around = image.struct('around', 28, [
      ['a', packed, 0],
      ['b', short, 96],
      ['c', bits, 192],
    ])
    const either = image.struct(
      'either',
      16,
      [
        ['a', natural, 0],
        ['b', u8, 0],
      ],
      { union: true },
    )
    const empty = image.struct('empty', 0, [])
    const btf = Btf.parse(image.bytes())
    const alignments = [natural, packed, short, bits, around, either, empty].map((id) => btf.alignOf(id))
    expect(alignments).to.deep.equal([8, 1, 1, 4, 4, 8, 1])
  })

  it('are found in structs that are nested as deep as you like', () => {
    const image = new Image()
    const depth = 50_000
    image.int('int', 4)
    for (let i = 1; i <= depth; i++)
      image.struct(`s`, 4, [
        ['inner', i, 0],
        ['same', i, 0],
      ])
    const btf = Btf.parse(image.bytes())
    expect(btf.alignOf(depth + 1)).to.equal(4)
  })

  it('are not there for what has none', () => {
    const image = new Image()
    const proto = image.add(kind.FUNC_PROTO, '', 0)
    const func = image.add(kind.FUNC, 'f', proto)
    const fwd = image.add(kind.FWD, 'hidden', 0)
    const outer = image.struct('outer', 4, [['inside', fwd, 0]])
    const huge = image.array(image.array(image.int('int', 4), 0xffff), 0xffff)
    const none = image.array(huge, 0)
    const btf = Btf.parse(image.bytes(), { name: 'small.btf' })
    const said = (use: () => unknown) => errorOf(use).message
    expect(said(() => btf.sizeOf(0))).to.equal('small.btf: void has no size')
    expect(said(() => btf.alignOf(0))).to.equal('small.btf: void has no alignment')
    expect(said(() => btf.sizeOf(func))).to.equal('small.btf at offset 36 (0x24): type 2, func f, has no size')
    expect(said(() => btf.sizeOf(proto))).to.equal('small.btf at offset 24 (0x18): type 1, func_proto, has no size')
    const declared = ': it is declared here, and described elsewhere or nowhere'
    const at = 'small.btf at offset 48 (0x30)'
    expect(said(() => btf.sizeOf(fwd))).to.equal(`${at}: type 3, fwd hidden, has no size${declared}`)
    for (const id of [fwd, outer, outer]) {
      expect(said(() => btf.alignOf(id))).to.contain(`type 3, fwd hidden, has no alignment${declared}`)
    }
    expect(said(() => btf.sizeOf(huge))).to.match(/type 7 is larger than 4 GiB$/)
    expect(btf.sizeOf(none)).to.equal(0)
    expect(errorOf(() => btf.sizeOf(fwd))).to.be.instanceOf(BtfError)
  })

  it('end where types are made from themselves', () => {
    const image = new Image()
    image.typedef('ouroboros', 1) // 1
    image.add(kind.CONST, '', 3) // 2
    image.add(kind.VOLATILE, '', 2) // 3
    image.array(4, 2) // 4
    image.struct('a', 8, [['b', 6, 0]]) // 5
    image.struct('b', 8, [['as', 7, 0]]) // 6
    image.array(5, 1) // 7
    image.struct('around', 8, [['a', 5, 0]]) // 8
    // No circle: a pointer has its size whatever it points to.
    const ptr = image.ptr(10) // 9
    image.struct('node', 8, [['next', ptr, 0]]) // 10
    const btf = Btf.parse(image.bytes())
    for (const id of [1, 2, 3]) {
      for (const use of ['resolve', 'sizeOf', 'alignOf'] as const) {
        expect(() => btf[use](id), `${use} of type ${id}`).to.throw(BtfError, `type ${id} is made from itself`)
      }
    }
    expect(() => btf.sizeOf(4)).to.throw(BtfError, 'type 4 is made from itself')
    expect(() => btf.alignOf(4)).to.throw(BtfError, 'type 4 is made from itself')
    // Asked once or often, from wherever.
    for (const id of [8, 5, 6, 7, 8]) expect(() => btf.alignOf(id)).to.throw(BtfError, 'is in itself')
    expect(btf.alignOf(10)).to.equal(8)
  })

  it('are found through as many typedefs as the kernel follows, and no more', () => {
    const image = new Image()
    image.int('int', 4)
    for (let i = 1; i <= 33; i++) image.typedef(`t${i}`, i)
    const btf = Btf.parse(image.bytes())
    expect([btf.sizeOf(33), btf.alignOf(33), btf.resolve(33).name]).to.deep.equal([4, 4, 'int'])
    expect(() => btf.sizeOf(34)).to.throw(BtfError, 'through more than 32 others')
  })
})

/** The kernel's types in C, by bpftool, and with what that leaves out. */
function header(btf: Btf): string {
  const options = { encoding: 'utf8', maxBuffer: 1 << 28 } as const
  let text = execFileSync('bpftool', ['btf', 'dump', 'file', KERNEL_BTF, 'format', 'c'], options)
  // Enums are as small as the attribute has made them.
  for (const { name, size } of btf.types('enum')) {
    if (size === 4 || name === '') continue
    text = text.replace(new RegExp(`(^enum ${name} {[^}]*})`, 'm'), '$1 __attribute__((packed))')
  }
  // That of BPF is another one than the kernel's.
  const list = btf.find('__builtin_va_list', 'typedef')
  if (list === undefined) return text
  return text.replace(/typedef __builtin_va_list (\w+);/, `typedef long $1[${btf.sizeOf(list.id) / 8}];`)
}

/** structs, unions and enums share their names in C: of several of one name, bpftool renames all but the first. */
function isSayable(btf: Btf, { name }: BtfStruct | BtfUnion): boolean {
  if (name === '') return false
  return btf.findAll(name).filter(({ kind }) => /^(struct|union|enum)/.test(kind)).length === 1
}
