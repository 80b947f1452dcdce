import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { bpf, Program, type VerifierError } from '../../lib'
import { Btf } from '../../lib/btf'
import { type Relocated, relocate, relocator } from '../../lib/co-re'
import { kernelBtf } from '../support/btf'
import { errorOf } from '../support/error'
import { needs, requireRoot, useBpffs } from '../support/kernel'
import { answerAt, type CompiledObject, compiledObject, fixturePath, needsFixtures } from './kit'

const OBJECT = fixturePath('kernel.bpf.o')

/** Debian has it in /usr/sbin, which not every PATH has. */
const ENV = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` }

/** From 7 on it knows all kinds of relocations. */
function needsBpftool(test: Mocha.Context): void {
  const { stdout } = spawnSync('bpftool', ['version'], { encoding: 'utf8', env: ENV })
  needs(test, Number(/^bpftool v(\d+)/.exec(stdout ?? '')?.[1] ?? 0) >= 7, 'bpftool 7')
}

/** What libbpf tells of each relocation, by program: `patched insn #3 (ALU/ALU64) imm 0 -> 1268`. */
function debugOf(stderr: string): Map<string, string[]> {
  const said = new Map<string, string[]>()
  const lines = /prog '(\w+)': relo #\d+: ((?:patched|substituting) insn #.*)/g
  for (const [, name = '', line = ''] of stderr.matchAll(lines)) said.set(name, [...(said.get(name) ?? []), line])
  return said
}

describe('relocations to the running kernel', () => {
  const bpffs = useBpffs()
  let object: CompiledObject
  const results = new Map<string, Relocated>()

  before(function () {
    needsFixtures(this)
    requireRoot(this)
    kernelBtf(this)
    object = compiledObject(OBJECT)
    const apply = relocator(object.btf, [Btf.kernel()])
    for (const { section, records } of object.relocations) {
      results.set(section.replace('raw_tp/', ''), apply(object.sections.get(section) as Buffer, records))
    }
  })

  const recordsOf = (name: string) =>
    object.relocations.find(({ section }) => section === `raw_tp/${name}`)?.records ?? []

  const load = (name: string, { insns }: Relocated) =>
    Program.load({ type: 'raw_tracepoint', name: name.slice(0, 15), code: insns, license: 'GPL' })

  it('each instruction has what the types of the kernel say', function () {
    const types = kernelBtf(this)
    const task = types.struct('task_struct')
    const skb = types.struct('sk_buff')
    const [tgid, comm, se, vruntime] = ['tgid', 'comm', 'se', 'se.vruntime'].map((path) => types.field(task, path))
    const bytes = (field: { bitOffset: number } | undefined) => (field?.bitOffset ?? Number.NaN) / 8
    const [iowait, reset, type] = [
      types.field(task, 'in_iowait'),
      types.field(task, 'sched_reset_on_fork'),
      types.field(skb, 'pkt_type'),
    ]
    // The bit fields of task_struct are of unsigned ints, that of sk_buff of a byte.
    const left = (field: { bitOffset: number; bitSize: number } | undefined, unit: number) =>
      64 - (((field?.bitOffset ?? 0) % unit) + (field?.bitSize ?? 0))
    const expected = {
      read_tgid: bytes(tgid),
      off_tgid: bytes(tgid),
      off_vruntime: bytes(vruntime),
      off_comm_3: bytes(comm) + 3,
      off_thread_head: bytes(types.field(types.struct('signal_struct'), 'thread_head.prev')),
      off_f_pos: bytes(types.field(types.struct('file'), 'f_pos')),
      off_mark: bytes(types.field(skb, 'mark')),
      off_protocol: bytes(types.field(skb, 'protocol')),
      off_insn_cnt: 4,
      size_comm: types.sizeOf(comm?.type ?? 0),
      size_se: types.sizeOf(se?.type ?? 0),
      size_flags: 4,
      has_tgid: 1,
      has_not_there: 0,
      sign_tgid: 1,
      sign_len: 0,
      bit_off_iowait: Math.floor(bytes(iowait) / 4) * 4,
      bit_size_iowait: 4,
      bit_left_iowait: left(iowait, 32),
      bit_right_iowait: 64 - (iowait?.bitSize ?? 0),
      bit_left_reset: left(reset, 32),
      bit_left_pkt_type: left(type, 8),
      bit_right_pkt_type: 64 - (type?.bitSize ?? 0),
      id_task: task,
      id_missing: 0,
      type_task: 1,
      type_missing: 0,
      type_size_task: types.sizeOf(task),
      type_size_attr: types.sizeOf(types.union('bpf_attr')),
      match_task: 0,
      match_atomic: 1,
      match_pid: 1,
      match_map_type: 0,
      enum_ringbuf: Number(new Map(types.enumValues('bpf_map_type')).get('BPF_MAP_TYPE_RINGBUF')),
      enum_has_hash: 1,
      enum_has_none: 0,
    }
    const found = Object.keys(expected).map((name) => {
      const insns = Buffer.from(results.get(name)?.insns ?? [])
      return [name, Number(answerAt(insns, recordsOf(name)[0]?.offset ?? 0).value)]
    })
    expect(Object.fromEntries(found)).to.deep.equal(expected)
  })

  it('libbpf makes the same of each of them, and the kernel of what both have loaded', function () {
    needsBpftool(this)
    const folder = join(bpffs.path, 'libbpf')
    const files = mkdtempSync(join(tmpdir(), 'ebpf-ts-'))
    try {
      const loaded = spawnSync('bpftool', ['-d', 'prog', 'loadall', OBJECT, folder], { encoding: 'utf8', env: ENV })
      const { stderr } = loaded
      expect(loaded.status, stderr).to.equal(0)
      const debug = debugOf(stderr)
      expect([...debug.keys()].sort()).to.deep.equal([...results.keys()].sort())
      for (const [name, relocated] of results) {
        expect(linesOf(name, relocated), name).to.deep.equal(debug.get(name))
        using program = load(name, relocated)
        const dumped = [
          ['pinned', join(folder, name)],
          ['id', `${program.id}`],
        ].map(([by = '', which = ''], i) => {
          const file = join(files, `${name}.${i}`)
          execFileSync('bpftool', ['prog', 'dump', 'xlated', by, which, 'file', file], { env: ENV })
          return readFileSync(file)
        })
        expect(dumped[1], name).to.deep.equal(dumped[0])
        expect(dumped[0], name).to.have.length.above(0)
      }
    } finally {
      rmSync(files, { recursive: true })
    }
  })

  /** Our own result, as libbpf would have told it. */
  function linesOf(name: string, { insns, poisoned }: Relocated): string[] {
    const before = object.sections.get(`raw_tp/${name}`) as Buffer
    return recordsOf(name).map(({ offset }) => {
      const slot = offset / 8
      if (poisoned.some((each) => each.slot === slot)) return `substituting insn #${slot} w/ invalid insn`
      const [was, is] = [answerAt(before, offset).value, answerAt(Buffer.from(insns), offset).value]
      const what = before[offset] === 0x18 ? '(LDIMM64) imm64' : '(ALU/ALU64) imm'
      return `patched insn #${slot} ${what} ${was} -> ${is}`
    })
  }

  it('what runs reads what the kernel has there', () => {
    const run = (name: string) => {
      using program = load(name, results.get(name) as Relocated)
      return program.run().retval
    }
    const code = bpf`
      call bpf_get_current_pid_tgid
      r0 >>= 32
      exit`
    using helper = Program.load({ type: 'raw_tracepoint', name: 'tgid', code, license: 'GPL' })
    const tgid = helper.run().retval
    expect(run('read_tgid')).to.equal(tgid)
    // In a pid namespace of its own a process does not know the kernel's numbers.
    if (tgid === process.pid) expect(run('read_parent')).to.equal(process.ppid)
    const comm = readFileSync(`/proc/self/task/${process.pid}/comm`)
    expect(run('read_letter')).to.equal(comm[2])
    expect(run('read_guarded')).to.equal(42)
  })

  it('what is not reached is poisoned and does no harm; what is reached is refused at that instruction', () => {
    expect(results.get('read_guarded')?.poisoned).to.deep.equal([
      {
        slot: 5,
        kind: 'field_byte_offset',
        what: 'struct task_struct___few.not_there',
        reason: 'struct task_struct of vmlinux has no not_there',
      },
    ])
    const { btf, sections, relocations } = compiledObject(fixturePath('unguarded.bpf.o'))
    const [{ section, records } = { section: '', records: [] }] = relocations
    const insns = sections.get(section) as Buffer
    const relocated = relocate({ insns, relocations: records, local: btf, targets: [Btf.kernel()] })
    expect(relocated.poisoned.map(({ what }) => what)).to.deep.equal(['struct task_struct___odd.not_there'])
    const error = errorOf(() => load('read_unguarded', relocated)) as VerifierError
    expect(error.name).to.equal('VerifierError')
    expect(error.instruction?.index).to.equal(relocated.poisoned[0]?.slot)
    expect(error.log).to.contain('#195896080')
  })
})
