import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { ArrayOfMaps, type BpfMap, OuterMap, type Program } from '../../lib'
import { loadDevmapArray } from '../../progs/devmap-array/load'
import { loadLiveConfig } from '../../progs/live-config/load'
import { loadPortStats } from '../../progs/port-stats/load'
import { STORIES } from '../../progs/stories'
import { objectPath } from '../../progs/support/object'
import { runStory } from '../../progs/support/runner'
import { loadUidSyscalls } from '../../progs/uid-syscalls/load'
import { fixture } from '../elf/kit'
import { errorOf } from '../support/error'
import { requireRoot } from '../support/kernel'
import { requireSource } from '../support/stories'

type Loaded = { readonly maps: object; readonly programs: object } & Disposable

/** How the stories load what they work with. */
const LOADERS: Readonly<Record<string, (object?: string) => Loaded>> = {
  'uid-syscalls': loadUidSyscalls,
  'live-config': loadLiveConfig,
  'port-stats': loadPortStats,
  'devmap-array': loadDevmapArray,
}

/** All that the kernel, and the template, say of what a story works with. */
function described({ maps, programs }: Loaded) {
  return {
    maps: byName<BpfMap>(maps).map(([called, map]) => {
      const { type, name, keySize, valueSize, maxEntries, flags } = map.info()
      return { called, type, name, keySize, valueSize, maxEntries, flags, inner: innerOf(map) }
    }),
    programs: byName<Program>(programs).map(([called, program]) => {
      const { type, name } = program.info()
      return { called, type, name }
    }),
  }
}

function byName<T>(things: object): [string, T][] {
  return Object.entries(things).sort(([a], [b]) => (a < b ? -1 : 1))
}

function innerOf(map: BpfMap) {
  if (!(map instanceof OuterMap)) return undefined
  // What is made of the template, not what the template says of itself.
  using inner = map.createInner() as BpfMap
  const { type, name, keySize, valueSize, maxEntries, flags } = inner.info()
  return { type, name, keySize, valueSize, maxEntries, flags }
}

async function ran(...args: string[]) {
  const said = { out: [] as string[], error: [] as string[] }
  const code = await runStory(args, { out: (text) => said.out.push(text), error: (text) => said.error.push(text) })
  return { code, out: said.out.join('\n'), error: said.error.join('\n') }
}

describe('stories from compiled objects', function () {
  this.timeout(300_000)

  before(function () {
    requireRoot(this)
    requireSource(this, { from: 'the object', object: '' })
  })

  it('are all that have a program of their own', () => {
    const able = Object.entries(STORIES).filter(([, { options }]) => 'object' in options)
    expect(able.map(([name]) => name)).to.have.members(Object.keys(LOADERS))
  })

  for (const [name, load] of Object.entries(LOADERS)) {
    it(`have the same maps and programs as in TypeScript: ${name}`, () => {
      using assembled = load()
      using compiled = load(objectPath(name))
      expect(described(compiled)).to.deep.equal(described(assembled))
      for (const [called, map] of Object.entries(compiled.maps)) {
        expect(map.constructor, called).to.equal((assembled.maps as Record<string, object>)[called]?.constructor)
      }
    })

    it(`refuse an object with other things, and leave nothing behind: ${name}`, () => {
      const before = readdirSync('/proc/self/fd').length
      const file = fixture('globals')
      expect(errorOf(() => load(file)).message).to.match(
        /globals\.bpf\.o: map '\w+' is not there, and (?:an [AEIOU]|a [^AEIOU])\w+ is wanted$/,
      )
      expect(errorOf(() => load('no/such.bpf.o')).message).to.match(/ENOENT.*no\/such\.bpf\.o/)
      expect(readdirSync('/proc/self/fd').length).to.equal(before)
    })
  }

  it('use the inner maps that the object tells of', () => {
    using parts = loadPortStats(objectPath('port-stats'), 7)
    const { port_stats } = parts.maps
    expect(port_stats.use(0, (own) => own.info().maxEntries)).to.equal(7)
    expect(port_stats.template.attributes).to.include({ maxEntries: 7, keySize: 2, valueSize: 16 })
    using again = ArrayOfMaps.fromId(port_stats.id, { inner: port_stats.template })
    expect([...again.keys()]).to.deep.equal([...port_stats.cpus])
  })

  it('are told by --object, with a file or without', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-objects-'))
    try {
      const none = join(folder, 'none.bpf.o')
      writeFileSync(none, 'no object')
      for (const args of [['--object', none], [`--object=${none}`]]) {
        const { code, error } = await ran('uid-syscalls', '--rounds', '2', ...args)
        expect([code, error.slice(0, none.length)], args.join(' ')).to.deep.equal([1, none])
        expect(error)
          .to.match(/ELF/)
          .and.not.match(/\n +at /)
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
    for (const args of [
      ['--object', '--rounds', '2', '--pause', '0'],
      ['--rounds', '2', '--pause', '0', '--object'],
    ]) {
      const { code, out, error } = await ran('uid-syscalls', ...args)
      expect([code, error], args.join(' ')).to.deep.equal([0, ''])
      expect(out).to.match(/BpfObject\.open\('.*progs\/c\/uid-syscalls\.bpf\.o'\)\.load\(\)/)
      expect(out).to.include('Hits are exactly the calls')
    }
    const { code, error } = await ran('map-in-map', '--object')
    expect([code, error.split('\n')[0]]).to.deep.equal([2, "Unknown option '--object'"])
  })
})
