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
    expect(inspect(globals))
      .to.match(/^\[Object: null prototype\] \{/)
      .and.match(/ limit: const limit = 5 \(/)
  })
})

describe('objects in words, once they are loaded', function () {
  this.timeout(60_000)
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
  })
})
