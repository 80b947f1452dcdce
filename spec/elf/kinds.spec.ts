import { constants } from 'node:os'
import { expect } from 'chai'
import { BpfObject, Btf, type BtfType, features, type HashMap } from '../../lib'
import { readContents } from '../../lib/elf/contents'
import { kernelBtf } from '../../lib/elf/kernel-btf'
import { readObjectFile } from '../../lib/elf/object-file'
import type { BtfKindName } from '../../lib/features'
import { btfInfo, btfLoad, closeFd } from '../../syscalls'
import { LE } from '../../syscalls/attr-common'
import { BPF_BTF_LOAD } from '../../syscalls/uapi-cmd'
import { type Recording, recorded, type Sent } from '../support/recording-abi'
import { bytesOf, needsKernel, PACKET } from './kit'

/** Of struct btf_type: BTF_KIND_ENUM64; the bit that says that an enum has a sign, or that a tag is of any attribute. */
const ENUM64 = 19
const KIND_FLAG = 0x8000_0000

/** The fixture with what its compiler could not yet make: an enum of 64 bits, one with a sign, tags of attributes. */
function newest(): Uint8Array<ArrayBuffer> {
  const bytes = bytesOf('kinds')
  const file = readObjectFile(bytes, 'kinds')
  const { btf } = readContents(file)
  const section = file.section('.BTF')
  if (btf === undefined || section === undefined) throw new Error('the fixture has no BTF')
  const view = new DataView(bytes.buffer, section.offset, section.size)
  const infoOf = ({ id }: BtfType) => (btf.places[id - 1] as number) + 4
  const flag = (type: BtfType) => view.setUint32(infoOf(type), view.getUint32(infoOf(type), true) | KIND_FLAG, true)
  view.setUint32(infoOf(btf.require('stands_for_enum64', 'struct')), (ENUM64 << 24) | 1, true)
  flag(btf.require('sign', 'enum'))
  for (const tag of btf.types('decl_tag')) flag(tag)
  return bytes
}

/** What each kind is put in the words of, and the kind that the kernel is asked for. */
const OLDER: Readonly<Record<string, readonly [kind: string, asked: BtfKindName]>> = {
  float: ['struct', 'float'],
  decl_tag: ['int', 'attribute_tag'],
  type_tag: ['const', 'type_tag'],
  enum64: ['union', 'enum64'],
}

const sizeOf = (btf: Btf, type: BtfType): number | undefined => ('size' in type ? btf.sizeOf(type.id) : undefined)

/** Each type of the object is in the kernel's copy, by its own id: the same, or what stands for it on older kernels. */
function checkTypes(object: Btf, copy: Btf, takes: (kind: BtfKindName) => boolean): void {
  expect(copy.size).to.equal(object.size)
  for (const mine of object.types()) {
    const its = copy.type(mine.id)
    const [older, asked] = OLDER[mine.kind] ?? []
    const replaced = asked !== undefined && !takes(asked)
    expect(its.kind, `type ${mine.id}`).to.equal(replaced ? older : mine.kind)
    if (mine.kind === 'float' || mine.kind === 'enum64' || mine.kind === 'struct')
      expect(sizeOf(copy, its), `type ${mine.id}`).to.equal(sizeOf(object, mine))
    if (mine.kind === 'struct') expect(its).to.deep.equal(mine)
    if (mine.kind === 'type_tag') expect((its as typeof mine).type).to.equal(mine.type)
    if (mine.kind === 'enum') expect((its as typeof mine).signed).to.equal(mine.signed && takes('enum64'))
  }
}

describe('types of an object in the kernel', function () {
  this.timeout(300_000)

  beforeEach(function () {
    needsKernel(this)
  })

  const objectBtf = () => readContents(readObjectFile(newest(), 'kinds')).btf as Btf

  it('are those that it knows, and what stands for the others', () => {
    using app = BpfObject.open(newest(), { name: 'kinds' }).load()
    expect(app.programs.sum?.run({ data: PACKET }).retval).to.equal(7 + 3 + 2)
    const { readings } = app.maps
    const copy = Btf.fromId(readings?.info().btfId as number)
    checkTypes(objectBtf(), copy, (kind) => features.btf(kind) !== false)
    // Here they are read by the object's own.
    const [[key, value] = []] = [...(readings as HashMap<number, { plain: number; exact: number; sign: unknown }>)]
    expect(key).to.equal(1)
    expect(value).to.include({ plain: 7, exact: 0, sign: 'MINUS' })
    const program = app.programs.sum?.info()
    expect(program?.btfId).to.equal(readings?.info().btfId)
  })

  it('are put in older words where the kernel has refused them', () => {
    // A kernel that refuses floats, whoever asks: struct bpf_attr has the address, that of a log, and the size.
    const refusing = ({ command, attr }: Sent, recording: Recording) => {
      if (command !== BPF_BTF_LOAD || attr === undefined) return undefined
      const view = new DataView(attr.buffer, attr.byteOffset)
      const bytes = recording.bytesAt(Number(view.getBigUint64(0, LE)), view.getUint32(16, LE))
      return Btf.parse(bytes.slice()).types('float').next().done === true ? undefined : -constants.errno.EINVAL
    }
    recorded((recording) => {
      using app = BpfObject.open(newest(), { name: 'kinds' }).load()
      expect(app.programs.sum?.run({ data: PACKET }).retval).to.equal(7 + 3 + 2)
      const copy = Btf.fromId(app.maps.readings?.info().btfId as number)
      expect([...copy.types('float')]).to.deep.equal([])
      checkTypes(objectBtf(), copy, (kind) => features.btf(kind) !== false)
      const refused = recording.bpf(BPF_BTF_LOAD).filter(({ result }) => result === -constants.errno.EINVAL)
      expect(refused.length).to.be.above(1)
    }, refusing)
  })

  it('are taken by any kernel in the words of the oldest', () => {
    const file = readObjectFile(newest(), 'kinds')
    const object = objectBtf()
    // What kernels from before Linux 5.10 lack is not tried: there they are not loaded.
    const takes = (kind: BtfKindName) => ['datasec', 'func', 'func_global'].includes(kind)
    const fd = btfLoad({ btf: kernelBtf(file, object, takes) })
    try {
      const copy = Btf.fromId(btfInfo(fd).id)
      checkTypes(object, copy, takes)
      expect(copy.find('.data.odd_name', 'datasec')?.size).to.equal(4)
      expect([...copy.types('float'), ...copy.types('type_tag'), ...copy.types('enum64')]).to.deep.equal([])
    } finally {
      closeFd(fd)
    }
  })

  it('have functions without linkage where the kernel knows none', () => {
    const file = readObjectFile(newest(), 'kinds')
    const fd = btfLoad({ btf: kernelBtf(file, objectBtf(), () => false) })
    try {
      const copy = Btf.fromId(btfInfo(fd).id)
      expect(copy.require('add', 'func').linkage).to.equal('static')
    } finally {
      closeFd(fd)
    }
  })
})
