import { expect } from 'chai'
import * as attr from '../../syscalls/attr'
import * as cmd from '../../syscalls/uapi'
import { type Btf, kernelAgainst618, kernelBtf, lacking } from '../support/btf'
import { ATTR_LAYOUT, type Layout, LINK_CREATE_UNION, UNNAMED } from '../support/btf-attr'
import { pending } from '../support/kernel'

type Fields = Readonly<Record<string, unknown>>

/** All ones in a field of so many bytes, as its pack function takes it. */
function ones(size: number): unknown {
  return { 4: 0xffffffff, 8: 0xffff_ffff_ffff_ffffn, 16: '\xff'.repeat(16) }[size]
}

/** A buffer full of `fill`, after `fields` were packed into it, and the size that the pack function asked for. */
function packed(layout: Layout, fields: Fields, fill = 0): { bytes: Uint8Array; size: number } {
  const bytes = new Uint8Array(attr.ATTR_SIZE + 32).fill(fill)
  const size = layout.pack(new DataView(bytes.buffer), fields as never)
  return { bytes, size }
}

/** Where there is a byte other than `fill`: [first, end). */
function touched(bytes: Uint8Array, fill = 0): [number, number] {
  const first = bytes.findIndex((b) => b !== fill)
  return first < 0 ? [0, 0] : [first, bytes.findLastIndex((b) => b !== fill) + 1]
}

/** The struct of a command in the kernel's union bpf_attr; undefined where the kernel is older than the command. */
function structOf(btf: Btf, layout: Layout): number | undefined {
  const union = btf.union('bpf_attr')
  return typeof layout.struct === 'string' ? btf.field(union, layout.struct)?.type : btf.anonymous(union, layout.struct)
}

/** What came after Linux 6.18. */
const AFTER_618 = /^(uprobe_multi\.path_fd|tracing_multi\..*)$/

/** Where the kernel has a field: [first, end), or undefined where it is older than the field. */
function where(btf: Btf, struct: number, path: string): [number, number] | undefined {
  const field = btf.field(struct, path)
  if (field === undefined && kernelAgainst618() >= 0 && !AFTER_618.test(path))
    throw new Error(`the kernel has no ${path}`)
  return field && [field.bitOffset / 8, (field.bitOffset + field.bitSize) / 8]
}

/** A command that is younger than the kernel: pending, unless the kernel is to have it. */
function tooOld(context: Mocha.Context, command: number): never {
  if (kernelAgainst618() >= 0 && command <= cmd.BPF_PROG_STREAM_READ_BY_FD)
    throw new Error('the kernel has no such struct')
  return pending(context, `the kernel has no ${cmd.commandName(command)}`)
}

function unionPath(member: string, field: string): string {
  return UNNAMED.has(member) ? field : `${member}.${field}`
}

describe('union bpf_attr', () => {
  it('has a pack function, and a layout here, for every command of Linux 6.18', () => {
    for (let command = 0; command <= cmd.BPF_PROG_STREAM_READ_BY_FD; command++) {
      expect(attr.PACKERS, cmd.commandName(command)).to.have.property(String(command))
    }
    expect(Object.keys(ATTR_LAYOUT)).to.deep.equal(Object.keys(attr.PACKERS))
    for (const [command, pack] of Object.entries(attr.PACKERS))
      expect(ATTR_LAYOUT[Number(command)]?.pack).to.equal(pack)
  })

  it('has a pack function for every command of this kernel', function () {
    const commands = kernelBtf(this).enumValues('bpf_cmd')
    const lack = commands.filter(
      ([name, value]) => /^BPF_(?!COMMON_ATTRS)/.test(name) && !(Number(value) in attr.PACKERS),
    )
    lacking(
      lack.map(([name]) => name),
      'enum bpf_cmd',
    )
  })

  it('is no larger than ATTR_SIZE', function () {
    const btf = kernelBtf(this)
    const size = btf.sizeOf(btf.union('bpf_attr'))
    if (size > attr.ATTR_SIZE) lacking([`${size} bytes`], 'union bpf_attr')
  })

  for (const [number, layout] of Object.entries(ATTR_LAYOUT)) {
    describe(cmd.commandName(Number(number)), () => {
      it('writes each field where the kernel has it, and nothing else', function () {
        const btf = kernelBtf(this)
        const struct = structOf(btf, layout)
        if (struct === undefined) return tooOld(this, Number(number))
        for (const [name, size] of Object.entries(layout.fields)) {
          const place = where(btf, struct, name)
          if (place === undefined) continue // a field younger than this kernel
          expect(touched(packed(layout, { [name]: ones(size) }).bytes), name).to.deep.equal(place)
        }
      })

      it('writes no field wider than it is', () => {
        const all = Object.fromEntries(Object.entries(layout.fields).map(([name, size]) => [name, ones(size)]))
        expect(touched(packed(layout, all, 0xff).bytes, 0xff)).to.deep.equal([0, 0])
      })

      it('sends what it writes, and what the kernel writes back', function () {
        const btf = kernelBtf(this)
        const struct = structOf(btf, layout)
        if (struct === undefined) return tooOld(this, Number(number))
        const least = packed(layout, {}, 0xff)
        expect(touched(least.bytes, 0xff)[1], 'always written').to.be.at.most(least.size)
        for (const name of layout.out) {
          const place = where(btf, struct, name)
          if (place !== undefined) expect(place[1], name).to.be.at.most(least.size)
        }
        for (const [name, size] of Object.entries(layout.fields)) {
          const end = where(btf, struct, name)?.[1] ?? 0
          if (end > 0) expect(packed(layout, { [name]: ones(size) }).size, name).to.equal(Math.max(end, least.size))
        }
      })
    })
  }

  const linkCreate = ATTR_LAYOUT[cmd.BPF_LINK_CREATE] as Layout
  for (const [member, fields] of Object.entries(LINK_CREATE_UNION)) {
    it(`BPF_LINK_CREATE writes ${member} where the kernel has it`, function () {
      const btf = kernelBtf(this)
      const struct = structOf(btf, linkCreate)
      if (struct === undefined) return pending(this, 'no link_create')
      const all = Object.fromEntries(Object.entries(fields).map(([name, size]) => [name, ones(size)]))
      const whole = packed(linkCreate, { prog_fd: -1, target_fd: -1, attach_type: -1, union: { member, ...all } }, 0xff)
      expect(touched(whole.bytes, 0xff), 'too wide').to.deep.equal([0, 0])
      const least = packed(linkCreate, { union: { member } }, 0xff)
      expect(touched(least.bytes, 0xff)[1], 'always written').to.be.at.most(least.size)
      for (const [name, size] of Object.entries(fields)) {
        const place = where(btf, struct, unionPath(member, name))
        if (place === undefined) continue
        const one = packed(linkCreate, { union: { member, [name]: ones(size) } })
        expect(touched(one.bytes), name).to.deep.equal(place)
        expect(one.size, name).to.equal(Math.max(place[1], least.size))
      }
    })
  }

  it('leaves no field of the kernel out', function () {
    const btf = kernelBtf(this)
    const known = new Map<number, Set<string>>()
    for (const layout of Object.values(ATTR_LAYOUT)) {
      const struct = structOf(btf, layout)
      if (struct === undefined) continue
      const names = known.get(struct) ?? new Set<string>()
      for (const name of [...Object.keys(layout.fields), ...layout.out]) names.add(name)
      if (layout === linkCreate) {
        for (const [member, fields] of Object.entries(LINK_CREATE_UNION)) {
          for (const name of Object.keys(fields)) names.add(unionPath(member, name))
        }
      }
      known.set(struct, names)
    }
    const union = btf.union('bpf_attr')
    const structs = btf.members(union)
    expect(structs.length).to.be.greaterThan(10)
    const lack: string[] = []
    for (const { name, type } of structs) {
      for (const path of btf.paths(type)) {
        if (known.get(type)?.has(path) !== true) lack.push(name === '' ? path : `${name}.${path}`)
      }
    }
    lacking(lack, 'union bpf_attr')
  })

  it('reads what the kernel writes back, and nothing beside it', function () {
    const btf = kernelBtf(this)
    const task = (name: 'buf_len' | 'prog_id' | 'fd_type' | 'probe_offset' | 'probe_addr') => (view: DataView) =>
      attr.readTaskFdQuery(view)[name]
    const readers: [(view: DataView) => number | bigint, number, string][] = [
      [attr.readBatchCount, cmd.BPF_MAP_LOOKUP_BATCH, 'count'],
      [attr.readNextId, cmd.BPF_MAP_GET_NEXT_ID, 'next_id'],
      [attr.readInfoLen, cmd.BPF_OBJ_GET_INFO_BY_FD, 'info_len'],
      [attr.readLogTrueSize, cmd.BPF_PROG_LOAD, 'log_true_size'],
      [attr.readBtfLogTrueSize, cmd.BPF_BTF_LOAD, 'btf_log_true_size'],
      [attr.readTestRetval, cmd.BPF_PROG_TEST_RUN, 'retval'],
      [attr.readTestDataSizeOut, cmd.BPF_PROG_TEST_RUN, 'data_size_out'],
      [attr.readTestDuration, cmd.BPF_PROG_TEST_RUN, 'duration'],
      [attr.readTestCtxSizeOut, cmd.BPF_PROG_TEST_RUN, 'ctx_size_out'],
      [attr.readQueryAttachFlags, cmd.BPF_PROG_QUERY, 'attach_flags'],
      [attr.readQueryCount, cmd.BPF_PROG_QUERY, 'prog_cnt'],
      [attr.readQueryRevision, cmd.BPF_PROG_QUERY, 'revision'],
      [task('buf_len'), cmd.BPF_TASK_FD_QUERY, 'buf_len'],
      [task('prog_id'), cmd.BPF_TASK_FD_QUERY, 'prog_id'],
      [task('fd_type'), cmd.BPF_TASK_FD_QUERY, 'fd_type'],
      [task('probe_offset'), cmd.BPF_TASK_FD_QUERY, 'probe_offset'],
      [task('probe_addr'), cmd.BPF_TASK_FD_QUERY, 'probe_addr'],
    ]
    for (const [read, command, name] of readers) {
      const layout = ATTR_LAYOUT[command] as Layout
      const struct = structOf(btf, layout) as number
      const place = where(btf, struct, name)
      if (place === undefined) continue
      const [first, end] = place
      const bytes = new Uint8Array(attr.ATTR_SIZE)
      const all = BigInt.asUintN((end - first) * 8, -1n)
      bytes.fill(0xff, first, end)
      expect(BigInt(read(new DataView(bytes.buffer))), name).to.equal(all)
      expect(BigInt(read(new DataView(bytes.map((b) => ~b).buffer))), `beside ${name}`).to.equal(0n)
    }
  })

  it('writes addresses and flags as numbers or as bigints alike', () => {
    const layout = ATTR_LAYOUT[cmd.BPF_MAP_LOOKUP_ELEM] as Layout
    for (const value of [0, 1, 0xffffffff, 0x1_0000_0000, 0x7fff_dead_beef, Number.MAX_SAFE_INTEGER]) {
      const number = packed(layout, { map_fd: 3, key: value, value, flags: value })
      const bigint = packed(layout, { map_fd: 3, key: BigInt(value), value: BigInt(value), flags: BigInt(value) })
      expect(number).to.deep.equal(bigint)
    }
  })

  it('ends a shorter name with NUL', () => {
    const layout = ATTR_LAYOUT[cmd.BPF_MAP_CREATE] as Layout
    const { bytes } = packed(layout, { map_name: 'by_uid' }, 0xff)
    expect(Buffer.from(bytes.subarray(28, 44)).toString('latin1')).to.equal('by_uid'.padEnd(16, '\0'))
  })
})
