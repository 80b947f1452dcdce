import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { release } from 'node:os'
import { inspect } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { expect } from 'chai'
import { features, type MapTypeName, type ProgramTypeName } from '../../lib'
import { NR } from '../../syscalls/numbers'
import { hasCapability } from '../../syscalls/privilege'
import * as uapi from '../../syscalls/uapi'
import { MAP_TYPE_NUMBERS, PROGRAM_TYPES } from '../../syscalls/uapi-names'
import { openFds } from '../map/kit'
import { kernelBtf } from '../support/btf'
import { eventually, hasFeature, mapIds, needs, pending, requireFeature, requireRoot } from '../support/kernel'
import { recorded, type Sent } from '../support/recording-abi'
import { runInChild } from '../support/run'

/** The commands that give an fd. */
const MAKING: readonly number[] = [
  uapi.BPF_MAP_CREATE,
  uapi.BPF_PROG_LOAD,
  uapi.BPF_BTF_LOAD,
  uapi.BPF_LINK_CREATE,
  uapi.BPF_RAW_TRACEPOINT_OPEN,
  uapi.BPF_ENABLE_STATS,
]

const BPFTOOL = ['/usr/sbin/bpftool', '/usr/bin/bpftool'].find((path) => existsSync(path))

describe('features', function () {
  this.timeout(300_000)

  before(function () {
    requireRoot(this)
  })

  it('know no type that the kernel does not, and deny none that its BTF has without a reason', function () {
    const btf = kernelBtf(this)
    const there = (name: string) =>
      new Set(
        btf
          .enumValues(name)
          .filter(([constant]) => !/^__MAX/.test(constant))
          .map(([, value]) => Number(value)),
      )
    const [maps, programs] = [there('bpf_map_type'), there('bpf_prog_type')]
    for (const [name, number] of Object.entries(MAP_TYPE_NUMBERS)) {
      if (!maps.has(number)) expect(features.mapType(name as MapTypeName), name).to.equal(false)
    }
    for (const [name, number] of Object.entries(PROGRAM_TYPES)) {
      if (!programs.has(number)) expect(features.programType(name as ProgramTypeName), name).to.equal(false)
    }
    // These need nothing but the kernel's configuration that bpf(2) itself needs.
    for (const name of ['hash', 'array', 'lru_hash', 'percpu_array', 'queue', 'ringbuf', 'hash_of_maps'] as const) {
      expect(features.mapType(name), name).to.equal(true)
    }
  })

  it('follow the configuration that the kernel was built with', function () {
    if (!existsSync('/proc/config.gz')) return pending(this, 'no /proc/config.gz')
    const config = gunzipSync(readFileSync('/proc/config.gz')).toString('latin1')
    const on = (option: string) => new RegExp(`^CONFIG_${option}=y$`, 'm').test(config)
    const expected = {
      'attach kprobe': on('KPROBE_EVENTS'),
      'attach netkit': on('NETKIT') && hasFeature('attach', 'tcx') === true,
      'programType lirc_mode2': on('BPF_LIRC_MODE2'),
      'mapType xskmap': on('XDP_SOCKETS'),
      'attach uprobe': on('UPROBE_EVENTS'),
    }
    for (const [question, has] of Object.entries(expected)) {
      const [kind, name] = question.split(' ')
      expect(hasFeature(kind as 'attach', name as 'kprobe'), question).to.equal(has)
    }
  })

  it('are for bpftool what they are here', function () {
    needs(this, BPFTOOL !== undefined, 'bpftool')
    const text = execFileSync(BPFTOOL as string, ['-j', 'feature', 'probe', 'kernel'], { encoding: 'utf8' })
    const probed = JSON.parse(text) as {
      program_types: Record<string, boolean>
      map_types: Record<string, boolean>
      helpers: Record<string, string[]>
    }
    for (const [key, there] of Object.entries(probed.map_types)) {
      const name = key.slice('have_'.length, -'_map_type'.length) as MapTypeName
      expect(features.mapType(name), name).to.equal(there)
    }
    let compared = 0
    for (const [key, there] of Object.entries(probed.program_types)) {
      const name = key.slice('have_'.length, -'_prog_type'.length) as ProgramTypeName
      // What this process may not even try is a no to bpftool, and what programs of tracing may be attached to, too.
      if (features.programType(name) === undefined || name === 'tracing') continue
      expect(features.programType(name), name).to.equal(there)
      compared++
    }
    expect(compared).to.be.above(25)
  })

  it('say of helpers who may call them', () => {
    expect(features.helper('bpf_map_lookup_elem', 'xdp')).to.equal(true)
    expect(features.helper('bpf_ktime_get_ns', 'socket_filter')).to.equal(true)
    expect(features.helper('bpf_redirect_map', 'xdp')).to.equal(true)
    expect(features.helper('bpf_xdp_adjust_head', 'xdp')).to.equal(true)
    expect(features.helper('bpf_xdp_adjust_head', 'sched_cls')).to.equal(false)
    expect(features.helper('bpf_skb_store_bytes', 'sched_cls')).to.equal(true)
    expect(features.helper('bpf_skb_store_bytes', 'xdp')).to.equal(false)
    expect(features.helper('bpf_seq_write', 'tracing')).to.equal(true)
    expect(features.helper('bpf_xdp_adjust_head')).to.equal(true)
    expect(features.helper('bpf_skb_store_bytes', 'ext')).to.equal(undefined)
  })

  it('have the helpers that the kernel numbers, and no later ones', function () {
    const constants = kernelBtf(this).enumValues('bpf_func_id')
    const last = Math.max(...constants.filter(([name]) => !name.startsWith('__')).map(([, value]) => Number(value)))
    expect(features.helper('bpf_loop')).to.equal(last >= uapi.BPF_FUNC_loop)
    expect(features.helper('bpf_user_ringbuf_drain')).to.equal(last >= uapi.BPF_FUNC_user_ringbuf_drain)
    expect(features.memlock).to.equal(last < uapi.BPF_FUNC_ktime_get_coarse_ns)
  })

  it('are true or false or undefined, never a function that was not called', () => {
    const getters = Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(features) as object))
      .filter(([, { get }]) => get !== undefined)
      .map(([name]) => name)
    expect(getters).to.include.members(['batch', 'outerMapBatch', 'lookupAndDelete', 'mmap', 'memlock', 'kernelBtf'])
    for (const name of getters) {
      expect(hasFeature(name as 'batch'), name).to.be.oneOf([true, false, undefined])
    }
    for (const name of ['batch', 'mmap', 'freeze', 'links', 'boundedLoops', 'largePrograms', 'statistics'] as const) {
      expect(hasFeature(name), name).to.equal(true) // all older than Linux 5.10
    }
  })

  it('leave no map, program, link, BTF or fd behind', async () => {
    const kinds = ['map', 'prog', 'link', 'btf'] as const
    const fds = openFds()
    /** What was closed, by the ids that /proc had for it: 'map 12'. */
    const closed = new Set<string>()
    const note = ({ nr, args }: Sent) => {
      if (nr !== NR.close) return undefined
      const info = readFileSync(`/proc/self/fdinfo/${args[0]}`, 'latin1')
      for (const [, kind, id] of info.matchAll(/^(map|prog|link|btf)_id:\s*(\d+)$/gm)) closed.add(`${kind} ${id}`)
      return undefined
    }
    // Behind a seam of its own, where nothing has been asked yet.
    recorded((recording) => {
      inspect(features)
      features.report()
      const made = recording.calls.filter(({ command, result = -1 }) => MAKING.includes(command ?? -1) && result >= 0)
      const ended = recording.calls.filter(({ nr }) => nr === NR.close).map(({ args }) => args[0])
      expect(made.length).to.be.above(100)
      expect(ended).to.include.members(made.map(({ result }) => result))
    }, note)
    expect(openFds()).to.equal(fds)
    for (const kind of kinds) expect([...closed].join(), kind).to.include(`${kind} `)
    const left = () =>
      kinds.flatMap((kind) => mapIds(kind).map((id) => `${kind} ${id}`)).filter((one) => closed.has(one))
    await eventually(() => left().length === 0, 'all of them are gone', 60_000)
  })

  it('are found out once, and again where they could not be told', () => {
    let refusing = true
    recorded(
      (recording) => {
        const created = () => recording.bpf(uapi.BPF_MAP_CREATE).length
        expect(features.mapType('queue')).to.equal(undefined)
        expect(features.explain('mapType', 'queue')).to.match(/cannot be told: EPERM: BPF_MAP_CREATE/)
        const asked = created()
        expect(features.mapType('queue')).to.equal(undefined)
        expect(created()).to.be.above(asked)
        refusing = false
        expect(features.mapType('queue')).to.equal(true)
        refusing = true
        const known = created()
        expect(features.mapType('queue')).to.equal(true)
        expect(created()).to.equal(known)
      },
      ({ command }) => (refusing && command === uapi.BPF_MAP_CREATE ? -1 : undefined),
    )
  })

  it('that are missing are kept as well, and belong to the kernel behind the seam', () => {
    recorded(
      (recording) => {
        expect(features.mapType('queue')).to.equal(false)
        expect(features.mapType('queue')).to.equal(false)
        expect(recording.bpf(uapi.BPF_MAP_CREATE)).to.have.length(1)
        expect(features.explain('mapType', 'queue')).to.equal(
          `this kernel (Linux ${release()}) has no maps of type queue: it was built without them (they came with Linux 4.20)`,
        )
      },
      ({ command }) => (command === uapi.BPF_MAP_CREATE ? -22 : undefined),
    )
    expect(features.mapType('queue')).to.equal(true)
  })

  it('cannot be told without capabilities', async () => {
    const script = `
      const { features } = require('./lib')
      console.log(JSON.stringify([features.mapType('lpm_trie'), features.programType('xdp'), features.attach('tcx'),
        features.helper('bpf_map_lookup_elem', 'xdp'), features.boundedLoops, features.statistics, features.attach('fentry')]
        .map((has) => has ?? 'cannot tell')))
      console.log(features.explain('programType', 'xdp'))`
    const without = ['sys_admin', 'bpf', 'net_admin', 'perfmon']
    const { stdout, stderr } = await runInChild(script, { without })
    expect(stderr).to.equal('')
    const [answers = '', said] = stdout.split('\n')
    expect(new Set(JSON.parse(answers))).to.deep.equal(new Set(['cannot tell']))
    expect(said).to.match(/cannot be told: EPERM: BPF_PROG_LOAD.*CAP_BPF/)
  })

  it('refuse a name that is none, and know the nearest that is one', () => {
    const refused = (ask: () => unknown, words: RegExp) => expect(ask).to.throw(TypeError, words)
    refused(() => features.mapType('arean' as 'arena'), /no map type is called 'arean': did you mean 'arena'\?$/)
    refused(() => features.mapType('hashmap' as 'hash'), /'hashmap': did you mean 'hash'\?$/)
    refused(() => features.programType('tc' as 'xdp'), /'tc': did you mean 'sched_cls'\?$/)
    refused(() => features.programType('qqqq' as 'xdp'), /'qqqq': There are socket_filter, kprobe/)
    refused(() => features.programType('kprobes' as 'kprobe'), /did you mean 'kprobe'\?/)
    refused(() => features.attach('tc' as 'tcx'), /no way to attach is called 'tc'/)
    refused(
      () => features.helper('bpf_map_lookup' as 'bpf_loop'),
      /'bpf_map_lookup': did you mean 'bpf_map_lookup_elem'\?$/,
    )
    refused(() => features.helper('bpf_loop', 'nothing' as 'xdp'), /no program type is called 'nothing'/)
    refused(() => features.attach(undefined as never), /no way to attach is called undefined: There are xdp/)
    refused(() => features.mapType('constructor' as 'hash'), /no map type is called 'constructor'/)
    refused(() => features.explain('btach' as 'batch'), /no feature is called 'btach': did you mean 'batch'\?/)
    expect(features.mapType('HASH_OF_MAPS')).to.equal(true)
  })

  it('say the first version, without asking the kernel', () => {
    recorded((recording) => {
      expect(features.since('mapType', 'ARENA')).to.equal('6.9')
      expect(features.since('programType', 'netfilter')).to.equal('6.4')
      expect(features.since('attach', 'tcx')).to.equal('6.6')
      expect(features.since('helper', 'bpf_loop')).to.equal('5.17')
      expect(features.since('helper', 'bpf_map_lookup_elem', 'xdp')).to.equal('3.19')
      expect(features.since('lookupAndDelete')).to.equal('5.14')
      expect(recording.calls).to.have.length(0)
    })
  })

  it('are there from no kernel that is older than their first version', () => {
    // Neither does this kernel have what came later, by the table, nor is the table too late.
    const report = features.report()
    const order = (text: string) =>
      text
        .split('.')
        .slice(0, 2)
        .reduce((sum, part) => sum * 1000 + Number.parseInt(part, 10), 0)
    const check = (
      kind: 'mapType' | 'programType' | 'attach' | 'helper',
      answers: Readonly<Record<string, boolean | null>>,
    ) => {
      for (const [name, has] of Object.entries(answers)) {
        const since = features.since(kind as 'mapType', name as 'hash') ?? ''
        if (has === true) expect(order(since), `${kind} ${name} since ${since}`).to.be.at.most(order(release()))
      }
    }
    check('mapType', report.mapTypes)
    check('programType', report.programTypes)
    check('attach', report.attach)
    check('helper', report.helpers)
    expect(JSON.parse(JSON.stringify(report))).to.deep.equal(report)
    expect(Object.keys(report.helpers)).to.have.length(211)
    expect([report.kernel, report.arch]).to.deep.equal([release(), process.arch])
    expect(report.helpers.bpf_probe_write_user, 'asked for by name alone').to.equal(null)
  })

  it('are printed for an operator', () => {
    const text = inspect(features)
    expect(text).to.match(/^features of Linux \S+ \(\w+\)\n {2}map types\n {4}yes hash array/)
    if (features.mapType('rhash') === false) expect(text).to.match(/\brhash \(7\.2\)/)
    for (const line of text.split('\n')) expect(line.length, line).to.be.at.most(120)
  })

  it('make specs pending, or fail, by what they say', () => {
    const context = (test: { title: string; skipped?: boolean }) =>
      ({
        test,
        skip() {
          test.skipped = true
          throw new Error('skipped')
        },
      }) as unknown as Mocha.Context
    const test: { title: string; skipped?: boolean } = { title: 'spec' }
    requireFeature(context(test), 'mapType', 'hash')
    expect(test).to.deep.equal({ title: 'spec' })
    recorded(
      () => expect(() => requireFeature(context(test), 'mapType', 'arena')).to.throw('skipped'),
      ({ command }) => (command === uapi.BPF_MAP_CREATE ? -22 : undefined),
    )
    expect(test.title).to.match(/spec \(pending: this kernel \(Linux .*\) has no maps of type arena: .*6\.9\)?\)$/)
    const { EBPF_REQUIRE_KERNEL } = process.env
    process.env.EBPF_REQUIRE_KERNEL = '1'
    try {
      recorded(
        () =>
          expect(() => requireFeature(context(test), 'mapType', 'arena')).to.throw(
            /needs to be told that mapType arena/,
          ),
        ({ command }) => (command === uapi.BPF_MAP_CREATE ? -1 : undefined),
      )
    } finally {
      if (EBPF_REQUIRE_KERNEL === undefined) delete process.env.EBPF_REQUIRE_KERNEL
      else process.env.EBPF_REQUIRE_KERNEL = EBPF_REQUIRE_KERNEL
    }
    expect(hasCapability('CAP_SYS_ADMIN')).to.equal(true)
  })
})
