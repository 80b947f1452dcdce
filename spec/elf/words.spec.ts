import { inspect } from 'node:util'
import { expect } from 'chai'
import { errorOf } from '../support/error'
import { requireFeature } from '../support/kernel'
import { useTracefs } from '../support/tracefs'
import { fixture, needsFixtures, needsKernel, open } from './kit'

/** As somebody writes who takes the variable for its value. */
const assign = (globals: object, name: string, value: unknown) => Reflect.set(globals, name, value)

describe('objects in words', () => {
  before(function () {
    needsFixtures(this)
  })

  it('are called by their path', () => {
    const object = open('globals')
    expect(`${object}`).to.equal(`BpfObject ${fixture('globals')}`)
    const { path, license, programs, globals } = JSON.parse(JSON.stringify(object))
    expect([path, license, programs]).to.deep.equal([fixture('globals'), object.license, ['count', 'peek']])
    expect(globals).to.include('limit')
  })

  it('say how a variable is written', () => {
    const { globals } = open('globals')
    for (const [value, text] of [
      [50, '50'],
      [7n, '7n'],
      ['x', "'x'"],
      [{}, '...'],
    ] as const) {
      const error = errorOf(() => assign(globals, 'limit', value))
      expect(error).to.be.instanceOf(TypeError)
      expect(error.message).to.equal(`a variable is written by its value: globals.limit.value = ${text}`)
    }
    expect(globals.limit?.value).to.equal(5)
    expect(assign(globals, 'none', 5)).to.equal(false)
    // What they look like is what they are: variables by name, and nothing else.
    expect('limit' in globals).to.equal(true)
    expect('none' in globals || 'constructor' in globals).to.equal(false)
    expect(Reflect.ownKeys(globals)).to.deep.equal(Object.keys(globals))
    expect(inspect(globals)).to.match(
      /^\{\n {2}const count\.format = '%d' \(.*,\n {2}const limit = 5 \(u32, \.rodata\+0\),\n/,
    )
    expect(inspect({ globals: { globals } }, { depth: 1 })).to.include('{ 14 variables }')
    expect(inspect(globals.limit)).to.equal(`const limit = 5 (u32, .rodata+0 of ${fixture('globals')})`)
  })

  it('have a line for each map, program and variable, and all that they say by themselves', () => {
    const object = open('uid-syscalls')
    expect(inspect(object).split('\n').slice(1)).to.deep.equal([
      '  program uid_syscalls: tracepoint (tracepoint/raw_syscalls/sys_enter)',
      '  map by_uid: HASH_OF_MAPS u32 → (HASH u32 → u32 ×64) ×64',
      '  map uid_hits: HASH struct hit → u64 ×4096',
    ])
    expect(inspect(object.programs)).to.equal('{ uid_syscalls: tracepoint (tracepoint/raw_syscalls/sys_enter) }')
    const { uid_hits } = object.maps
    if (uid_hits === undefined) throw new Error('there is no such map')
    uid_hits.pinning = 'by-name'
    uid_hits.autocreate = false
    expect(inspect(object.maps)).to.include('uid_hits: HASH struct hit → u64 ×4096, pinned by name, not to be created')
    expect(inspect(uid_hits)).to.match(/^\{\n {2}name: 'uid_hits',\n {2}type: 'HASH',\n {2}keySize: 8,/)
    expect(inspect(uid_hits)).not.to.include('undefined')
    expect(inspect(open('globals')).split('\n')).to.include('  variable hidden = -7 (i32, .data+24)')
  })

  it('take no property that they have not got, and no value that says nothing', () => {
    const object = open('values')
    const { by_index, programs } = object.maps
    const { call } = object.programs
    if (by_index === undefined || programs === undefined || call === undefined) throw new Error('there are none such')
    expect(() => Object.assign(by_index, { max_entries: 4 })).to.throw(TypeError, 'max_entries')
    expect(() => Object.assign(call, { autoLoad: false })).to.throw(TypeError, 'autoLoad')
    for (const [change, message] of [
      [{ pinning: 'byName' }, "map 'by_index': pinning is 'none' or 'by-name', not 'byName'"],
      [{ autocreate: 'no' }, "map 'by_index': autocreate is true or false, not 'no'"],
      [
        { type: 'array_of_map' },
        "map 'by_index': no type of maps is called 'array_of_map': did you mean 'ARRAY_OF_MAPS'?",
      ],
    ] as const) {
      const before = { ...by_index }
      Object.assign(by_index, change)
      expect(errorOf(() => object.load())).to.be.instanceOf(TypeError)
      expect(errorOf(() => object.load()).message).to.equal(message)
      Object.assign(by_index, before)
    }
    Object.assign(call, { autoload: 'no' })
    expect(errorOf(() => object.load()).message).to.equal("program 'call': autoload is true or false, not 'no'")
    Object.assign(call, { autoload: true, autoattach: 1 })
    expect(errorOf(() => object.load()).message).to.equal("program 'call': autoattach is true or false, not 1")
  })
})

describe('objects in words, once they are loaded', function () {
  this.timeout(300_000)
  useTracefs()

  beforeEach(function () {
    needsKernel(this)
    requireFeature(this, 'helper', 'bpf_snprintf')
  })

  it('are called by their path, and tell what the kernel does of their maps and programs', () => {
    const app = open('globals').load()
    try {
      expect(`${app}`).to.equal(`LoadedObject ${fixture('globals')}`)
      const { closed, maps, programs } = JSON.parse(JSON.stringify(app))
      expect(closed).to.equal(false)
      expect(maps['.data']).to.include({ id: app.maps['.data']?.id, type: 'ARRAY' })
      expect(programs.count).to.include({ id: app.programs.count?.id, type: 'xdp' })
      expect(errorOf(() => assign(app.globals, 'packets', 5n)).message).to.match(/globals\.packets\.value = 5n$/)
      expect(inspect(app).split('\n')).to.include('  hidden = -7 (i32, .data+24)')
      // Of a map that was closed before its time.
      app.maps['.data']?.close()
      expect(inspect(app).split('\n')).to.include('  hidden, closed (i32, .data+24)')
    } finally {
      app.close()
    }
    expect(JSON.parse(JSON.stringify(app))).to.deep.include({ closed: true })
    expect(`${app}`).to.equal(`LoadedObject ${fixture('globals')}`)
  })

  it('keep the values that they were loaded with, whatever the description is changed to', () => {
    const object = open('globals')
    using app = object.load()
    const { custom } = object.globals
    if (custom === undefined) throw new Error()
    custom.value = 99
    expect(app.globals.custom?.value).to.equal(11)
    using next = object.load()
    expect(next.globals.custom?.value).to.equal(99)
  })

  it('name the programs that are attached', () => {
    using app = open('uid-syscalls').load()
    using attached = app.attach()
    expect(`${attached}`).to.equal(`Attachments of ${Object.keys(app.programs).join(', ')}`)
    const [link] = Object.values(JSON.parse(JSON.stringify(attached)).links)
    expect(link).to.include({ programId: Object.values(app.programs)[0]?.id })
    using none = open('globals').load()
    using nothing = none.attach()
    expect(`${nothing}`).to.equal('Attachments of none')
    expect(inspect(attached)).to.equal(`Attachments\n  uid_syscalls: ${Object.values(attached.links)[0]}`)
    expect(inspect(nothing)).to.equal('Attachments of none\n  left to attachXdp and the like: count (xdp), peek (xdp)')
  })
})
