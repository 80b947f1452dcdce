import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { expect } from 'chai'
import { type BpfMap, openMap } from '../../lib'
import { bpftool, needsBpftool } from '../program/kit'
import { errorOf } from '../support/error'
import { requireFeature } from '../support/kernel'
import { needsKernel, open, PACKET } from './kit'

const dump = (kind: 'map' | 'prog', ...args: string[]) => JSON.parse(bpftool('-j', kind, ...args))

describe('variables of a loaded object', function () {
  this.timeout(300_000)

  beforeEach(function () {
    needsKernel(this)
    // A program of the object prints with it.
    requireFeature(this, 'helper', 'bpf_snprintf')
  })

  it('begin with what was written to the description', () => {
    const object = open('globals')
    const { limit, custom } = object.globals
    if (limit === undefined || custom === undefined) throw new Error('there are no such variables')
    limit.value = 1
    custom.value = 100
    using app = object.load()
    const count = () => app.programs.count?.run({ data: PACKET }).retval
    expect(count()).to.equal(2)
    // packets is 2, and limit 1.
    expect(count()).to.equal(1)
    expect(app.globals.zeros?.value).to.equal(2 * (100 + 12))
    expect(app.globals.limit?.value).to.equal(1)
  })

  it('are what programs see, at once, both ways', function () {
    needsBpftool(this)
    using app = open('globals').load()
    const { packets, bytes, range, hidden, enabled } = app.globals
    if (packets === undefined || range === undefined || hidden === undefined || enabled === undefined) throw new Error()
    app.programs.count?.run({ data: PACKET })
    expect(packets.value).to.equal(1n)
    expect(bytes?.value).to.equal(1014n)
    expect(range.value).to.deep.equal({ from: 80, to: 443, hits: 1 })
    packets.value = 41n
    range.value = { from: 1, to: 2, hits: 10 }
    app.programs.count?.run({ data: PACKET })
    expect(packets.value).to.equal(42n)
    expect(range.value).to.deep.equal({ from: 1, to: 2, hits: 11 })
    // hidden + 'e' + sign + ON + enabled
    const peek = () => app.programs.peek?.run({ data: PACKET }).retval
    expect(peek()).to.equal(-9 + 101 - 3 + 1 + 1)
    enabled.value = false
    hidden.value = 0
    expect(peek()).to.equal(101 - 3 + 1)
    const [{ formatted }] = dump('map', 'dump', 'id', `${app.maps['.data']?.id}`)
    const [variables] = Object.values(formatted.value) as { [name: string]: unknown }[][]
    expect(Object.assign({}, ...(variables ?? []))).to.deep.include({ hidden: 0, enabled: false })
  })

  it('are constant in .rodata, which is frozen', () => {
    using app = open('globals').load()
    expect(app.maps['.rodata']?.info().frozen).to.equal(true)
    expect(app.maps['.rodata.fixed']?.info().frozen).to.equal(true)
    const { limit } = app.globals
    expect(
      errorOf(() => {
        if (limit !== undefined) limit.value = 9
      }).message,
    ).to.match(/limit: constants are frozen/)
    expect(limit?.value).to.equal(5)
  })

  it('are not loaded with an option that nobody knows', () => {
    expect(() => open('globals').load({ kconfigs: {} } as never)).to.throw(
      TypeError,
      "no option is called 'kconfigs': did you mean 'kconfig'?",
    )
  })

  it('end with their object, also in a map of the caller, which goes on', () => {
    using first = open('globals').load()
    const mapped = () => (readFileSync('/proc/self/maps', 'latin1').match(/bpf-map/g) ?? []).length
    const before = mapped()
    for (const asked of ['before', 'after'] as const) {
      const app = open('globals').load({ maps: { '.data': first.maps['.data'] as BpfMap } })
      if (asked === 'before') expect(app.globals.hidden?.value).to.equal(-7)
      app.close()
      expect(errorOf(() => app.globals.hidden?.value).name).to.equal('ClosedError')
      expect(mapped()).to.equal(before)
    }
    expect(first.globals.hidden?.value).to.equal(-7)
  })

  it('are shown as what cannot be read, where they are in a map that may not be mapped', () => {
    using first = open('globals').load()
    using readOnly = openMap({ id: first.maps['.data']?.id as number }, { access: 'read-only', raw: true })
    using app = open('globals').load({ maps: { '.data': readOnly as unknown as BpfMap } })
    expect(errorOf(() => app.globals.hidden?.value)).to.include({ syscall: 'mmap', code: 'EACCES' })
    expect(inspect(app).split('\n')).to.include('  hidden, not readable: EACCES (i32, .data+24)')
  })

  it('refuse what does not fit, and use after the end', () => {
    const app = open('globals').load()
    try {
      const { custom } = app.globals
      if (custom === undefined) throw new Error()
      expect(errorOf(() => (custom.value = -1))).to.be.instanceOf(RangeError)
      expect(errorOf(() => (custom.value = 'x'))).to.be.instanceOf(TypeError)
      expect(custom.value).to.equal(11)
      expect(errorOf(() => (custom.codec = { ...custom.codec, size: 3 }))).to.be.instanceOf(RangeError)
      app.close()
      expect(errorOf(() => custom.value).name).to.equal('ClosedError')
    } finally {
      app.close()
    }
  })
})
