import { expect } from 'chai'
import { LE } from '../../syscalls/attr-common'
import * as info from '../../syscalls/info'
import * as uapi from '../../syscalls/uapi'
import { type Btf, kernelAgainst618, kernelBtf, lacking } from '../support/btf'
import { pending } from '../support/kernel'

type Value = number | bigint | string | boolean | undefined | Tree
type Tree = { readonly [name: string]: Value }

const SIZE = 256

/** A buffer in which every byte is another, so that no field reads like its neighbour. */
function pattern(): DataView {
  return new DataView(Uint8Array.from({ length: SIZE }, (_, i) => (i * 7 + 13) & 0xff).buffer)
}

/** What C would read at a path, in the type of `like`. */
function expected(view: DataView, bitOffset: number, bitSize: number, like: Value): Value {
  const offset = bitOffset / 8
  if (bitSize === 1) {
    const bit = LE ? bitOffset % 8 : 7 - (bitOffset % 8)
    return ((view.getUint8(Math.floor(offset)) >> bit) & 1) === 1
  }
  if (typeof like === 'string') {
    const bytes = Buffer.from(view.buffer, offset, bitSize / 8)
    return bitSize === 64 ? bytes.toString('hex') : bytes.toString('latin1')
  }
  if (bitSize === 32) return like === view.getInt32(offset, LE) ? like : view.getUint32(offset, LE)
  const value = view.getBigUint64(offset, LE)
  return typeof like === 'bigint' ? value : Number(value)
}

/** The leaves of a decoded info: ['xdp.ifindex', 3], ... */
function leaves(tree: Tree, prefix = ''): [string, Value][] {
  return Object.entries(tree).flatMap(([name, value]) =>
    typeof value === 'object' ? leaves(value, `${prefix}${name}.`) : [[prefix + name, value] as [string, Value]],
  )
}

/** What came after Linux 6.18. */
const AFTER_618 = /^tracing_multi\./

/** Holds a decoded info against the kernel's struct; the result is the paths that were in it. */
function compare(btf: Btf, struct: string, view: DataView, decoded: Tree): string[] {
  const id = btf.struct(struct)
  return leaves(decoded).map(([path, value]) => {
    const field = btf.field(id, path)
    if (field !== undefined) expect(value, path).to.equal(expected(view, field.bitOffset, field.bitSize, value))
    else if (kernelAgainst618() >= 0 && !AFTER_618.test(path)) throw new Error(`struct ${struct} has no ${path}`)
    return path
  })
}

/** Each field that ends past `length` is undefined, each one before it is not. */
function compareCut(btf: Btf, struct: string, length: number, decoded: Tree): void {
  const id = btf.struct(struct)
  for (const [path, value] of leaves(decoded)) {
    const field = btf.field(id, path)
    if (field === undefined) continue
    const past = field.bitOffset + field.bitSize > length * 8
    expect(value === undefined, `${path} at info_len ${length}`).to.equal(past)
  }
}

const asTree = (decoded: object): Tree => decoded as Tree

/** The structs that have no union, and their size in Linux 5.10. */
const PLAIN: [string, (view: DataView, length: number) => object, number, number][] = [
  ['bpf_map_info', info.readMapInfo, info.MAP_INFO_SIZE, 80],
  ['bpf_prog_info', info.readProgInfo, info.PROG_INFO_SIZE, 208],
  ['bpf_btf_info', info.readBtfInfo, info.BTF_INFO_SIZE, 16],
  ['bpf_token_info', info.readTokenInfo, info.TOKEN_INFO_SIZE, 32],
]

describe('struct bpf_*_info', () => {
  for (const [struct, read, size, least] of PLAIN) {
    describe(struct, () => {
      it('decodes every field of the kernel where the kernel has it', function () {
        const btf = kernelBtf(this)
        if (!btf.has(struct)) return pending(this, `the kernel has no struct ${struct}`)
        const view = pattern()
        const paths = compare(btf, struct, view, asTree(read(view, size)))
        lacking(
          btf.paths(btf.struct(struct)).filter((path) => !paths.includes(path)),
          `struct ${struct}`,
        )
        if (kernelAgainst618() === 0) expect(btf.sizeOf(btf.struct(struct))).to.equal(size)
      })

      it('leaves undefined what the kernel did not fill', function () {
        const btf = kernelBtf(this)
        if (!btf.has(struct)) return pending(this, `the kernel has no struct ${struct}`)
        for (let length = least; length <= size; length++) {
          compareCut(btf, struct, length, asTree(read(pattern(), length)))
        }
      })

      it('refuses less than Linux 5.10 fills, and more than the buffer has', () => {
        expect(() => read(pattern(), least - 1)).to.throw(RangeError, `info_len is ${least - 1}`)
        expect(() => read(pattern(), SIZE + 1)).to.throw(RangeError, struct)
      })
    })
  }

  describe('bpf_link_info', () => {
    const LINK_TYPES = Object.entries(uapi).filter(([name]) => /^BPF_LINK_TYPE_(?!UNSPEC)/.test(name)) as [
      string,
      number,
    ][]
    const PERF_TYPES = Object.entries(uapi).filter(([name]) => /^BPF_PERF_EVENT_(?!UNSPEC)/.test(name)) as [
      string,
      number,
    ][]

    /** A pattern of each link type, and of each kind of perf event. */
    function patterns(): [string, DataView][] {
      const perf = uapi.BPF_LINK_TYPE_PERF_EVENT
      return [
        ...LINK_TYPES.map(([name, type]): [string, DataView] => [name, typed(type)]),
        ...PERF_TYPES.map(([name, type]): [string, DataView] => [name, typed(perf, type)]),
      ]
    }

    function typed(type: number, perfType?: number): DataView {
      const view = pattern()
      view.setUint32(0, type, LE)
      if (perfType !== undefined) view.setUint32(16, perfType, LE)
      return view
    }

    it('decodes every field of the kernel where the kernel has it', function () {
      const btf = kernelBtf(this)
      const paths = patterns().flatMap(([, view]) =>
        compare(btf, 'bpf_link_info', view, asTree(info.readLinkInfo(view, info.LINK_INFO_SIZE))),
      )
      lacking(
        btf.paths(btf.struct('bpf_link_info')).filter((path) => !paths.includes(path)),
        'struct bpf_link_info',
      )
      if (kernelAgainst618() === 0) expect(btf.sizeOf(btf.struct('bpf_link_info'))).to.equal(info.LINK_INFO_SIZE)
    })

    it('decodes the member of the link type, and no other', () => {
      for (const [name, type] of LINK_TYPES) {
        const decoded = info.readLinkInfo(typed(type), info.LINK_INFO_SIZE)
        const member = name.slice('BPF_LINK_TYPE_'.length).toLowerCase()
        expect(Object.keys(decoded), name).to.deep.equal(['type', 'id', 'prog_id', member])
      }
      expect(Object.keys(info.readLinkInfo(typed(99), info.LINK_INFO_SIZE))).to.deep.equal(['type', 'id', 'prog_id'])
    })

    it('leaves undefined what the kernel did not fill', function () {
      const btf = kernelBtf(this)
      for (const [, view] of patterns()) {
        for (let length = 32; length <= info.LINK_INFO_SIZE; length++) {
          compareCut(btf, 'bpf_link_info', length, asTree(info.readLinkInfo(view, length)))
        }
      }
    })

    it('refuses less than Linux 5.10 fills', () => {
      expect(() => info.readLinkInfo(pattern(), 31)).to.throw(RangeError, 'info_len is 31')
    })
  })

  describe('requests', () => {
    /** Packs a request of one field, all ones, and finds it again. */
    function check(btf: Btf, struct: string, path: string, pack: (view: DataView, value: never) => number): void {
      const field = btf.field(btf.struct(struct), path)
      if (field === undefined) {
        if (kernelAgainst618() >= 0 && !AFTER_618.test(path)) throw new Error(`struct ${struct} has no ${path}`)
        return
      }
      const bytes = new Uint8Array(SIZE)
      const size = pack(
        new DataView(bytes.buffer),
        (field.bitSize === 64 ? 0xffff_ffff_ffff_ffffn : 0xffffffff) as never,
      )
      const first = bytes.findIndex((b) => b !== 0)
      const end = bytes.findLastIndex((b) => b !== 0) + 1
      expect([first, end], path).to.deep.equal([field.bitOffset / 8, (field.bitOffset + field.bitSize) / 8])
      expect(size, path).to.be.at.least(end)
    }

    /** The types make the compiler refuse a list that has forgotten a field. */
    const MAP: Record<keyof info.MapInfoRequest, true> = { hash: true, hash_size: true }
    const BTF: Record<keyof info.BtfInfoRequest, true> = { btf: true, btf_size: true, name: true, name_len: true }
    const PROG: Record<keyof info.ProgInfoRequest, true> = {
      jited_prog_len: true,
      xlated_prog_len: true,
      jited_prog_insns: true,
      xlated_prog_insns: true,
      nr_map_ids: true,
      map_ids: true,
      nr_jited_ksyms: true,
      nr_jited_func_lens: true,
      jited_ksyms: true,
      jited_func_lens: true,
      func_info_rec_size: true,
      func_info: true,
      nr_func_info: true,
      nr_line_info: true,
      line_info: true,
      jited_line_info: true,
      nr_jited_line_info: true,
      line_info_rec_size: true,
      jited_line_info_rec_size: true,
      nr_prog_tags: true,
      prog_tags: true,
    }
    type Member = info.LinkInfoRequest['member']
    const LINK: {
      [M in Member]: Record<Exclude<keyof Extract<info.LinkInfoRequest, { member: M }>, 'member'>, string>
    } = {
      raw_tracepoint: { tp_name: 'raw_tracepoint.tp_name', tp_name_len: 'raw_tracepoint.tp_name_len' },
      iter: { target_name: 'iter.target_name', target_name_len: 'iter.target_name_len' },
      kprobe_multi: { addrs: 'kprobe_multi.addrs', count: 'kprobe_multi.count', cookies: 'kprobe_multi.cookies' },
      uprobe_multi: {
        path: 'uprobe_multi.path',
        path_size: 'uprobe_multi.path_size',
        offsets: 'uprobe_multi.offsets',
        ref_ctr_offsets: 'uprobe_multi.ref_ctr_offsets',
        cookies: 'uprobe_multi.cookies',
        count: 'uprobe_multi.count',
      },
      perf_event: { name: 'perf_event.uprobe.file_name', name_len: 'perf_event.uprobe.name_len' },
      tracing_multi: {
        count: 'tracing_multi.count',
        ids: 'tracing_multi.ids',
        addrs: 'tracing_multi.addrs',
        cookies: 'tracing_multi.cookies',
      },
    }

    it('are written where the kernel reads them', function () {
      const btf = kernelBtf(this)
      for (const name of Object.keys(MAP)) {
        check(btf, 'bpf_map_info', name, (view, value) => info.packMapInfo(view, { [name]: value }))
      }
      for (const name of Object.keys(BTF)) {
        check(btf, 'bpf_btf_info', name, (view, value) => info.packBtfInfo(view, { [name]: value }))
      }
      for (const name of Object.keys(PROG)) {
        check(btf, 'bpf_prog_info', name, (view, value) => info.packProgInfo(view, { [name]: value }))
      }
      for (const [member, names] of Object.entries(LINK)) {
        for (const [name, path] of Object.entries(names)) {
          check(btf, 'bpf_link_info', path, (view, value) =>
            info.packLinkInfo(view, { member, [name]: value } as unknown as info.LinkInfoRequest),
          )
        }
      }
    })

    it('have the name of a kprobe and of a tracepoint where that of a uprobe is', function () {
      const btf = kernelBtf(this)
      const id = btf.struct('bpf_link_info')
      for (const path of ['kprobe.func_name', 'tracepoint.tp_name']) {
        const name = btf.field(id, `perf_event.${path}`)
        if (name !== undefined) expect(name.bitOffset, path).to.equal(24 * 8)
      }
    })
  })

  it('reads a name up to its NUL', () => {
    const view = new DataView(new ArrayBuffer(SIZE))
    Buffer.from(view.buffer).write('by_uid\0garbage', 24)
    expect(info.readMapInfo(view, info.MAP_INFO_SIZE).name).to.equal('by_uid')
  })
})
