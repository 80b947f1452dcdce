import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { Btf, BtfError, type BtfExt, parseBtfExt } from '../../lib/btf'
import { errorOf } from '../support/error'
import { assemblyOf, compile, requireClang, sectionOf } from './compile'
import { withFolder } from './folder'
import { Image } from './image'

const PROGRAM = `
#define relocated __attribute__((preserve_access_index))
struct inner { int a; long b[4]; } relocated;
struct outer { int x; struct inner in[3]; } relocated;
volatile long counter;
static __attribute__((noinline)) long helper(struct outer *o) {
  return o->in[1].b[2];
}
__attribute__((section("xdp"))) int first(struct outer *o) {
  counter += 0x1234567890abcdefull;
  return helper(o) + o->x;
}
__attribute__((section("tc"))) int second(struct outer *o) {
  if (__builtin_preserve_field_info(o->in[2].a, 2))
    return 1;
  return __builtin_preserve_type_info(*(struct outer *)0, 1);
}
`

describe('.BTF.ext', function () {
  this.timeout(300_000)

  for (const target of ['bpfel', 'bpfeb'] as const) {
    it(`says what clang has written to it for ${target}`, function () {
      requireClang(this)
      withFolder((folder) => {
        const object = compile(PROGRAM, folder, target)
        const btf = Btf.parse(sectionOf(object, '.BTF'))
        const ext = parseBtfExt(sectionOf(object, '.BTF.ext'), btf)
        expect(ext).to.deep.equal(fromAssembly(readFileSync(assemblyOf(folder, target), 'utf8'), btf))
        const functions = ext.functions.map(({ section, records }) => [
          section,
          ...records.map(({ type }) => btf.nameOf(type)),
        ])
        expect(functions).to.have.deep.members([
          ['.text', 'helper'],
          ['xdp', 'first'],
          ['tc', 'second'],
        ])
        const accesses = ext.relocations.flatMap(({ records }) =>
          records.map(({ type, access, kind }) => `${btf.nameOf(type)} ${access} ${kind}`),
        )
        expect(accesses).to.have.members(['outer 0:1:1:1:2 0', 'outer 0:0 0', 'outer 0:1:2:0 2', 'outer 0 9'])
        const lines = ext.lines.flatMap(({ records }) => records.map(({ text }) => btf.string(text).trim()))
        expect(lines).to.include('return o->in[1].b[2];')
        const files = ext.lines.flatMap(({ records }) => records.map(({ fileName }) => btf.string(fileName)))
        expect([...new Set(files)])
          .to.have.length(1)
          .and.to.satisfy(([file]: string[]) => file?.endsWith('program.c'))
      })
    })
  }

  const image = new Image()
  const [int, xdp, access] = [image.int('int', 4), image.name('xdp'), image.name('0:1')]
  const btf = Btf.parse(image.bytes(), { name: 'x.btf' })

  /** The parts of .BTF.ext as 32-bit words: functions, lines, relocations. */
  function extOf(parts: readonly (readonly number[])[], headerBytes = 8 + 8 * parts.length): Buffer {
    const header = [headerBytes]
    let at = 0
    for (const { length } of parts) {
      header.push(at, length * 4)
      at += length * 4
    }
    while (header.length < headerBytes / 4 - 1) header.push(0xa5a5_a5a5)
    const words = [...header.slice(0, headerBytes / 4 - 1), ...parts.flat()]
    const bytes = Buffer.alloc(4 + words.length * 4)
    bytes.writeUInt32LE(0x0001_eb9f)
    for (const [i, word] of words.entries()) bytes.writeUInt32LE(word >>> 0, 4 + i * 4)
    return bytes
  }

  const FUNCTIONS = [8, xdp, 2, 0, int, 16, int]
  const LINES = [16, xdp, 1, 8, access, xdp, (7 << 10) | 3]
  const RELOCATIONS = [16, xdp, 1, 24, int, access, 5]
  const PARSED: BtfExt = {
    functions: [
      {
        section: 'xdp',
        records: [
          { offset: 0, type: int },
          { offset: 16, type: int },
        ],
      },
    ],
    lines: [{ section: 'xdp', records: [{ offset: 8, fileName: access, text: xdp, line: 7, column: 3 }] }],
    relocations: [{ section: 'xdp', records: [{ offset: 24, type: int, access: '0:1', kind: 5 }] }],
  }

  it('may have longer records, and a longer header: what is new is passed over', () => {
    expect(parseBtfExt(extOf([FUNCTIONS, LINES, RELOCATIONS]), btf)).to.deep.equal(PARSED)
    const longer = extOf(
      [
        [12, xdp, 2, 0, int, 99, 16, int, 99],
        [20, xdp, 1, 8, access, xdp, (7 << 10) | 3, 99],
        [24, xdp, 1, 24, int, access, 5, 99, 99],
        [8, 99, 99],
      ],
      48,
    )
    expect(parseBtfExt(longer, btf)).to.deep.equal(PARSED)
  })

  it('of old compilers has no relocations, and any part may be empty', () => {
    expect(parseBtfExt(extOf([FUNCTIONS, LINES]), btf)).to.deep.equal({ ...PARSED, relocations: [] })
    expect(parseBtfExt(extOf([[], LINES, []]), btf)).to.deep.equal({ ...PARSED, functions: [], relocations: [] })
    const none = [8, xdp, 0]
    expect(parseBtfExt(extOf([none, [], []]), btf).functions).to.deep.equal([{ section: 'xdp', records: [] }])
  })

  it('says where it cannot be', () => {
    const first = 32
    const cases: [Buffer, number | undefined, string][] = [
      [Buffer.alloc(4), undefined, '4 bytes are not even the start of a header'],
      [extOf([[], []], 20), 4, 'a header of 20 bytes; it has at least 24'],
      [
        extOf([[8, xdp, 0xffff_ffff, 0, int], [], []]),
        first + 8,
        '4294967295 records of 8 bytes, and there are 8 bytes left',
      ],
      [extOf([[4, xdp, 1, 0], [], []]), first, 'records of 4 bytes; they have at least 8'],
      [
        extOf([[0xffff_fff0, xdp, 1, 0], [], []]),
        first + 8,
        '1 records of 4294967280 bytes, and there are 4 bytes left',
      ],
      [extOf([[10, xdp, 1, 0, 0, 0], [], []]), first, 'records of 10 bytes are not aligned to 4'],
      [
        extOf([[12, xdp, 2, 0, int, 9, 8, int], [], []]),
        first + 8,
        '2 records of 12 bytes, and there are 20 bytes left',
      ],
      [extOf([[8, xdp], [], []]), first + 4, 'a section is cut off in its head'],
      [extOf([[8, 0x7fff, 0], [], []]), first + 4, 'a string at 32767, and x.btf has none there'],
      [extOf([[8, xdp, 1, 0, 2], [], []]), first + 16, 'it refers to type 2, and the last one of x.btf is 1'],
      [extOf([[8, xdp, 1, 4, int], [], []]), first + 12, 'an instruction at 4, and each has 8 bytes'],
      [extOf([[], [16, xdp, 1, 0, 0x7fff, 0, 0], []]), first + 16, 'a string at 32767, and x.btf has none there'],
      [extOf([[], [16, xdp, 1, 0, 0, 0x7fff, 0], []]), first + 20, 'a string at 32767, and x.btf has none there'],
      [extOf([[], [], [16, xdp, 1, 0, int, 0x7fff, 0]]), first + 20, 'a string at 32767, and x.btf has none there'],
      [extOf([FUNCTIONS, LINES, RELOCATIONS]).subarray(0, -1), 24, 'relocations go from'],
    ]
    const three = extOf([FUNCTIONS, LINES, RELOCATIONS])
    three.writeUInt32LE(3, 12)
    cases.push([three, first, '3 bytes have no room for the size of a record'])
    for (const [bytes, offset, reason] of cases) {
      const error = errorOf(() => parseBtfExt(bytes, btf, 'x.ext')) as BtfError
      expect(error, reason).to.be.instanceOf(BtfError)
      expect(error.reason).to.contain(reason)
      expect([error.offset, error.what], reason).to.deep.equal([offset, 'x.ext'])
    }
    const whole = extOf([FUNCTIONS, LINES, RELOCATIONS])
    for (let length = 0; length < whole.length; length++) {
      expect(() => parseBtfExt(whole.subarray(0, length), btf), `${length} bytes`).to.throw(BtfError)
    }
    const big = Btf.parse(new Image({ littleEndian: false }).bytes(), { name: 'big.btf' })
    expect(() => parseBtfExt(whole, big)).to.throw(
      BtfError,
      'its byte order is not that of big.btf, which it belongs to',
    )
  })
})

/** The same, from the text that clang would assemble: labels are where so many instructions are before them. */
function fromAssembly(text: string, btf: Btf): BtfExt {
  const labels = new Map<string, number>()
  const ends = new Map<string, number>()
  const words: [word: number | string, comment: string][] = []
  let section = ''
  for (const line of text.split('\n')) {
    const [, label] = /^([\w.$]+):/.exec(line) ?? []
    const [, directive, rest = ''] = /^\t\.(\w+)\t?(.*)/.exec(line) ?? []
    if (label !== undefined) labels.set(label, ends.get(section) ?? 0)
    else if (directive === 'text') section = '.text'
    else if (directive === 'section') section = /^"?([^",]+)/.exec(rest)?.[1] ?? ''
    else if (directive === 'long' && section === '.BTF.ext') {
      const [, word = '', comment = ''] = /^(\S+)(?:\s+# (.*))?/.exec(rest) ?? []
      words.push([/^\d+$/.test(word) ? Number(word) : word, comment])
    } else if (directive === undefined && /^\t[^\s#]/.test(line)) {
      ends.set(section, (ends.get(section) ?? 0) + (/ ll$/.test(line) ? 16 : 8))
    }
  }
  const ext: Record<keyof BtfExt, { section: string; records: unknown[] }[]> = {
    ...{ functions: [], lines: [], relocations: [] },
  }
  const parts = { FuncInfo: 'functions', LineInfo: 'lines', FieldReloc: 'relocations' } as const
  const offset = (word: number | string | undefined) => labels.get(`${word}`) as number
  let part: keyof BtfExt | undefined
  for (let i = 7; i < words.length; ) {
    const [word = 0, comment = ''] = words[i++] ?? []
    if (comment in parts) {
      part = parts[comment as keyof typeof parts]
      continue
    }
    if (part === undefined) continue
    const records: unknown[] = []
    for (let count = Number(words[i++]?.[0]); count > 0; count--) {
      const [at, a, b, c] = words.slice(i, i + 4).map(([word]) => word)
      i += part === 'functions' ? 2 : 4
      const lineColumn = /^Line (\d+) Col (\d+)$/.exec(words[i - 1]?.[1] ?? '')
      if (part === 'functions') records.push({ offset: offset(at), type: a })
      else if (part === 'relocations') {
        records.push({ offset: offset(at), type: a, access: btf.string(Number(b)), kind: c })
      } else {
        const [, line, column] = lineColumn ?? []
        records.push({ offset: offset(at), fileName: a, text: b, line: Number(line), column: Number(column) })
      }
    }
    ext[part].push({ section: btf.string(Number(word)), records })
  }
  return ext as BtfExt
}
