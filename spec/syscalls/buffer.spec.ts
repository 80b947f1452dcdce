import { expect } from 'chai'
import * as sys from '../../syscalls'
import * as seam from '../../syscalls/abi'
import { ATTR_SIZE } from '../../syscalls/attr'
import { LE } from '../../syscalls/attr-common'
import { AttrView } from '../../syscalls/attr-view'
import { rejectionOf } from '../support/error'
import { returning } from '../support/programs'
import { type Recording, recorded } from '../support/recording-abi'

type Bytes = sys.Bytes

const FD = 77

/** A buffer and a view of it, from which the memory was taken away. */
function detached(): Bytes[] {
  const buffer = new ArrayBuffer(8)
  const view = new Uint8Array(buffer)
  structuredClone(buffer, { transfer: [buffer] })
  return [buffer, view]
}

/** What a call sent, without a kernel. */
function attrOf(use: () => unknown): { view: DataView; recording: Recording } {
  return recorded(
    (recording) => {
      use()
      const attr = recording.bpf().at(-1)?.attr
      if (attr === undefined) throw new Error('nothing was sent')
      const view = new DataView(new ArrayBuffer(ATTR_SIZE))
      new Uint8Array(view.buffer).set(attr)
      return { view, recording }
    },
    () => FD,
  )
}

describe('buffers of callers', () => {
  /** Every place that takes one. */
  const TAKERS: Record<string, (bytes: Bytes) => unknown> = {
    insns: (insns) => sys.progLoad({ prog_type: 1, insns, license: 'GPL' }),
    log_buf: (log_buf) => sys.progLoad({ prog_type: 1, insns: returning(0), license: 'GPL', log_level: 1, log_buf }),
    signature: (signature) => sys.progLoad({ prog_type: 1, insns: returning(0), license: 'GPL', signature }),
    func_info: (func_info) =>
      sys.progLoad({ prog_type: 1, insns: returning(0), license: 'GPL', func_info, func_info_rec_size: 8 }),
    data_in: (data_in) => sys.progTestRun({ prog_fd: FD, data_in }),
    data_out: (data_out) => sys.progTestRun({ prog_fd: FD, data_out }),
    ctx_in: (ctx_in) => sys.progTestRun({ prog_fd: FD, ctx_in }),
    ctx_out: (ctx_out) => sys.progTestRun({ prog_fd: FD, ctx_out }),
    'stream buffer': (into) => sys.progStreamRead(FD, 1, into),
    btf: (btf) => sys.btfLoad({ btf }),
    btf_log_buf: (btf_log_buf) => sys.btfLoad({ btf: new Uint8Array(8), btf_log_buf }),
    iter_info: (iter_info) => sys.linkCreate({ prog_fd: FD, attach_type: 28, union: { member: 'iter', iter_info } }),
    excl_prog_hash: (excl_prog_hash) =>
      sys.mapCreate({ map_type: 1, key_size: 4, value_size: 4, max_entries: 1, excl_prog_hash }),
  }

  for (const [name, take] of Object.entries(TAKERS)) {
    it(`${name}: refuses what has no address, before the kernel is asked`, () => {
      recorded(
        (recording) => {
          for (const bad of [new ArrayBuffer(0), new Uint8Array(0), ...detached()]) {
            expect(() => take(bad)).to.throw(RangeError, 'is empty, or detached')
          }
          const Resizable = ArrayBuffer as unknown as new (length: number, options: object) => ArrayBuffer
          const resizable = new Resizable(8, { maxByteLength: 16 })
          for (const bad of [resizable, new Uint8Array(resizable)]) expect(() => take(bad)).to.throw(RangeError)
          for (const bad of [new SharedArrayBuffer(8), new Uint8Array(new SharedArrayBuffer(8))]) {
            expect(() => take(bad as Bytes)).to.throw(TypeError, 'shared')
          }
          for (const bad of [5, 2 ** 40, 'text', {}, null, [1, 2]]) expect(() => take(bad as Bytes)).to.throw(TypeError)
          expect(recording.bpf()).to.have.lengthOf(0)
        },
        () => FD,
      )
    })
  }

  it('count from the offset of a view, over its own length', () => {
    const whole = new ArrayBuffer(100)
    const addresses = [
      whole,
      new Uint8Array(whole, 8, 16),
      new DataView(whole, 24, 8),
      new BigUint64Array(whole, 32, 2),
    ]
      .map((data_in) => attrOf(() => sys.progTestRun({ prog_fd: FD, data_in })).view)
      .map((view) => [Number(view.getBigUint64(16, LE)), view.getUint32(8, LE)])
    const start = addresses[0]?.[0] ?? 0
    expect(addresses.map(([at = 0, length]) => [at - start, length])).to.deep.equal([
      [0, 100],
      [8, 16],
      [24, 8],
      [32, 16],
    ])
  })

  it('give the counts: instructions, records, entries', () => {
    const { view } = attrOf(() =>
      sys.progLoad({
        prog_type: 1,
        insns: new Uint8Array(24),
        license: 'GPL',
        func_info: new Uint8Array(16),
        func_info_rec_size: 8,
        line_info: new Uint8Array(48),
        line_info_rec_size: 16,
        core_relos: new Uint8Array(16),
        core_relo_rec_size: 16,
        fd_array: Int32Array.of(5, 6),
        fd_array_cnt: 2,
      }),
    )
    expect([4, 88, 104, 116, 148].map((at) => view.getUint32(at, LE))).to.deep.equal([3, 2, 3, 1, 2])
    const cgroup = { target_fd: FD, attach_type: 0 }
    const query = attrOf(() =>
      sys.progQuery({ ...cgroup, prog_ids: new Uint32Array(5), prog_attach_flags: new Uint32Array(5) }),
    )
    expect(query.view.getUint32(24, LE)).to.equal(5)
  })

  it('refuse parts of records, and arrays that differ in length', () => {
    const load = { prog_type: 1, insns: returning(0), license: 'GPL' }
    const bytes = new Uint8Array(12)
    recorded((recording) => {
      expect(() => sys.progLoad({ ...load, insns: bytes })).to.throw(RangeError, 'insns has 12 bytes')
      expect(() => sys.progLoad({ ...load, func_info: bytes, func_info_rec_size: 8 })).to.throw(RangeError, 'func_info')
      for (const size of [undefined, 0, -8, 1.5, Number.NaN]) {
        expect(() => sys.progLoad({ ...load, line_info: bytes, line_info_rec_size: size })).to.throw(RangeError)
      }
      expect(() => sys.progLoad({ ...load, fd_array: Int32Array.of(5), fd_array_cnt: 2 })).to.throw(RangeError)
      const query = { target_fd: FD, attach_type: 0, prog_ids: new Uint32Array(2) }
      expect(() => sys.progQuery({ ...query, link_ids: new Uint32Array(3) })).to.throw(RangeError, 'link_ids has 3')
      const offsets = BigUint64Array.of(1n, 2n)
      const union = { member: 'uprobe_multi', path: '/bin/sh', offsets, cookies: BigUint64Array.of(1n) } as const
      expect(() => sys.linkCreate({ prog_fd: FD, attach_type: 48, union })).to.throw(RangeError, 'cookies has 1')
      expect(recording.bpf()).to.have.lengthOf(0)
    })
  })

  it('become pointers of their own where the kernel wants a table of them', () => {
    const { view, recording } = attrOf(() =>
      sys.linkCreate({
        prog_fd: FD,
        attach_type: 42,
        union: { member: 'kprobe_multi', syms: ['vfs_read', 'vfs_write'], cookies: BigUint64Array.of(7n, 8n) },
      }),
    )
    const text = (at: number, length: number) => Buffer.from(recording.bytesAt(at, length)).toString('latin1')
    expect(view.getUint32(20, LE)).to.equal(2)
    const table = recording.bytesAt(Number(view.getBigUint64(24, LE)), 16)
    const names = new DataView(table.buffer, table.byteOffset)
    expect(text(Number(names.getBigUint64(0, LE)), 9)).to.equal('vfs_read\0')
    expect(text(Number(names.getBigUint64(8, LE)), 10)).to.equal('vfs_write\0')
    const cookies = recording.bytesAt(Number(view.getBigUint64(40, LE)), 16)
    expect(new DataView(cookies.buffer, cookies.byteOffset).getBigUint64(8, LE)).to.equal(8n)
  })

  it('are there for cookies that nobody gave: without them Linux 6.18 goes down when the fdinfo is read', () => {
    const union = { member: 'kprobe_multi', syms: ['vfs_read', 'vfs_write'] } as const
    const { view, recording } = attrOf(() => sys.linkCreate({ prog_fd: FD, attach_type: 42, union }))
    const cookies = recording.bytesAt(Number(view.getBigUint64(40, LE)), 16)
    expect(cookies).to.deep.equal(new Uint8Array(16))
  })

  it('are text that a C string can hold', () => {
    recorded((recording) => {
      for (const take of [
        (text: string) => sys.objGet(text),
        (text: string) => sys.objPin(text, FD),
        (license: string) => sys.progLoad({ prog_type: 1, insns: returning(0), license }),
        (name: string) => sys.rawTracepointOpen({ prog_fd: FD, name }),
      ]) {
        for (const bad of ['', 'a\0b']) expect(() => take(bad)).to.throw(RangeError)
        for (const bad of [5, {}, null]) expect(() => take(bad as string)).to.throw(TypeError)
      }
      for (const bad of ['sixteen_letters_', 'a-b', 'é', 'a\0b']) {
        const fields = { map_type: 1, key_size: 4, value_size: 4, max_entries: 1, map_name: bad }
        expect(() => sys.mapCreate(fields), bad).to.throw(RangeError, 'map_name')
        const program = { prog_type: 1, insns: returning(0), license: 'GPL', prog_name: bad }
        expect(() => sys.progLoad(program), bad).to.throw(RangeError, 'prog_name')
      }
      expect(recording.bpf()).to.have.lengthOf(0)
    })
  })

  /**
   * The optimiser may free a buffer after its last use, amid the call that writes to it. Whether it does depends on what
   * it inlines; so it is the use after the call that is looked for: keepAlive() was given something that leads to it.
   */
  describe('are in use until after the call', () => {
    for (const [name, take] of Object.entries(TAKERS)) {
      it(name, () => {
        const bytes = new Uint8Array(16)
        recorded(
          () => {
            take(bytes)
            expect(leadsTo(seam.kept, bytes), name).to.equal(true)
          },
          () => FD,
        )
      })
    }

    it('copies that are made for the call', () => {
      recorded(
        (recording) => {
          const union = { member: 'kprobe_multi', syms: ['vfs_read'] } as const
          for (const [what, call] of [
            ['a path to pin', () => sys.objPin('/sys/fs/bpf/x', FD)],
            ['a path to get', () => sys.objGet('/sys/fs/bpf/x')],
            ['a license', () => sys.progLoad({ prog_type: 1, insns: returning(0), license: 'GPL' })],
            ['a tracepoint', () => sys.rawTracepointOpen({ prog_fd: FD, name: 'sys_enter' })],
            ['an info', () => sys.objectInfo(FD, 80)],
            ['a name', () => sys.taskFdQuery(1, 1)],
            ['a table of names', () => sys.linkCreate({ prog_fd: FD, attach_type: 42, union })],
          ] as const) {
            const before = new Set(recording.buffers())
            call()
            // The attr is one for all calls, and lives as long as its module.
            const fresh = recording.buffers().filter((buffer) => !before.has(buffer) && buffer.byteLength !== ATTR_SIZE)
            expect(fresh, what).not.to.have.lengthOf(0)
            for (const buffer of fresh) expect(leadsTo(seam.kept, buffer), what).to.equal(true)
          }
        },
        () => FD,
      )
    })

    it('the attr, by being one for all calls', () => {
      recorded(
        (recording) => {
          for (let id = 1; id < 4; id++) sys.mapTryOpenById(id)
          expect(recording.buffers()).to.have.lengthOf(1)
          // And nothing of one call is left for the next.
          sys.progTestRun({ prog_fd: FD, data_in: new Uint8Array(8), repeat: 0xffffffff })
          sys.mapTryOpenById(5)
          const attr = [...recording.bytesAt(recording.bpf().at(-1)?.args[1] ?? 0, ATTR_SIZE)]
          expect(attr.slice(4).every((byte) => byte === 0)).to.equal(true)
        },
        () => FD,
      )
    })

    it('the blocks of element calls and of batches', () => {
      recorded(
        () => {
          const one = new sys.ElementCalls(FD, 4, 8, { description: 'a map' })
          const batch = new sys.BatchCalls(2, 4, 8)
          const other = new sys.ElementCalls(FD, 4, 8, { description: 'another map' })
          for (const call of [() => one.lookup(0), () => one.update(0), () => one.tryUpdate(0), () => one.delete()]) {
            other.lookup(0)
            call()
            expect(leadsTo(seam.kept, one.view), call.toString()).to.equal(true)
          }
          for (const call of [() => batch.lookup(FD, 0), () => batch.update(FD, 1, 0), () => batch.delete(FD, 1)]) {
            other.lookup(0)
            call()
            expect(leadsTo(seam.kept, batch.view.buffer), call.toString()).to.equal(true)
          }
        },
        () => 0,
      )
    })

    it('and held by the thread pool for asynchronous ones', async () => {
      await recorded(
        async (recording) => {
          const one = new sys.ElementCalls(FD, 4, 8, { description: 'a map' })
          const batch = new sys.BatchCalls(2, 4, 8)
          const other = new sys.ElementCalls(FD, 4, 8, { description: 'a map' })
          const twice = one.updateAsync(0)
          expect(await rejectionOf(one.deleteAsync())).to.match(/these calls are in use/)
          await Promise.all([twice, other.deleteAsync(), batch.updateAsync(FD, 1), batch.deleteAsync(FD, 1)])
          const [first, second, third, fourth] = recording.calls.map(({ keep }) => keep)
          expect(first).to.include(one.view.buffer)
          expect(second).to.include(other.view.buffer)
          for (const keep of [third, fourth]) expect(keep).to.include(batch.view.buffer)
        },
        () => 0,
      )
    })
  })
})

/** Whether one object can be reached from another. */
function leadsTo(from: unknown, to: unknown, seen = new Set<unknown>()): boolean {
  if (from === to) return true
  if (typeof from !== 'object' || from === null || seen.has(from)) return false
  seen.add(from)
  if (ArrayBuffer.isView(from)) return leadsTo(from.buffer, to, seen)
  return Object.values(from).some((inner) => leadsTo(inner, to, seen))
}

describe('numbers of callers', () => {
  it('are refused where DataView would wrap them', () => {
    recorded((recording) => {
      const fields = { map_type: 1, key_size: 4, value_size: 4, max_entries: 1 }
      for (const bad of [-1, 1.5, 2 ** 32, 2 ** 32 + 1, Number.NaN, Number.POSITIVE_INFINITY]) {
        expect(() => sys.mapCreate({ ...fields, max_entries: bad })).to.throw(RangeError, `max_entries is ${bad}`)
        expect(() => sys.mapOpenById(bad)).to.throw(RangeError, 'map_id')
        expect(() => sys.mapNextId(bad)).to.throw(RangeError, 'start_id')
        expect(() => sys.progTestRun({ prog_fd: FD, repeat: bad })).to.throw(RangeError, 'repeat')
        expect(() => sys.enableStats(bad)).to.throw(RangeError, 'type')
      }
      for (const bad of ['4', null, {}, true]) {
        expect(() => sys.mapCreate({ ...fields, key_size: bad as number })).to.throw(TypeError, 'key_size is')
      }
      const { max_entries: _, ...without } = fields
      expect(() => sys.mapCreate(without as typeof fields)).to.throw(TypeError, 'undefined')
      for (const bad of [-1, 1.5, Number.NaN, 2 ** 53, -1n, 2n ** 64n]) {
        expect(() => sys.mapCreate({ ...fields, map_extra: bad }), String(bad)).to.throw(RangeError)
      }
      const netfilter = { member: 'netfilter', pf: 2, hooknum: 0, priority: 2 ** 31 } as const
      expect(() => sys.linkCreate({ prog_fd: FD, attach_type: 45, union: netfilter })).to.throw(RangeError, 'priority')
      expect(recording.bpf()).to.have.lengthOf(0)
    })
  })

  it('arrive whole where they fit', () => {
    const fields = { map_type: 1, key_size: 4, value_size: 4, max_entries: 0xffffffff, map_extra: 2n ** 64n - 1n }
    const { view } = attrOf(() => sys.mapCreate(fields))
    expect([view.getUint32(12, LE), view.getBigUint64(64, LE)]).to.deep.equal([0xffffffff, 2n ** 64n - 1n])
    const number = attrOf(() => sys.mapCreate({ ...fields, map_extra: 2 ** 53 - 1 }))
    expect(number.view.getBigUint64(64, LE)).to.equal(BigInt(2 ** 53 - 1))
    const netfilter = { member: 'netfilter', pf: 2, hooknum: 0, priority: -5 } as const
    const link = attrOf(() => sys.linkCreate({ prog_fd: FD, attach_type: 45, union: netfilter }))
    expect(link.view.getInt32(24, LE)).to.equal(-5)
  })

  it('are named by the field that they were given for', () => {
    const view = new AttrView(new ArrayBuffer(8), { good: 1, inner: { bad: -7 } })
    expect(() => view.setUint32(0, -7, LE)).to.throw(RangeError, 'inner.bad is -7')
    expect(() => view.setUint8(0, 256)).to.throw(RangeError, 'a field is 256')
  })
})
