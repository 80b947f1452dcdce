import { join } from 'node:path'
import { expect } from 'chai'
import { Btf, BtfError } from '../../lib/btf'
import { toC } from '../../lib/btf/print'
import { identifier, UniqueNames } from '../../lib/btf/print/identifiers'
import { errorOf } from '../support/error'
import { compile, requireClang, sectionOf } from './compile'
import { withFolder } from './folder'
import { Image } from './image'
import { Comparison } from './print-same'

const OBJECT = join(__dirname, 'fixtures', 'print.bpf.o')

function fixture(): Btf {
  return Btf.parse(sectionOf(OBJECT, '.BTF'), { name: 'print.bpf.o' })
}

/** Types of fixtures/print.bpf.c as they are to be printed. */
const GOLDEN: Readonly<Record<string, string>> = {
  stats: `struct stats {
	__u64 packets;
	__u64 bytes;
};
`,
  color: `enum color {
	RED = 0,
	GREEN = 5,
	BLUE = 4294967295,
};
`,
  tiny: `enum tiny {
	NONE = 0,
	SOME = 1,
} __attribute__((mode(QI)));
`,
  wire: `struct wire {
	__u8 kind;
	__u32 length;
	__u16 port: 3;
	__u16 flags: 13;
} __attribute__((packed));
`,
  padded: `struct padded {
	__u8 a;
	long: 56;
	long: 64;
	__u32 b;
	__u8 c;
	int: 24;
	long: 64;
};
`,
  bits: `struct bits {
	__u32 a: 3;
	int b: 5;
	int: 24;
	bool c: 1;
	enum color d: 4;
	__u64 wide: 40;
};
`,
  either: `union either {
	__u32 number;
	__u8 bytes[4];
	struct {
		__u16 low;
		__u16 high;
	};
};
`,
  roomy: `union roomy {
	char c;
} __attribute__((aligned(32)));
`,
  atomic_t: `typedef struct {
	int counter;
} atomic_t;
`,
  handler_t: `typedef int (*handler_t)(struct elsewhere *, const char *, ...);
`,
  names_t: `typedef const char *const names_t[3];
`,
  node: `struct node {
	struct node *next;
	const struct stats *const stats;
	volatile atomic_t users;
	handler_t handlers[2];
	int (*(*nested)(int (*)(void), struct later *))[4];
	char grid[2][3][16];
	const char *volatile text;
	void *restrict hidden;
	names_t *names;
};
`,
  later: `struct later {
	struct node node;
	enum {
		INNER = 0,
		OUTER = 1,
	} where;
	struct {
		union {
			__u64 id;
			__u8 raw[8];
		};
		union either either[2];
	} named;
	bool yes;
	enum tiny tiny;
	__u16 rest[];
};
`,
  plain: `struct plain {
	struct stats stats[2];
	char name[16];
	__u8 mac[6];
	bool up;
	enum tiny tiny;
	enum color color;
	int list[2][3];
	void *cookie;
	double ratio;
};
`,
}

describe('types as C', () => {
  for (const [name, text] of Object.entries(GOLDEN)) {
    it(`${name} is printed as it was written`, () => {
      expect(fixture().toC(name)).to.equal(text)
      const { id } = [...fixture().types()].find((type) => type.name === name) ?? { id: 0 }
      expect(fixture().toC(id)).to.equal(text)
    })
  }

  it('come in an order that compiles, and are then what they were', function () {
    requireClang(this)
    const btf = fixture()
    const used = [...btf.types('var')].filter(({ name }) => name.startsWith('use_'))
    expect(used.length).to.equal(7)
    for (const { name, type } of used) {
      const own = btf.type(type)
      const keyword = own.kind === 'union' ? 'union' : 'struct'
      const source = `${btf.toC(own.name, { deep: true })}\n${keyword} ${own.name} ${name};\n`
      const compiled = withFolder((folder) => Btf.parse(sectionOf(compile(source, folder), '.BTF')))
      const comparison = new Comparison(btf, compiled)
      comparison.add(type, compiled.require(name, 'var').type, name)
      expect(comparison.differences).to.deep.equal([])
    }
  })

  it('of one name have ___2 behind the second, in types and constants alike', function () {
    requireClang(this)
    const source = `
      int f(void) { static struct same { int a; enum { ONE } e; } s; return s.a++; }
      int g(void) { static struct same { char b; enum { ONE } e; } s; return s.b++; }`
    const text = withFolder((folder) => {
      const btf = Btf.parse(sectionOf(compile(source, folder), '.BTF'), { name: 'two' })
      expect(btf.findAll('same', 'struct')).to.have.length(2)
      compile(btf.toC(), folder)
      return btf.toC()
    })
    for (const once of ['struct same {', 'struct same___2 {', '\tONE = 0', '\tONE___2 = 0']) {
      expect(text.split(once)).to.have.length(2)
    }
  })

  it('of split BTF come with what they need of its base', function () {
    requireClang(this)
    const base = fixture()
    const stringBytes = Buffer.from(base.bytes).readUInt32LE(20)
    const split = new Image({ littleEndian: true, base: { types: base.size, stringBytes } })
    const stats = base.require('stats', 'struct').id
    const id = split.struct('own', 16, [['of_base', stats, 0]])
    const btf = Btf.parse(split.bytes(), { base, name: 'my-module' })
    const source = `${btf.toC()}struct own use_own;\n`
    expect(source)
      .to.match(/^#ifndef __MY_MODULE_H__$/m)
      .and.not.match(/struct node|union either/)
    const compiled = withFolder((folder) => Btf.parse(sectionOf(compile(source, folder), '.BTF')))
    const comparison = new Comparison(btf, compiled)
    comparison.add(id, compiled.require('use_own', 'var').type, 'own')
    expect(comparison.differences).to.deep.equal([])
  })

  it('have names that C can have', () => {
    expect(['Option<u32>', 'int', '3com', 'asm', 'bool', 'plain'].map(identifier)).to.deep.equal([
      'Option_u32_',
      'int_',
      '_3com',
      'asm_',
      'bool',
      'plain',
    ])
    const names = new UniqueNames()
    expect(['a', 'a___2', 'a', 'a', 'a___2'].map((name) => names.take(name))).to.deep.equal([
      'a',
      'a___2',
      'a___3',
      'a___4',
      'a___2___2',
    ])
  })

  it('are told by a name or an id that there is', () => {
    const btf = fixture()
    const error = errorOf(() => btf.toC('nod'))
    expect(error).to.be.instanceOf(BtfError).with.property('code', 'ENOENT')
    expect(error.message).to.contain("did you mean 'node'")
    expect(() => btf.toC(100_000)).to.throw(RangeError)
    expect(() => btf.toC(null as never)).to.throw(TypeError, 'by its name or its id, not by null')
    expect(() => toC(btf, 'node', { deep: 1 as never })).to.throw(TypeError, 'deep must be true or false')
    expect(() => toC(btf, 'node', { depe: true } as never)).to.throw(TypeError, "did you mean 'deep'?")
  })
})
