import { expect } from 'chai'
import * as uapi from '../../syscalls/uapi'
import * as attachTypes from '../../syscalls/uapi-attach-type'
import * as commands from '../../syscalls/uapi-cmd'
import { kernelAgainst618, kernelBtf, lacking } from '../support/btf'
import { pending } from '../support/kernel'

const OURS: ReadonlyMap<string, unknown> = new Map(Object.entries(uapi))

/** Holds our constants against the kernel's. */
function compare(where: string, kernel: readonly [string, bigint][]): void {
  const lack: string[] = []
  for (const [name, value] of kernel) {
    if (/^_*MAX_|^__MAX|^__BPF_FUNC_MAX_ID$/.test(name)) continue // a count of the constants, which every kernel has its own of
    const ours = OURS.get(name)
    if (ours === undefined) lack.push(`${name} = ${value}`)
    else expect(ours, name).to.equal(Number(value))
  }
  lacking(lack, where)
}

describe('uapi constants', () => {
  for (const name of [
    'bpf_cmd',
    'bpf_map_type',
    'bpf_prog_type',
    'bpf_func_id',
    'bpf_attach_type',
    'bpf_link_type',
    'bpf_perf_event_type',
    'bpf_task_fd_type',
    'bpf_stats_type',
    'bpf_stack_build_id_status',
    'bpf_cgroup_iter_order',
  ]) {
    it(`enum ${name} is the kernel's`, function () {
      const btf = kernelBtf(this)
      if (!btf.has(name)) {
        if (kernelAgainst618() === 0) throw new Error(`no enum ${name} in the BTF`)
        return pending(this, `the kernel's BTF has no enum ${name}`)
      }
      compare(`enum ${name}`, btf.enumValues(name))
    })
  }

  for (const constant of [
    'BPF_NOEXIST',
    'BPF_F_NO_PREALLOC',
    'BPF_RINGBUF_HDR_SZ',
    'BPF_F_KPROBE_MULTI_RETURN',
    'BPF_F_UPROBE_MULTI_RETURN',
  ]) {
    it(`the anonymous enum with ${constant} is the kernel's`, function () {
      const constants = kernelBtf(this).enumWith(constant)
      if (constants === undefined) return pending(this, `the kernel's BTF has no ${constant}`)
      compare(`the enum with ${constant}`, constants)
    })
  }

  it('flags are non-negative numbers of 32 bits', () => {
    for (const [name, value] of OURS) {
      if (typeof value !== 'number') continue
      expect(value, name).to.satisfy((n: number) => Number.isInteger(n) && n >= 0 && n < 2 ** 32)
    }
  })

  it('commands and attach types are numbered without a gap and without a double', () => {
    for (const constants of [commands, attachTypes]) {
      const values = Object.values<number>(constants).sort((a, b) => a - b)
      expect(values).to.deep.equal(values.map((_, i) => i))
    }
  })

  it('names every value', () => {
    expect(uapi.commandName(0)).to.equal('BPF_MAP_CREATE')
    expect(uapi.commandName(uapi.BPF_PROG_RUN)).to.equal('BPF_PROG_TEST_RUN')
    expect(uapi.commandName(38)).to.equal('BPF_PROG_ASSOC_STRUCT_OPS')
    expect(uapi.mapTypeName(13)).to.equal('BPF_MAP_TYPE_HASH_OF_MAPS')
    expect(uapi.mapTypeName(19)).to.equal('BPF_MAP_TYPE_CGROUP_STORAGE')
    expect(uapi.programTypeName(6)).to.equal('BPF_PROG_TYPE_XDP')
    expect(uapi.attachTypeName(0)).to.equal('BPF_CGROUP_INET_INGRESS')
    expect(uapi.attachTypeName(37)).to.equal('BPF_XDP')
    expect(uapi.linkTypeName(6)).to.equal('BPF_LINK_TYPE_XDP')
  })

  it('marks a value that it does not know', () => {
    expect(uapi.commandName(99)).to.equal('BPF_CMD_99?')
    expect(uapi.mapTypeName(99)).to.equal('BPF_MAP_TYPE_99?')
    expect(uapi.programTypeName(99)).to.equal('BPF_PROG_TYPE_99?')
    expect(uapi.attachTypeName(99)).to.equal('BPF_ATTACH_TYPE_99?')
    expect(uapi.linkTypeName(99)).to.equal('BPF_LINK_TYPE_99?')
  })
})
