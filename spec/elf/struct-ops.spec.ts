import { readdirSync, readlinkSync } from 'node:fs'
import { expect } from 'chai'
import { type ArrayMap, attachStructOps, BpfObject, Btf, ElfError, KernelError, StructOpsMap } from '../../lib'
import { abi } from '../../syscalls/abi'
import { linkExists } from '../support/attach/links'
import { requireAttach, requireLinux } from '../support/attach/require'
import { congestionControls, withConnection } from '../support/congestion'
import { errorOf } from '../support/error'
import { eventually, linuxBefore, pending } from '../support/kernel'
import { bytesOf, needsFixtures, needsKernel, open } from './kit'

/** How many fds of maps this process has: ids would be those of others, too. */
const ownMaps = () =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:bpf-map'
    } catch {
      // The fd of the folder itself.
      return false
    }
  }).length

const [PLAIN, LINKED] = ['ebpf_ts_plain', 'ebpf_ts_link']

const opsOf = (object: BpfObject, name: string) => {
  const ops = object.maps[name]?.structOps
  if (ops === undefined) throw new Error(`${name} is no struct_ops`)
  return ops
}

const mapOf = (app: { readonly maps: Readonly<Record<string, unknown>> }, name: string): StructOpsMap => {
  const map = app.maps[name]
  if (!(map instanceof StructOpsMap)) throw new Error(`${name} is no StructOpsMap`)
  return map
}

/** A socket that is being closed may use it a little longer. */
const gone = (name: string) => eventually(() => !congestionControls().includes(name), `${name} is gone`)

describe('objects with structs of functions', () => {
  beforeEach(function () {
    needsFixtures(this)
  })

  it('tell their programs and their values by member', () => {
    const object = open('struct_ops')
    const { plain } = object.maps
    expect(plain).to.include({ type: 'STRUCT_OPS', keySize: 4, valueSize: 80, maxEntries: 1, autocreate: true })
    expect(plain?.flags).to.deep.equal([])
    const { struct, programs, values, autoattach } = opsOf(object, 'plain')
    expect(struct).to.equal('tcp_congestion_ops')
    expect(autoattach).to.equal(true)
    expect({ ...programs }).to.deep.equal({
      no_such_function: undefined,
      cong_avoid: 'ebpf_ts_avoid',
      undo_cwnd: 'ebpf_ts_undo',
      ssthresh: 'ebpf_ts_ssthresh',
      cwnd_event: 'ebpf_ts_event',
    })
    expect({ ...values }).to.deep.equal({ name: PLAIN, no_such_member: 0n, flags: 0, owner: 0n })
    expect(open('struct_ops_link').maps.first?.flags).to.deep.equal(['LINK'])
    expect(open('struct_ops_link').maps.next).to.include({ autocreate: false })
  })

  it('have values that are written by member, each as its type is', () => {
    const { values, programs } = opsOf(open('struct_ops'), 'plain')
    values.name = 'other'
    values.flags = 3
    expect({ ...values }).to.deep.equal({ name: 'other', no_such_member: 0n, flags: 3, owner: 0n })
    expect(errorOf(() => (values.flags = -1)).name).to.equal('RangeError')
    expect(errorOf(() => (values.name = 'longer than sixteen bytes')).name).to.equal('RangeError')
    expect(values.name).to.equal('other')
    expect(errorOf(() => (values.nmae = 'x')).name).to.equal('TypeError')
    expect(errorOf(() => (programs.cwnd_evnt = 'x')).name).to.equal('TypeError')
    expect(opsOf(open('struct_ops'), 'plain').values.name).to.equal(PLAIN)
  })

  /** The object with some bytes changed: where the first 64-bit word stands that `was` tells, and what it is to be. */
  function broken(find: (word: bigint, at: number, view: DataView) => bigint | undefined): () => BpfObject {
    const bytes = bytesOf('struct_ops')
    const view = new DataView(bytes.buffer)
    for (let at = 0; at + 16 <= bytes.length; at += 8) {
      const is = find(view.getBigUint64(at, true), at, view)
      if (is === undefined) continue
      view.setBigUint64(at, is, true)
      return () => BpfObject.open(bytes, { name: 'broken' })
    }
    throw new Error('there is no such word')
  }

  /** r_info of a pointer in data: the symbol is in the upper half. */
  const isPointer = (view: DataView, at: number) => view.getUint32(at + 8, true) === 2

  it('are refused where an address is in no function, or in no struct', () => {
    const pointerAt = (from: bigint, to: bigint) =>
      broken((word, at, view) => (word === from && isPointer(view, at) ? to : undefined))
    expect(pointerAt(0x28n, 0x48n)).to.throw(
      /^broken at offset \d+ \(0x[0-9a-f]+\): member 'owner' of struct_ops 'plain' has an address, and is no pointer to a function$/,
    )
    expect(pointerAt(0x28n, 0x2cn)).to.throw(/byte 44 of struct_ops 'plain' has an address/)
    expect(pointerAt(0x28n, 0x1000n)).to.throw(ElfError)
  })

  it('are refused where a function is no program', () => {
    const named = (symbol: bigint) =>
      broken((word, at, view) =>
        at >= 8 && view.getBigUint64(at - 8, true) === 0x28n && (word & 0xffff_ffffn) === 2n
          ? (symbol << 32n) | 2n
          : undefined,
      )
    // 11 is the map `calls`, 4 a label within a function.
    expect(named(11n)).to.throw(/member 'cong_avoid' of struct_ops 'plain' names 'calls', which is no program/)
    expect(named(4n)).to.throw(/member 'cong_avoid' of struct_ops 'plain' names 'LBB1_2', which is no program/)
    expect(named(0n)).to.throw(/member 'cong_avoid' of struct_ops 'plain' names '', which is in another file/)
    expect(named(999n)).to.throw(/it refers to symbol 999 of 19/)
    const stray = broken((word, at, view) => (word === 0x28n && isPointer(view, at) ? 0x20n + 0n : undefined))
    expect(stray).to.throw(/member 'flags' of struct_ops 'plain' has an address/)
  })
})

describe('structs of functions', function () {
  this.timeout(300_000)

  beforeEach(function () {
    needsKernel(this)
    requireAttach(this, 'struct_ops')
  })

  describe('without a link', () => {
    it('are at work from attach to close, and called', async () => {
      const object = open('struct_ops')
      using app = object.load()
      expect(congestionControls()).to.not.include(PLAIN)
      const { links } = app.attach()
      expect(Object.keys(links)).to.deep.equal(['plain'])
      expect(congestionControls()).to.include(PLAIN)
      expect(links.plain?.info()).to.deep.equal({ type: 'struct_ops', programId: 0, mapId: mapOf(app, 'plain').id })
      const calls = app.maps.calls as ArrayMap<bigint>
      // 1 is cong_avoid, 3 cwnd_event: of a first packet, until that had a function of its own.
      const { members } = Btf.kernel().require('tcp_congestion_ops', 'struct')
      const called = members.some(({ name }) => name === 'cwnd_event_tx_start') ? [1] : [1, 3]
      await withConnection(PLAIN, (send) =>
        send(() => called.every((which) => (calls.get(which) as bigint) > 0n), 'it is called'),
      )
      expect(app.globals.last_acked?.value).to.be.a('number').above(0)
      links.plain?.close()
      await gone(PLAIN)
      app.close()
      expect(links.plain?.closed).to.equal(true)
    })

    it('end with the object, also those that were attached by themselves', async () => {
      const app = open('struct_ops').load()
      const attachment = mapOf(app, 'plain').attach()
      expect(`${attachment}`).to.match(/^struct_ops StructOpsMap#\d+ 'plain'$/)
      expect(errorOf(() => attachment.update(0)).message).to.match(
        /stays what it is: what is in section \.struct_ops\.link/,
      )
      expect(congestionControls()).to.include(PLAIN)
      app.close()
      await gone(PLAIN)
      expect(attachment.closed).to.equal(true)
      attachment.close()
    })

    it('are so once: the kernel takes no map a second time', async () => {
      using app = open('struct_ops').load()
      app.attach().close()
      await gone(PLAIN)
      const error = errorOf(() => app.attach())
      expect(error).to.be.instanceOf(KernelError)
      expect(error).to.include({ code: 'EBUSY' })
      expect(error.message).to.match(/a map without LINK is so once: load the object again/)
      expect(congestionControls()).to.not.include(PLAIN)
    })

    it('are refused whole where one of the name is there', async () => {
      const first = open('struct_ops').load()
      first.attach()
      using second = open('struct_ops').load()
      const error = errorOf(() => second.attach())
      expect(error).to.include({ code: 'EEXIST' })
      expect(error.message).to.match(/one of the same name is there already/)
      second.close()
      expect(congestionControls()).to.include(PLAIN)
      first.close()
      await gone(PLAIN)
    })

    it('load the programs that they have, and no others', () => {
      using app = open('struct_ops').load()
      expect(Object.keys(app.programs)).to.have.members([
        'ebpf_ts_ssthresh',
        'ebpf_ts_avoid',
        'ebpf_ts_undo',
        'ebpf_ts_event',
      ])
      const object = open('struct_ops')
      opsOf(object, 'plain').programs.cwnd_event = undefined
      opsOf(object, 'plain').values.name = 'ebpf_ts_other'
      using less = object.load()
      expect(Object.keys(less.programs)).to.have.members(['ebpf_ts_ssthresh', 'ebpf_ts_avoid', 'ebpf_ts_undo'])
      using attached = less.attach()
      expect(congestionControls()).to.include('ebpf_ts_other')
      attached.close()
      const none = open('struct_ops')
      if (none.maps.plain !== undefined) none.maps.plain.autocreate = false
      using bare = none.load()
      expect(Object.keys(bare.programs)).to.deep.equal([])
      expect(Object.keys(bare.attach().links)).to.deep.equal([])
    })

    it('take another program of the object', () => {
      const object = open('struct_ops')
      opsOf(object, 'plain').programs.ssthresh = 'ebpf_ts_unused'
      using app = object.load()
      expect(Object.keys(app.programs)).to.include('ebpf_ts_unused').and.not.include('ebpf_ts_ssthresh')
    })
  })

  describe('that cannot be loaded', () => {
    const refused = (change: (object: BpfObject, ops: ReturnType<typeof opsOf>) => void): Error => {
      const object = open('struct_ops')
      change(object, opsOf(object, 'plain'))
      const before = ownMaps()
      const error = errorOf(() => object.load())
      expect(ownMaps()).to.equal(before)
      return error
    }

    it('have what the kernel lacks, and it is not zero', () => {
      const value = refused((_, { values }) => {
        values.no_such_member = 1n
      })
      expect(value).to.be.instanceOf(RangeError)
      expect(value.message).to.equal(
        "member 'no_such_member' of struct_ops 'plain': this kernel's struct tcp_congestion_ops has none, and it is not zero " +
          '(structOps.values.no_such_member = 0 makes it so)',
      )
      const program = refused((_, { programs }) => {
        programs.no_such_function = 'ebpf_ts_unused'
      })
      expect(program).to.be.instanceOf(RangeError)
      expect(program.message).to.match(/structOps\.programs\.no_such_function = undefined makes it so/)
      const pointer = refused((_, { values }) => {
        values.owner = 4096n
      })
      expect(pointer.message).to.match(
        /member 'owner' .*: it is a pointer to what is no function: only zero can be there/,
      )
    })

    it('have programs that are none, or of another kind, or of two members', () => {
      const none = refused((_, { programs }) => {
        programs.ssthresh = 'ebpf_ts_avoi'
      })
      expect(none).to.be.instanceOf(TypeError)
      expect(none.message).to.equal(
        "member 'ssthresh' of struct_ops 'plain' is 'ebpf_ts_avoi', and the object has no such program: did you mean 'ebpf_ts_avoid'?",
      )
      const other = refused((object) => {
        if (object.programs.ebpf_ts_undo !== undefined) object.programs.ebpf_ts_undo.type = 'xdp'
      })
      expect(other).to.be.instanceOf(TypeError)
      expect(other.message).to.match(
        /member 'undo_cwnd' of struct_ops 'plain' is program 'ebpf_ts_undo', whose type is xdp/,
      )
      const both = refused((_, { programs }) => {
        programs.undo_cwnd = 'ebpf_ts_ssthresh'
      })
      expect(both).to.be.instanceOf(TypeError)
      expect(both.message).to.match(
        /program 'ebpf_ts_ssthresh' is member 'undo_cwnd' .* and member 'ssthresh' .*: the kernel loads it for one/,
      )
    })

    it('are described as another map', () => {
      const described = (change: Partial<NonNullable<BpfObject['maps'][string]>>) =>
        refused(({ maps }) => Object.assign(maps.plain as object, change)).message
      expect(described({ type: 'HASH' })).to.equal("struct_ops 'plain' is of type STRUCT_OPS, and cannot be a HASH")
      expect(described({ pinning: 'by-name' })).to.match(/is not pinned by its name/)
      expect(described({ maxEntries: 2 })).to.match(/maxEntries is 2, and of STRUCT_OPS it is 1/)
      expect(described({ valueSize: 2 })).to.match(/valueSize is 2, and its struct has 80 bytes/)
    })

    it('are given in place of themselves', () => {
      using app = open('struct_ops').load()
      const error = errorOf(() => open('struct_ops').load({ maps: { plain: mapOf(app, 'plain') } }))
      expect(error).to.be.instanceOf(TypeError)
      expect(error.message).to.match(
        /struct_ops 'plain' is made from its object: load cannot take another map in its place/,
      )
    })

    it('are not what the kernel takes, which it says when they are put to work', () => {
      const object = open('struct_ops')
      opsOf(object, 'plain').programs.ssthresh = undefined
      using app = object.load()
      const error = errorOf(() => app.attach())
      expect(error).to.include({ code: 'EINVAL' })
      expect(error.message).to.match(
        /the kernel does not take this tcp_congestion_ops: a function that it needs has no program/,
      )
      expect(congestionControls()).to.not.include(PLAIN)
    })
  })

  describe('with a link', () => {
    it('are told by kernels that are too old for it', function () {
      if (!linuxBefore(6, 4)) pending(this, 'this kernel has them')
      const before = ownMaps()
      const error = errorOf(() => open('struct_ops_link').load())
      expect(error).to.include({ code: 'EINVAL' })
      expect(error.message).to.match(/section \.struct_ops\.link \(the flag LINK\) came with Linux 6\.4/)
      expect(ownMaps()).to.equal(before)
    })

    it('are at work as long as the link is', async function () {
      requireLinux(this, 6, 4, 'links to struct_ops')
      using app = open('struct_ops_link').load()
      expect(Object.keys(app.programs)).to.not.include('next_avoid')
      expect(congestionControls()).to.not.include(LINKED)
      const { links } = app.attach()
      expect(congestionControls()).to.include(LINKED)
      const info = links.first?.info() as unknown as { type: string; mapId: number; id: number }
      expect(info).to.include({ type: 'struct_ops', mapId: mapOf(app, 'first').id })
      await withConnection(LINKED, (send) =>
        send(() => (app.globals.first_calls?.value as bigint) > 0n, 'it is called'),
      )
      expect(app.globals.inits?.value).to.equal(1n)
      links.first?.close()
      await gone(LINKED)
      // Unlike one without, it can be put to work again.
      attachStructOps(mapOf(app, 'first')).close()
      await gone(LINKED)
      app.attach()
      expect(congestionControls()).to.include(LINKED)
      app.close()
      await gone(LINKED)
      await eventually(() => !linkExists(info.id), 'the link is gone')
    })

    it('are replaced by others of their name', async function () {
      requireLinux(this, 6, 4, 'links to struct_ops')
      const object = open('struct_ops_link')
      Object.assign(object.maps.next as object, { autocreate: true })
      opsOf(object, 'next').autoattach = false
      using app = object.load()
      const [first, next] = [mapOf(app, 'first'), mapOf(app, 'next')]
      using link = first.attach()
      await withConnection(LINKED, (send) =>
        send(() => (app.globals.first_calls?.value as bigint) > 0n, 'the first is called'),
      )
      expect(app.globals.next_calls?.value).to.equal(0n)
      expect(errorOf(() => link.update(next, { replacing: next }))).to.include({ code: 'EPERM' })
      link.update(next, { replacing: first })
      expect((link.info() as { mapId?: number }).mapId).to.equal(next.id)
      await withConnection(LINKED, (send) =>
        send(() => (app.globals.next_calls?.value as bigint) > 0n, 'the next is called'),
      )
      expect(errorOf(() => link.update(app.maps['.bss'] as ArrayMap<unknown>)).message).to.match(
        /a map of type STRUCT_OPS is put to work/,
      )
      app.close()
      await gone(LINKED)
    })

    it('are attached all or none', async function () {
      requireLinux(this, 6, 4, 'links to struct_ops')
      const object = open('struct_ops_link')
      // Of the same name as the first: it is refused when that is there.
      Object.assign(object.maps.next as object, { autocreate: true })
      using app = object.load()
      expect(errorOf(() => app.attach())).to.include({ code: 'EEXIST' })
      await gone(LINKED)
    })
  })

  describe('that nothing takes', () => {
    it('have programs that run, and leave nothing when they are refused', function () {
      requireLinux(this, 5, 16, 'bpf_dummy_ops')
      const before = ownMaps()
      const object = open('struct_ops_dummy')
      const struct = Btf.kernel().require('bpf_dummy_ops', 'struct')
      const sleeps = struct.members.some(({ name }) => name === 'test_sleepable')
      const { programs } = object.maps.dummy?.structOps ?? {}
      if (programs === undefined) throw new Error('there is no such struct')
      if (!sleeps) {
        expect(errorOf(() => object.load()).message).to.match(/member 'test_sleepable' .*bpf_dummy_ops has none/)
        programs.test_sleepable = undefined
      }
      using app = object.load()
      expect(Object.keys(app.programs)).to.have.members(sleeps ? ['one', 'sleeps'] : ['one'])
      // Its argument is where the struct bpf_dummy_ops_state is.
      const state = new ArrayBuffer(8)
      const ctx = new Uint8Array(new BigUint64Array([BigInt(abi().addressOf(state))]).buffer)
      expect(app.programs.one?.run({ ctx }).retval).to.equal(42)
      expect(app.globals.ran?.value).to.equal(1n)
      expect(state.byteLength).to.equal(8)
      const error = errorOf(() => app.attach())
      expect(error).to.include({ code: 'EOPNOTSUPP' })
      expect(error.message).to.match(/this kernel lets nobody put a bpf_dummy_ops to work/)
      app.close()
      expect(ownMaps()).to.equal(before)
    })
  })
})
