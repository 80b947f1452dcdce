import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { Btf, BtfError, type BtfKind } from '../../lib/btf'
import { KERNEL_BTF } from '../../lib/btf/kernel'
import { errorOf } from '../support/error'
import { pending, requireFeature } from '../support/kernel'
import { dumped, firstDifference, requireBpftool } from './bpftool'

const SYSFS = '/sys/kernel/btf'

describe("the kernel's BTF", function () {
  this.timeout(300_000)

  before(function () {
    requireFeature(this, 'kernelBtf')
  })

  it('has every type that bpftool finds, each the same', function () {
    requireBpftool(this)
    const btf = Btf.kernel()
    const other = dumped(KERNEL_BTF)
    expect(btf.size).to.equal(other.length)
    expect(firstDifference(btf.types(), other)).to.equal(undefined)
    if (this.test !== undefined) this.test.title += ` (${btf.size} types)`
  })

  it('is of this machine', () => {
    const btf = Btf.kernel()
    expect(btf.pointerSize).to.equal(/64|s390x/.test(process.arch) ? 8 : 4)
    expect(btf.byteOrder).to.equal(new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 'little' : 'big')
    expect([btf.name, btf.base, btf.firstId]).to.deep.equal(['vmlinux', undefined, 1])
    expect(Buffer.compare(btf.bytes, readFileSync(KERNEL_BTF))).to.equal(0)
    expect(Btf.kernel()).to.equal(btf)
  })

  it('finds names by going through all types as it does by its index', () => {
    const bytes = readFileSync(KERNEL_BTF)
    const wanted: [string, BtfKind | undefined][] = [
      ['task_struct', 'struct'],
      ['task_struct', undefined],
      ['list_head', undefined],
      ['u64', 'typedef'],
      ['security_socket_create', 'func'],
      ['bpf_map_type', 'enum'],
      ['no_such_name', undefined],
      ['task_struct', 'func'],
      ['', undefined],
      ['task_struct\0', undefined],
    ]
    const indexed = Btf.parse(bytes)
    for (let i = 0; i < 10; i++) indexed.find('list_head')
    for (const [name, kind] of wanted) {
      const ids = byName(indexed, name, kind)
      // One that has been asked for nothing yet.
      const fresh = Btf.parse(bytes)
      expect(fresh.findAll(name, kind), `${kind} ${name}`).to.deep.equal(ids.map((id) => fresh.type(id)))
      expect(indexed.findAll(name, kind), `${kind} ${name}, by the index`).to.deep.equal(
        ids.map((id) => fresh.type(id)),
      )
      expect(indexed.find(name, kind)).to.deep.equal(ids[0] === undefined ? undefined : fresh.type(ids[0]))
    }
  })

  it('finds all names that it has', () => {
    const btf = Btf.kernel()
    const lost: string[] = []
    for (let id = 1; id <= btf.size; id += 97) {
      const name = btf.nameOf(id)
      if (name !== '' && !btf.findAll(name, btf.kindOf(id)).some((type) => type.id === id)) lost.push(`${id} ${name}`)
    }
    expect(lost).to.deep.equal([])
  })

  it('teaches what is near a name that is not there', () => {
    const btf = Btf.kernel()
    const missing = (name: string, kind?: BtfKind) => {
      const error = errorOf(() => btf.require(name, kind))
      expect(error).to.be.instanceOf(BtfError).with.property('code', 'ENOENT')
      return error.message
    }
    expect(missing('task_strct', 'struct')).to.equal(
      "vmlinux: no struct is called 'task_strct': did you mean 'task_struct'?",
    )
    expect(missing('list_haed')).to.match(/^vmlinux: no type is called 'list_haed': did you mean 'list_head'/)
    expect(missing('task_struct', 'union')).to.equal(
      "vmlinux: no union is called 'task_struct'; there is a struct of that name",
    )
    expect(missing('struct task_struct')).to.equal(
      "vmlinux: no type is called 'struct task_struct': BTF has names without 'struct'",
    )
    expect(missing('qqqqqqqqqqqqqqqqqqqqqqqqqqqqqq')).to.equal(
      "vmlinux: no type is called 'qqqqqqqqqqqqqqqqqqqqqqqqqqqqqq'",
    )
    expect(btf.require('task_struct', 'struct').members.length).to.be.above(100)
  })

  it('refuses what is no id, no name and no kind, before it looks', () => {
    const btf = Btf.kernel()
    const past = btf.size + 1
    for (const use of [btf.type, btf.kindOf, btf.nameOf, btf.resolve, btf.sizeOf, btf.alignOf] as ((
      id: never,
    ) => unknown)[]) {
      for (const id of [-1, past, 1.5, Number.NaN, 2 ** 32]) {
        const text = `vmlinux has types 0 to ${btf.size}, and none with id ${id}`
        expect(() => use.call(btf, id as never)).to.throw(RangeError, text)
      }
      expect(() => use.call(btf, '1' as never)).to.throw(TypeError, 'the id of a type must be a number, not string')
    }
    expect(() => btf.find(1 as unknown as string)).to.throw(TypeError, 'name must be a string, not number')
    expect(() => btf.find('int', 'integer' as 'int')).to.throw(
      TypeError,
      "'integer' is no kind of named type: int, ptr",
    )
    expect(() => [...btf.types('integer' as 'int')]).to.throw(TypeError)
    expect(() => btf.string(-1)).to.throw(RangeError)
    expect(() => btf.string(2 ** 31)).to.throw(BtfError, 'and strings end at')
  })

  it('has modules that go on from it', function () {
    const names = readdirSync(SYSFS).filter((name) => name !== 'vmlinux')
    if (names.length === 0) pending(this, 'no module with BTF is loaded')
    const modules = Btf.modules()
    expect(modules.map(({ name }) => name)).to.deep.equal(names.sort())
    for (const { name, btf, error } of modules) {
      expect(error, name).to.equal(undefined)
      expect(btf?.base).to.equal(Btf.kernel())
      expect(btf?.firstId).to.equal(Btf.kernel().size + 1)
      expect(Btf.module(name).size).to.equal(btf?.size)
    }
    requireBpftool(this)
    for (const { name, btf } of modules) {
      const other = dumped(join(SYSFS, name), KERNEL_BTF)
      expect(firstDifference(btf?.types() ?? [], other), name).to.equal(undefined)
    }
  })

  it('tells of a module that there is not', () => {
    const error = errorOf(() => Btf.module('no-such-module'))
    expect(error).to.be.instanceOf(BtfError).with.property('code', 'ENOENT')
    expect(error.message).to.equal('no_such_module: no module of that name is loaded and has BTF')
    for (const name of ['', '../x', 'a/b', '.']) expect(() => Btf.module(name), name).to.throw(RangeError)
    expect(() => Btf.module(1 as unknown as string)).to.throw(TypeError)
    expect(Btf.module('vmlinux')).to.equal(Btf.kernel())
  })
})

/** The ids of a name, found in no clever way. */
function byName(btf: Btf, name: string, kind: BtfKind | undefined): number[] {
  const ids: number[] = []
  if (name === '') return ids
  for (let id = 1; id <= btf.size; id++) {
    if (btf.nameOf(id) === name && (kind === undefined || btf.kindOf(id) === kind)) ids.push(id)
  }
  return ids
}
