import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { Btf, BtfBuilder, type BtfDescription } from '../../lib/btf'
import { wordsOf } from '../../lib/btf/build/encode'
import { LE } from '../../syscalls/attr-common'
import { tryBtfLoad } from '../../syscalls/bpf-btf'
import { closeFd } from '../../syscalls/fd'
import { requireFeature, requireRoot } from '../support/kernel'
import { dumped, firstDifference, printed, requireBpftool } from './bpftool'
import { withFolder } from './folder'

/** A type of every kind, with all that each can say. */
function everyKind(): BtfBuilder {
  const builder = new BtfBuilder()
  const int = builder.add({ kind: 'int', name: 'int', size: 4, encoding: 'signed' })
  const char = builder.add({ kind: 'int', name: 'char', size: 1, encoding: 'char' })
  builder.add({ kind: 'int', name: '_Bool', size: 1, encoding: 'bool' })
  builder.add({ kind: 'int', name: 'old bit field', size: 4, encoding: 'unsigned', bitOffset: 3, bits: 5 })
  builder.add({ kind: 'int', name: 'unsigned __int128', size: 16 })
  const list = builder.reserve()
  const next = builder.add({ kind: 'ptr', type: list })
  builder.define(list, {
    ...{ kind: 'struct', name: 'list', size: 16 },
    members: [
      { name: 'next', type: next, bitOffset: 0 },
      { name: 'value', type: int, bitOffset: 64 },
      { name: '', type: char, bitOffset: 96 },
    ],
  })
  builder.add({
    ...{ kind: 'struct', name: 'bits', size: 4 },
    members: [
      { name: 'low', type: int, bitOffset: 0, bitfieldSize: 3 },
      { name: 'high', type: int, bitOffset: 3, bitfieldSize: 29 },
    ],
  })
  const text = builder.add({ kind: 'array', type: char, indexType: int, length: 6 })
  builder.add({
    ...{ kind: 'union', name: '', size: 8 },
    members: [
      { name: 'text', type: text, bitOffset: 0 },
      { name: 'number', type: int, bitOffset: 0 },
    ],
  })
  builder.add({ kind: 'enum', name: 'sign', size: 4, signed: true, values: [{ name: 'MINUS', value: -1 }] })
  builder.add({ kind: 'enum', size: 1, values: [{ name: 'ALL', value: 0xffff_ffff }] })
  builder.add({ kind: 'enum64', name: 'wide', size: 8, values: [{ name: 'TOP', value: 0xffff_ffff_0000_0001n }] })
  builder.add({ kind: 'enum64', size: 8, signed: true, values: [{ name: 'LEAST', value: -(1n << 63n) }] })
  builder.add({ kind: 'fwd', name: 'somewhere', of: 'struct' })
  builder.add({ kind: 'fwd', name: 'elsewhere', of: 'union' })
  const number = builder.add({ kind: 'typedef', name: 'number_t', type: int })
  builder.add({ kind: 'ptr', type: builder.add({ kind: 'const', type: 0 }) })
  builder.add({ kind: 'volatile', type: number })
  builder.add({ kind: 'restrict', type: next })
  const proto = builder.add({
    ...{ kind: 'func_proto', returns: int, variadic: true },
    params: [{ name: 'self', type: next }],
  })
  const func = builder.add({ kind: 'func', name: 'count', type: proto, linkage: 'global' })
  builder.add({ kind: 'func', name: 'helper', type: builder.add({ kind: 'func_proto', returns: 0, params: [] }) })
  const [one, two] = [1, 2].map(() => builder.add({ kind: 'var', name: 'twin', type: int }))
  const vars = [one, two].map((type, i) => ({ type: type as number, offset: i * 4, size: 4 }))
  builder.add({ kind: 'datasec', name: '.data.twins', size: 8, vars })
  builder.add({ kind: 'float', name: 'double', size: 8 })
  builder.add({ kind: 'decl_tag', name: 'whole', type: list })
  builder.add({ kind: 'decl_tag', name: 'second', type: list, component: 1 })
  builder.add({ kind: 'decl_tag', name: 'argument', type: func, component: 0 })
  builder.add({ kind: 'ptr', type: builder.add({ kind: 'type_tag', name: 'user', type: int }) })
  return builder
}

/** BTF of the same words without a question asked, so that the kernel can be. */
function unchecked(types: readonly BtfDescription[]): Uint8Array {
  const strings = ['']
  let length = 1
  const words = types.flatMap((type) =>
    wordsOf(type, (text) => {
      if (text === '') return 0
      strings.push(text)
      const at = length
      length += Buffer.byteLength(text) + 1
      return at
    }),
  )
  const tail = Buffer.from(`${strings.join('\0')}\0`)
  const view = new DataView(new ArrayBuffer(24 + words.length * 4))
  view.setUint32(0, LE ? 0x0001_eb9f : 0xeb9f_0100, LE)
  for (const [i, word] of [24, 0, words.length * 4, words.length * 4, tail.length, ...words].entries()) {
    view.setInt32(4 + i * 4, word, LE)
  }
  return Buffer.concat([new Uint8Array(view.buffer), tail])
}

function loads(btf: Uint8Array): boolean {
  const { fd, errno } = tryBtfLoad({ btf: new Uint8Array(btf) })
  if (errno === 0) closeFd(fd)
  return errno === 0
}

const INT: BtfDescription = { kind: 'int', name: 'int', size: 4 }
const PROTO: BtfDescription = { kind: 'func_proto', returns: 1, params: [] }
const struct = (size: number, ...members: [name: string, type: number, bitOffset: number, bits?: number][]) =>
  ({
    ...{ kind: 'struct', name: 's', size },
    members: members.map(([name, type, bitOffset, bitfieldSize = 0]) => ({ name, type, bitOffset, bitfieldSize })),
  }) as BtfDescription

/** Lists of types of which the last is wrong, and what is said of it. */
const WRONG: readonly [BtfDescription[], RegExp][] = [
  [[{ kind: 'int', name: 'int', size: 4, bits: 33 }], /int 'int': 33 bits from bit 0 on do not fit 4 bytes/],
  [[{ kind: 'int', name: 'int', size: 17 }], /17 bytes/],
  [[INT, { kind: 'typedef', name: 'a-b', type: 1 }], /"a-b", is none: letters/],
  [[INT, { kind: 'typedef', name: '', type: 1 }], /typedef: it needs a name/],
  [[INT, { kind: 'typedef', name: '1st', type: 1 }], /no digit in front/],
  [[INT, { kind: 'typedef', name: 'n'.repeat(600), type: 1 }], /600 bytes/],
  [[INT, { kind: 'ptr', name: 'p', type: 1 } as BtfDescription], /no name of its own/],
  [[INT, { kind: 'ptr', type: 7 }], /type 7, and there are/],
  [[INT, { kind: 'array', type: 0, indexType: 1, length: 2 }], /type cannot be void/],
  [[INT, { kind: 'array', type: 1, indexType: 1, length: 0x7fff_ffff }], /it has \d+ bytes/],
  [[INT, struct(4), { kind: 'array', type: 1, indexType: 2, length: 2 }], /index is no integer/],
  [[INT, struct(4, ['größe', 1, 0])], /größe/],
  [[INT, struct(4, ['a', 1, 8])], /goes to bit 40, past its 4 bytes/],
  [[INT, struct(12, ['a', 1, 64], ['b', 1, 0])], /before the member in front/],
  [[INT, struct(4, ['a', 1, 0]), { ...struct(8, ['b', 2, 3]), name: 't' } as BtfDescription], /within a byte/],
  [[INT, struct(8, ['a', 1, 0, 33])], /bit field of 33 bits/],
  [[INT, PROTO, struct(8, ['a', 2, 0])], /member 'a' is func_proto, which has no size/],
  [[INT, { kind: 'union', size: 8, members: [{ name: 'a', type: 1, bitOffset: 32 }] }], /all members are at 0/],
  [[{ kind: 'enum', name: 'e', size: 3, values: [] }], /3 bytes/],
  [[{ kind: 'enum', name: 'e', size: 4, values: [{ name: '', value: 1 }] }], /a constant/],
  [[{ kind: 'fwd', name: '', of: 'struct' }], /needs a name/],
  [[INT, PROTO, { kind: 'func', name: 'f', type: 2, linkage: 'extern' }], /extern/],
  [[INT, { kind: 'func', name: 'f', type: 1 }], /not a func_proto/],
  [
    [INT, { kind: 'func_proto', returns: 1, params: [{ name: '', type: 1 }] }, { kind: 'func', name: 'f', type: 2 }],
    /parameter 0 has no name/,
  ],
  [[INT, { kind: 'var', name: 'v', type: 1, linkage: 'extern' }], /extern/],
  [[INT, { kind: 'var', name: 'v', type: 0 }], /cannot be void/],
  [[INT, { kind: 'datasec', name: '.data', size: 4, vars: [{ type: 1, offset: 0, size: 4 }] }], /not a var/],
  [
    [
      INT,
      { kind: 'var', name: 'v', type: 1 },
      { kind: 'datasec', name: '.d', size: 4, vars: [{ type: 2, offset: 0, size: 2 }] },
    ],
    /variable 0 has 2 bytes, and its type 4/,
  ],
  [
    [
      INT,
      { kind: 'var', name: 'v', type: 1 },
      { kind: 'datasec', name: '.d', size: 4, vars: [{ type: 2, offset: 2, size: 4 }] },
    ],
    /goes to 6, past its 4 bytes/,
  ],
  [[{ kind: 'float', name: 'f', size: 5 }], /5 bytes/],
  [[INT, { kind: 'decl_tag', name: '', type: 1 }], /needs a name/],
  [[INT, { kind: 'decl_tag', name: 't', type: 1 }], /it is said of int/],
  [[INT, struct(4, ['a', 1, 0]), { kind: 'decl_tag', name: 't', type: 2, component: 1 }], /component 1 of struct 's'/],
  [[INT, { kind: 'type_tag', name: '', type: 1 }], /needs a name/],
]

describe('BTF that is built', () => {
  it('is read as it was told, of every kind', () => {
    const builder = everyKind()
    const btf = Btf.parse(builder.bytes())
    expect(new Set([...btf.types()].map(({ kind }) => kind))).to.have.property('size', 19)
    expect(btf.size).to.equal(builder.size)
    // What was read, added again in its order, is the same BTF.
    const again = new BtfBuilder()
    const struct = btf.find('list', 'struct')
    for (const type of btf.types()) {
      if (type.id === struct?.id) again.reserve()
      else if (type.kind !== 'void' && type.kind !== 'unknown') expect(again.add(type)).to.equal(type.id)
    }
    if (struct !== undefined) again.define(struct.id, struct)
    expect(Array.from(Btf.parse(again.bytes()).types(), printed)).to.deep.equal(Array.from(btf.types(), printed))
  })

  it('is what bpftool reads', function () {
    requireBpftool(this)
    const bytes = everyKind().bytes()
    withFolder((folder) => {
      const path = join(folder, 'every-kind.btf')
      writeFileSync(path, bytes)
      expect(firstDifference(Btf.parse(bytes).types(), dumped(path))).to.equal(undefined)
    })
  })

  it('is loaded, and read back from the kernel by bpftool', function () {
    requireRoot(this)
    // The newest of its kinds.
    requireFeature(this, 'btf', 'enum64')
    requireBpftool(this)
    const bytes = everyKind().bytes()
    const { fd, errno } = tryBtfLoad({ btf: bytes })
    expect(errno).to.equal(0)
    try {
      const id = /^btf_id:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1]
      const { stdout } = spawnSync('bpftool', ['-j', 'btf', 'dump', 'id', `${id}`], { encoding: 'utf8' })
      expect(JSON.parse(stdout).types).to.have.length(Btf.parse(bytes).size)
    } finally {
      closeFd(fd)
    }
  })

  it('has what is alike once, but for variables', () => {
    const builder = new BtfBuilder()
    const int = builder.add(INT)
    expect(builder.add({ kind: 'int', name: 'int', size: 4, encoding: 'unsigned', bits: 32, bitOffset: 0 })).to.equal(
      int,
    )
    expect(builder.add({ kind: 'int', name: 'int', size: 4, encoding: 'signed' })).to.equal(int + 1)
    expect(builder.string('int')).to.equal(1)
    expect(builder.string('')).to.equal(0)
    expect(builder.add({ kind: 'var', name: 'v', type: int })).to.equal(int + 2)
    expect(builder.add({ kind: 'var', name: 'v', type: int })).to.equal(int + 3)
    expect(Buffer.from(builder.bytes()).toString('latin1').split('int\0')).to.have.length(2)
  })

  for (const [types, message] of WRONG) {
    it(`refuses what the kernel refuses: ${message.source}`, function () {
      const build = () => {
        const builder = new BtfBuilder()
        for (const type of types) builder.add(type)
        builder.bytes()
      }
      expect(build).to.throw(RangeError, message)
      requireRoot(this)
      expect(loads(unchecked(types.slice(0, -1).concat(types.length === 1 ? [INT] : [])))).to.equal(true)
      expect(loads(unchecked(types))).to.equal(false)
    })
  }

  it('refuses types that are in themselves, and nests as deep as the kernel', function () {
    const builder = new BtfBuilder()
    const own = builder.reserve()
    expect(() => builder.bytes()).to.throw(RangeError, /type 1 was reserved, and never defined/)
    builder.define(own, struct(8, ['self', own, 0]))
    expect(() => builder.bytes()).to.throw(RangeError, /struct 's': it is in itself/)
    expect(() => builder.define(own, INT)).to.throw(RangeError, /type 1 is struct 's' already/)
    expect(() => builder.define(5, INT)).to.throw(RangeError, /5 is no id/)
    const nested = (levels: number) => {
      const deep = new BtfBuilder()
      let type = deep.add(INT)
      for (let i = 1; i < levels; i++)
        type = deep.add({ ...struct(4, ['a', type, 0]), name: `s${i}` } as BtfDescription)
      return deep
    }
    expect(() => nested(33).bytes()).to.throw(RangeError, /more than 32 types in one another/)
    requireRoot(this)
    expect(loads(nested(32).bytes())).to.equal(true)
  })

  it('refuses what is none', () => {
    const builder = new BtfBuilder()
    expect(() => builder.bytes()).to.throw(RangeError, /without types/)
    expect(() => builder.add({ kind: 'class' } as never)).to.throw(TypeError, /'class' is no kind of type/)
    expect(() => builder.add(null as never)).to.throw(TypeError)
    expect(() => builder.add({ kind: 'int', name: 5, size: 4 } as never)).to.throw(TypeError, /name is a string/)
    expect(() => builder.string('a\0b')).to.throw(RangeError, /NUL/)
  })
})
