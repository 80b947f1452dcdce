import { array, type Codec, struct, u32, u64 } from '../codec'

/** A context by its values, and the codec that packs them: `ctx` of `program.run`. */
export interface TypedContext<C> {
  readonly codec: Codec<C>
  readonly value: C
}

/** What can be said of the packet of an `xdp` program: struct xdp_md. */
export interface XdpContext {
  /** Bytes at the start of `data` that are the packet's metadata: a multiple of 4, up to 32 (252 from Linux 6.9). */
  metadata: number
  /** The interface that it came from, and the queue: of this network namespace; 0 for none. */
  ingressIfindex: number
  rxQueueIndex: number
}

const XdpMd = struct({
  data: u32,
  data_end: u32,
  data_meta: u32,
  ingress_ifindex: u32,
  rx_queue_index: u32,
  egress_ifindex: u32,
})

/** Where xdp_md has data_end: the kernel wants the packet's length there, which `run` knows. */
export const XDP_DATA_END = 4

const xdpCodec: Codec<XdpContext> = {
  name: 'struct xdp_md',
  size: XdpMd.size,
  align: XdpMd.align,
  write(view, offset, { metadata, ingressIfindex, rxQueueIndex }) {
    XdpMd.write(view, offset, {
      data: metadata,
      data_end: 0,
      data_meta: 0,
      ingress_ifindex: ingressIfindex,
      rx_queue_index: rxQueueIndex,
      egress_ifindex: 0,
    })
  },
  read(view, offset) {
    const { data, ingress_ifindex, rx_queue_index } = XdpMd.read(view, offset)
    return { metadata: data, ingressIfindex: ingress_ifindex, rxQueueIndex: rx_queue_index }
  },
}

/** The context of an `xdp` program for `run`; what is not given is 0. Linux 5.15. */
export function xdpContext(value: Partial<XdpContext> = {}): TypedContext<XdpContext> {
  return { codec: xdpCodec, value: { metadata: 0, ingressIfindex: 0, rxQueueIndex: 0, ...value } }
}

/** What can be set of the packet of `sched_cls` and other programs on socket buffers: struct __sk_buff. */
export interface SkbContext {
  mark: number
  priority: number
  /** Linux 6.1; 0 before. */
  ingressIfindex: number
  /** An interface of this network namespace. */
  ifindex: number
  /** Five words of the program's own. */
  cb: number[]
  tstamp: bigint
  /** 0 for the packet's length. */
  wireLen: number
  gsoSegs: number
  gsoSize: number
  /** Linux 5.16. */
  hwtstamp: bigint
}

const word = u32
const SkBuff = struct({
  len: word,
  pkt_type: word,
  mark: word,
  queue_mapping: word,
  protocol: word,
  vlan: array(word, 3),
  priority: word,
  ingress_ifindex: word,
  ifindex: word,
  tc_index: word,
  cb: array(word, 5),
  hash: word,
  tc_classid: word,
  data: word,
  data_end: word,
  napi_id: word,
  addresses: array(word, 13), // family to local_port
  data_meta: word,
  flow_keys: u64,
  tstamp: u64,
  wire_len: word,
  gso_segs: word,
  sk: u64,
  gso_size: word,
  tstamp_type: word,
  hwtstamp: u64,
})

const NONE = { len: 0, pkt_type: 0, queue_mapping: 0, protocol: 0, vlan: [0, 0, 0], tc_index: 0, hash: 0 }
const NEITHER = { tc_classid: 0, data: 0, data_end: 0, napi_id: 0, addresses: new Array<number>(13).fill(0) }
const NOR = { data_meta: 0, flow_keys: 0n, sk: 0n, tstamp_type: 0 }

const skbCodec: Codec<SkbContext> = {
  name: 'struct __sk_buff',
  size: SkBuff.size,
  align: SkBuff.align,
  write(view, offset, value) {
    const { mark, priority, ingressIfindex, ifindex, cb, tstamp, wireLen, gsoSegs, gsoSize, hwtstamp } = value
    SkBuff.write(view, offset, {
      ...{ ...NONE, ...NEITHER, ...NOR, mark, priority, ifindex, cb, tstamp, hwtstamp },
      ...{ ingress_ifindex: ingressIfindex, wire_len: wireLen, gso_segs: gsoSegs, gso_size: gsoSize },
    })
  },
  read(view, offset) {
    const { mark, priority, ingress_ifindex, ifindex, cb, tstamp, wire_len, gso_segs, gso_size, hwtstamp } =
      SkBuff.read(view, offset)
    return {
      ...{ mark, priority, ingressIfindex: ingress_ifindex, ifindex, cb, tstamp },
      ...{ wireLen: wire_len, gsoSegs: gso_segs, gsoSize: gso_size, hwtstamp },
    }
  },
}

/** The context of a program on socket buffers (`sched_cls`, `socket_filter` ...) for `run`; what is not given is 0. */
export function skbContext(value: Partial<SkbContext> = {}): TypedContext<SkbContext> {
  const none = { mark: 0, priority: 0, ingressIfindex: 0, ifindex: 0, cb: [0, 0, 0, 0, 0], tstamp: 0n }
  const more = { wireLen: 0, gsoSegs: 0, gsoSize: 0, hwtstamp: 0n }
  return { codec: skbCodec, value: { ...none, ...more, ...value } }
}
