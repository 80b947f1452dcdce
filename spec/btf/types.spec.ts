import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { Btf, BtfError, type BtfType } from '../../lib/btf'
import * as format from '../../lib/btf/format'
import { dumped, firstDifference, requireBpftool } from './bpftool'
import { compile, requireClang, sectionOf } from './compile'
import { withFolder } from './folder'
import { everyKind, Image } from './image'

/** Of everyKind, by id. */
const EVERY_KIND: readonly BtfType[] = [
  { id: 1, kind: 'int', name: 'int', size: 4, encoding: 'signed', bitOffset: 0, bits: 32 },
  { id: 2, kind: 'int', name: 'long unsigned int', size: 8, encoding: 'unsigned', bitOffset: 0, bits: 64 },
  { id: 3, kind: 'int', name: 'char', size: 1, encoding: 'char', bitOffset: 0, bits: 8 },
  { id: 4, kind: 'int', name: '_Bool', size: 1, encoding: 'bool', bitOffset: 0, bits: 8 },
  { id: 5, kind: 'int', name: 'old_bits', size: 8, encoding: 'unsigned', bitOffset: 40, bits: 5 },
  { id: 6, kind: 'ptr', name: '', type: 7 },
  {
    ...{ id: 7, kind: 'struct', name: 'node', size: 24 },
    members: [
      { name: 'next', type: 6, bitOffset: 0, bitfieldSize: 0 },
      { name: '', type: 8, bitOffset: 64, bitfieldSize: 0 },
      { name: 'bits', type: 1, bitOffset: 128, bitfieldSize: 3 },
      { name: 'rest', type: 1, bitOffset: 131, bitfieldSize: 29 },
    ],
  },
  {
    ...{ id: 8, kind: 'union', name: '', size: 8 },
    members: [
      { name: 'value', type: 2, bitOffset: 0, bitfieldSize: 0 },
      { name: 'text', type: 10, bitOffset: 0, bitfieldSize: 0 },
    ],
  },
  { id: 9, kind: 'typedef', name: 'node_t', type: 7 },
  { id: 10, kind: 'array', name: '', type: 3, indexType: 1, length: 8 },
  {
    ...{ id: 11, kind: 'enum', name: 'small', size: 4, signed: true },
    values: [
      { name: 'LOW', value: -1 },
      { name: 'HIGH', value: 7 },
    ],
  },
  { id: 12, kind: 'enum', name: 'flags', size: 4, signed: false, values: [{ name: 'ALL', value: 0xffff_ffff }] },
  { id: 13, kind: 'fwd', name: 'hidden', of: 'struct' },
  { id: 14, kind: 'fwd', name: 'hidden_union', of: 'union' },
  { id: 15, kind: 'volatile', name: '', type: 1 },
  { id: 16, kind: 'const', name: '', type: 15 },
  { id: 17, kind: 'restrict', name: '', type: 6 },
  { id: 18, kind: 'func_proto', name: '', returns: 1, params: [{ name: 'fmt', type: 17 }], variadic: true },
  { id: 19, kind: 'func', name: 'print', type: 18, linkage: 'global' },
  { id: 20, kind: 'func_proto', name: '', returns: 0, params: [], variadic: false },
  { id: 21, kind: 'func', name: 'outside', type: 20, linkage: 'global' },
  { id: 22, kind: 'var', name: 'counter', type: 2, linkage: 'global' },
  { id: 23, kind: 'datasec', name: '.bss', size: 8, vars: [{ type: 22, offset: 0, size: 8 }] },
  { id: 24, kind: 'float', name: 'double', size: 8 },
  { id: 25, kind: 'decl_tag', name: 'kfunc', type: 19, component: -1, attribute: false },
  { id: 26, kind: 'decl_tag', name: 'first', type: 7, component: 0, attribute: true },
  { id: 27, kind: 'type_tag', name: 'rcu', type: 7, attribute: false },
  { id: 28, kind: 'ptr', name: '', type: 27 },
  {
    ...{ id: 29, kind: 'enum64', name: 'wide', size: 8, signed: false },
    values: [
      { name: 'BIG', value: 0x7fff_ffff_ffff_fffen },
      { name: 'ONE', value: 1n },
    ],
  },
  { id: 30, kind: 'enum64', name: 'wide_signed', size: 8, signed: true, values: [{ name: 'MINUS', value: -5n }] },
]

const PROGRAM = `
typedef unsigned char u8;
typedef _Bool bool_t;
enum colour { RED = -1, GREEN = 5 };
union either { int a; char text[12]; };
struct hidden;
struct node {
  struct node *next;
  struct hidden *unseen;
  int a : 3, b : 20;
  unsigned c : 12;
  union either either;
  u8 bytes[4][2];
  struct { volatile const char *restrict name; bool_t yes; } inner;
  double d;
  enum colour colour;
} __attribute__((btf_decl_tag("listed")));
#define __tagged __attribute__((btf_type_tag("user")))
extern int outside(struct node *node, ...) __attribute__((section(".ksyms")));
extern const int CONFIG_HZ __attribute__((section(".kconfig")));
static volatile int hidden_count;
struct node head;
int __tagged *tagged;
const char _license[] __attribute__((section("license"))) = "GPL";
static __attribute__((noinline)) int helper(struct node *node) { hidden_count++; return node->a + CONFIG_HZ; }
__attribute__((section("socket"))) int entry(void *ctx) { return helper(&head) + outside(&head, 1); }
`

describe('a type of BTF', function () {
  this.timeout(300_000)

  for (const littleEndian of [true, false]) {
    const bytes = everyKind({ littleEndian }).bytes()

    it(`is read, of every kind, ${littleEndian ? 'little' : 'big'}-endian`, () => {
      const btf = Btf.parse(bytes)
      expect(btf.byteOrder).to.equal(littleEndian ? 'little' : 'big')
      expect(btf.size).to.equal(EVERY_KIND.length)
      expect([...btf.types()]).to.deep.equal(EVERY_KIND)
      const kinds = new Set(EVERY_KIND.map(({ kind }) => kind))
      expect([...kinds].sort()).to.deep.equal(format.KIND_NAMES.slice(1).sort())
      for (const type of EVERY_KIND) {
        expect([btf.kindOf(type.id), btf.nameOf(type.id)]).to.deep.equal([type.kind, type.name])
        if (type.name !== '') expect(btf.find(type.name, type.kind as 'int'), type.name).to.deep.equal(type)
      }
      for (const kind of kinds) {
        expect([...btf.types(kind as 'int')]).to.deep.equal(EVERY_KIND.filter((type) => type.kind === kind))
      }
    })
  }

  it('is what bpftool finds', function () {
    requireBpftool(this)
    withFolder((folder) => {
      const path = join(folder, 'every.btf')
      writeFileSync(path, everyKind().bytes())
      expect(firstDifference(EVERY_KIND, dumped(path))).to.equal(undefined)
    })
  })

  it('is void with id 0, which has no other', () => {
    const btf = Btf.parse(everyKind().bytes())
    expect(btf.type(0)).to.deep.equal({ id: 0, kind: 'void', name: 'void' })
    expect([btf.kindOf(0), btf.nameOf(0), btf.resolve(0)]).to.deep.equal(['void', 'void', btf.type(0)])
    expect(btf.find('void')).to.equal(undefined)
  })

  it('is resolved to what is behind its name and qualifiers', () => {
    const btf = Btf.parse(everyKind().bytes())
    const behind = [
      [1, 1],
      [9, 7],
      [15, 1],
      [16, 1],
      [17, 6],
      [27, 7],
      [28, 28],
      [22, 22],
      [25, 25],
    ] as const
    for (const [id, to] of behind) expect(btf.resolve(id), `type ${id}`).to.deep.equal(EVERY_KIND[to - 1])
  })

  for (const target of ['bpfel', 'bpfeb'] as const) {
    it(`is what bpftool finds in what clang writes for ${target}`, function () {
      requireClang(this)
      withFolder((folder) => {
        const object = compile(PROGRAM, folder, target)
        const section = sectionOf(object, '.BTF')
        const btf = Btf.parse(section, { name: 'program.o' })
        expect(btf.byteOrder).to.equal(target === 'bpfeb' ? 'big' : 'little')
        const node = btf.require('node', 'struct')
        const fields = node.members.map(({ name, bitOffset, bitfieldSize }) => [name, bitOffset, bitfieldSize])
        expect(fields.slice(0, 5)).to.deep.equal([
          ['next', 0, 0],
          ['unseen', 64, 0],
          ['a', 128, 3],
          ['b', 131, 20],
          ['c', 160, 12],
        ])
        expect(btf.require('colour', 'enum').values.map(({ name }) => name)).to.deep.equal(['RED', 'GREEN'])
        expect(btf.require('helper', 'func').linkage).to.equal('static')
        expect(btf.require('entry', 'func').linkage).to.equal('global')
        expect(btf.require('outside', 'func').linkage).to.equal('extern')
        expect(btf.require('CONFIG_HZ', 'var').linkage).to.equal('extern')
        expect(btf.require('head', 'var').linkage).to.equal('global')
        expect(btf.require('hidden_count', 'var').linkage).to.equal('static')
        const proto = btf.type(btf.require('outside', 'func').type)
        expect(proto.kind === 'func_proto' && [proto.params.length, proto.variadic]).to.deep.equal([1, true])
        requireBpftool(this)
        // Without the ELF file around it: bpftool wants that of its own byte order.
        const path = join(folder, 'program.btf')
        writeFileSync(path, section)
        expect(firstDifference(btf.types(), dumped(path))).to.equal(undefined)
      })
    })
  }

  it('has a name in UTF-8', () => {
    const image = new Image()
    const name = Buffer.from('größe', 'utf8').toString('latin1')
    image.typedef(name, image.int('int', 4))
    const btf = Btf.parse(image.bytes())
    expect(btf.type(2).name).to.equal('größe')
    expect(btf.find('größe')?.id).to.equal(2)
    expect(btf.findAll('größe').length + btf.findAll('große').length).to.equal(1)
  })

  it('may have a name that is the end of another, which is found', () => {
    const image = new Image()
    const at = image.name('unsigned_int')
    image.int('unsigned_int', 4)
    image.add(format.INT, at + 'unsigned_'.length, 4, [32])
    image.add(format.INT, at + 'unsigned_int'.length, 4, [32])
    for (let i = 0; i < 5; i++) {
      const btf = Btf.parse(image.bytes())
      for (let asked = 0; asked < i; asked++) btf.find('anything')
      expect(btf.findAll('int').map(({ id }) => id)).to.deep.equal([2])
      expect(btf.nameOf(3)).to.equal('')
    }
  })

  it('may share its name with others, which are found in the order of their ids', () => {
    const image = new Image()
    const ids = [1, 2, 3, 4].map(() => image.typedef('same', image.int('int', 4)))
    const struct = image.struct('same', 0, [])
    const btf = Btf.parse(image.bytes())
    // Through all types first, then by the index.
    for (let i = 0; i < 6; i++) {
      expect(btf.findAll('same').map(({ id }) => id)).to.deep.equal([...ids, struct])
      expect(btf.findAll('same', 'typedef').map(({ id }) => id)).to.deep.equal(ids)
      expect([btf.find('same')?.id, btf.find('same', 'struct')?.id]).to.deep.equal([ids[0], struct])
    }
  })

  it('may be of a kind that is not known, where the BTF says how long it is', () => {
    const image = new Image({ layouts: Array.from({ length: 41 }, (_, kind) => (kind === 40 ? [8, 4] : [0, 0])) })
    const int = image.int('int', 4)
    image.add(40, 'novelty', 7, [1, 2, 3, 4, 5], 3)
    image.add(40, '', 7, [1, 2])
    image.typedef('after', int)
    const btf = Btf.parse(image.bytes())
    expect([...btf.types()].slice(1)).to.deep.equal([
      { id: 2, kind: 'unknown', name: 'novelty', number: 40 },
      { id: 3, kind: 'unknown', name: '', number: 40 },
      { id: 4, kind: 'typedef', name: 'after', type: 1 },
    ])
    expect([btf.kindOf(2), btf.find('novelty')?.id]).to.deep.equal(['unknown', 2])
    expect(() => btf.sizeOf(2)).to.throw(BtfError, 'type 2, kind 40 novelty, has no size')
    // Split BTF need not say it again.
    const split = new Image({ base: { types: image.typeCount, stringBytes: image.stringBytes } })
    split.add(40, 'more', 7, [1, 2])
    expect(Btf.parse(split.bytes(), { base: btf }).type(5)).to.include({ kind: 'unknown', name: 'more' })
  })

  it('has members further away than bit fields can be', () => {
    const image = new Image()
    const int = image.int('int', 4)
    image.struct('far', 0x1000_0004, [['last', int, 0x8000_0000]])
    image.add(format.FUNC_PROTO, '', int, [image.name('odd'), 0], 1)
    const btf = Btf.parse(image.bytes())
    const last = { name: 'last', type: int, bitOffset: 0x8000_0000, bitfieldSize: 0 }
    expect(btf.require('far', 'struct').members).to.deep.equal([last])
    // Only what has no name either stands for `...`.
    expect(btf.type(3))
      .to.include({ variadic: false })
      .with.deep.property('params', [{ name: 'odd', type: 0 }])
  })

  it('may have more members than 16 bits count', () => {
    const image = new Image()
    const int = image.int('int', 4)
    image.struct(
      'many',
      4,
      Array.from({ length: 70_000 }, () => ['', int, 0] as const),
      { union: true },
    )
    image.typedef('after', int)
    const btf = Btf.parse(image.bytes())
    expect(btf.require('many', 'union').members.length).to.equal(70_000)
    expect(btf.require('after').id).to.equal(3)
  })
})
