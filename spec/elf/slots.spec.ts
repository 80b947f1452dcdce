import { readdirSync } from 'node:fs'
import { expect } from 'chai'
import type { ArrayMap, Queue } from '../../lib'
import { BpfObject, Btf, VerifierError } from '../../lib'
import { ObjectFunctions } from '../../lib/elf/functions'
import { readObjectFile } from '../../lib/elf/object-file'
import { ElfError } from '../../lib/elf-file/error'
import { bpftool, needsBpftool } from '../program/kit'
import { errorOf } from '../support/error'
import { pending } from '../support/kernel'
import { bytesOf, needsKernel, open, PACKET } from './kit'

const run = (object: BpfObject, program: string) => {
  using app = object.load()
  return app.programs[program]?.run({ data: PACKET }).retval
}

describe('slots that an object fills', () => {
  beforeEach(function () {
    needsKernel(this)
  })

  it('hold maps that are static, each by its place', () => {
    const object = open('static_slots')
    expect(object.maps.outer?.values).to.deep.equal(['first', 'second'])
    using app = object.load()
    expect(app.programs.read?.run({ data: PACKET }).retval).to.equal(8)
    const at = (name: string) => (app.maps[name] as ArrayMap<number>).at(0)
    expect([at('first'), at('second')].map(({ map }) => map)).to.deep.equal([app.maps.first, app.maps.second])
    expect(['first', 'second'].map((name) => (app.maps[name] as ArrayMap<number>).get(0))).to.deep.equal([7, 8])
  })

  it('do not hold functions that are static: they are no programs', () => {
    const bytes = bytesOf('values')
    const five = new ObjectFunctions(readObjectFile(bytes, 'values')).all.find(({ name }) => name === 'five')
      ?.at as number
    // st_info of struct Elf64_Sym: STB_LOCAL in its upper half.
    bytes[five + 4] = (bytes[five + 4] as number) & 0xf
    const error = errorOf(() => BpfObject.open(bytes)) as ElfError
    expect(error).to.be.instanceOf(ElfError)
    expect(error.reason).to.equal("slot 0 of map 'programs' names 'five', which is static: programs are not")
    expect(error.offset).to.be.within(1, bytes.length)
  })

  it('name what the object has, or are refused with what was meant', () => {
    const object = open('values')
    const { programs, by_index } = object.maps
    const fds = readdirSync('/proc/self/fd').length
    if (programs === undefined || by_index === undefined) throw new Error('there are no such maps')
    programs.values[1] = 'fife'
    expect(errorOf(() => object.load()).message).to.equal(
      "map 'programs' holds program 'fife', which the object has not got: did you mean 'five'?",
    )
    programs.values[1] = 'five'
    by_index.values[3] = 'frist'
    expect(errorOf(() => object.load()).message).to.equal(
      "map 'by_index' holds map 'frist', which the object has not got: did you mean 'first'?",
    )
    by_index.values[3] = undefined
    // One that is there, and not to be loaded, leaves its slot empty.
    if (object.programs.six !== undefined) object.programs.six.autoload = false
    expect(run(object, 'call')).to.equal(0)
    expect(readdirSync('/proc/self/fd').length).to.equal(fds)
  })
})

describe('maps that are not to be created', () => {
  beforeEach(function () {
    needsKernel(this)
  })

  it('may be used by what a constant keeps from being reached', () => {
    const object = open('choice')
    if (object.maps.ring !== undefined) object.maps.ring.autocreate = false
    using app = object.load()
    expect(app.maps).not.to.have.property('ring')
    expect(app.programs.tell?.run({ data: PACKET }).retval).to.equal(0)
    const queue = app.maps.queue as Queue<Uint8Array>
    expect(queue.pop()).to.deep.equal(new Uint8Array([5, 0, 0, 0]))
  })

  it('are named where they are reached', () => {
    const object = open('choice')
    if (object.maps.ring !== undefined) object.maps.ring.autocreate = false
    if (object.globals.use_ring !== undefined) object.globals.use_ring.value = true
    const fds = readdirSync('/proc/self/fd').length
    const error = errorOf(() => object.load()) as VerifierError
    expect(error).to.be.instanceOf(VerifierError)
    expect(error.hint).to.match(
      /^instruction \d+ uses map 'ring', which was not to be created: only what is not reached may do so$/,
    )
    expect(error.missing?.slot).to.equal(error.instruction?.index)
    expect(readdirSync('/proc/self/fd').length).to.equal(fds)
  })
})

describe('programs that are left from within a function', () => {
  beforeEach(function () {
    needsKernel(this)
    if (Btf.kernel().find('bpf_throw', 'func') === undefined) pending(this, 'the kernel has no bpf_throw')
  })

  it('are left through the callback that a tag names, or with what was thrown', () => {
    using app = open('throws').load()
    const result = (name: string, length: number) => app.programs[name]?.run({ data: new Uint8Array(length) }).retval
    expect([result('with_callback', 20), result('with_callback', 64)]).to.deep.equal([20, 42])
    expect([result('without', 20), result('without', 64)]).to.deep.equal([20, 37])
  })

  it('have the callback behind them in the kernel', function () {
    needsBpftool(this)
    using app = open('throws').load()
    const functions = (name: string): string[] => {
      const dumped = JSON.parse(bpftool('-j', 'prog', 'dump', 'xlated', 'id', `${app.programs[name]?.id}`))
      return dumped.flatMap(({ proto }: { proto?: string }) => (proto === undefined ? [] : [proto]))
    }
    expect(functions('with_callback').join('\n')).to.include('left_by')
    expect(functions('without').join('\n')).not.to.include('left_by')
  })
})
