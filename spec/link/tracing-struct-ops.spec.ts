import { expect } from 'chai'
import { ArrayMap, attachStructOps, u64 } from '../../lib'
import { btfLoad } from '../../syscalls'
import { mapCreate } from '../../syscalls/bpf'
import { ElementCalls } from '../../syscalls/element'
import * as uapi from '../../syscalls/uapi'
import { HookCode } from '../support/attach/hook-code'
import { failing, linkExists } from '../support/attach/links'
import { requireAttach, requireLinux } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { kernelBtf } from '../support/btf'
import { congestionControls as available, withConnection } from '../support/congestion'
import { eventually } from '../support/kernel'
import { smallBtf } from '../support/programs'

const NAME = 'ebpf_ts_spec'

describe('attachStructOps', () => {
  const stage = useStage()

  beforeEach(function () {
    requireAttach(this, 'struct_ops')
    requireLinux(this, 6, 4, 'links to struct_ops')
  })

  /** A map with room for a congestion control; what its entry is to be. */
  function congestionControl(context: Mocha.Context, flags: number): { readonly fd: number; readonly entry: Buffer } {
    const btf = kernelBtf(context)
    const ops = btf.struct('tcp_congestion_ops')
    const value = btf.struct('bpf_struct_ops_tcp_congestion_ops')
    const at = (struct: number, field: string) => (btf.field(struct, field)?.bitOffset ?? Number.NaN) / 8
    const entry = Buffer.alloc(btf.sizeOf(value))
    const data = at(value, 'data')
    const implement = (name: string, code: HookCode) => {
      const member = btf.members(ops).findIndex((each) => each.name === name)
      const attachTo = { struct: 'tcp_congestion_ops', member }
      const { fd } = stage.program({ type: 'struct_ops', name, attachTo, code })
      entry.writeBigUInt64LE(BigInt(fd), data + at(ops, name))
    }
    implement('ssthresh', new HookCode().end(2))
    implement('undo_cwnd', new HookCode().end(10))
    implement('cong_avoid', new HookCode().count(stage.counters.fd).end())
    entry.write(NAME, data + at(ops, 'name'), 'latin1')
    const fields = { key_size: 4, value_size: entry.length, max_entries: 1, map_flags: flags }
    const btf_fd = stage.own(btfLoad({ btf: smallBtf() }))
    const types = { btf_fd, btf_vmlinux_value_type_id: value }
    return { fd: stage.own(mapCreate({ map_type: uapi.BPF_MAP_TYPE_STRUCT_OPS, ...fields, ...types })), entry }
  }

  /** Registers nothing yet: that is what the link does. */
  const set = (fd: number, entry: Buffer) => {
    const calls = new ElementCalls(fd, 4, entry.length, { description: 'the congestion control' })
    calls.view.setUint32(calls.keyAt, 0, true)
    new Uint8Array(calls.view.buffer, calls.view.byteOffset).set(entry, calls.valueAt)
    calls.update(uapi.BPF_ANY)
    calls.close()
  }

  it('puts the functions to work until it is closed', async function () {
    const { fd, entry } = congestionControl(this, uapi.BPF_F_LINK)
    set(fd, entry)
    expect(available()).to.not.include(NAME)
    const link = stage.using(attachStructOps(fd))
    expect(available()).to.include(NAME)
    expect(link.info()).to.include({ type: 'struct_ops', programId: 0 })
    await withConnection(NAME, (send) => send(() => stage.count() > 0, 'the window was asked for'))
    link.close()
    // A socket that is being closed may use it a little longer.
    await eventually(() => !available().includes(NAME), 'it is gone')
    expect(linkExists(link.id)).to.equal(false)
  })

  it('refuses a map that is none, or not made for links, or not set', function () {
    const other = stage.using(ArrayMap.create({ value: u64, maxEntries: 1 }))
    const error = failing(() => attachStructOps(other))
    expect(error).to.be.instanceOf(TypeError)
    expect(error.message).to.equal(`a map of type STRUCT_OPS is put to work: map#${other.id} is of type ARRAY`)
    const { fd } = congestionControl(this, uapi.BPF_F_LINK)
    const unset = failing(() => attachStructOps(fd))
    expect(unset).to.include({ code: 'EINVAL' })
    expect(unset.message).to.match(/^EINVAL: BPF_LINK_CREATE on struct_ops map#\d+.*or its one entry is not set/)
    const program = stage.program({ type: 'xdp', code: new HookCode().end() })
    expect(failing(() => attachStructOps(program))).to.be.instanceOf(TypeError)
    expect(available()).to.not.include(NAME)
  })
})
