import { array, type Codec, struct, u32, u64 } from '../codec'
import { checkKnownOptions, optionNames } from '../text/known-options'

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

// struct xdp_md and struct __sk_buff, with the names that errors are to tell.

const XdpMd = struct({
  metadata: u32, // data
  dataEnd: u32,
  dataMeta: u32,
  ingressIfindex: u32,
  rxQueueIndex: u32,
  egressIfindex: u32,
})

/** The most that any kernel takes (xdp_metalen_invalid in include/net/xdp.h). */
const MOST_METADATA = 252

/** Where xdp_md has data_end: the kernel wants the packet's length there, which `run` knows. */
export const XDP_DATA_END = 4

const xdpCodec: Codec<XdpContext> = {
  name: 'struct xdp_md',
  size: XdpMd.size,
  align: XdpMd.align,
  write(view, offset, value) {
    XdpMd.write(view, offset, { dataEnd: 0, dataMeta: 0, egressIfindex: 0, ...value })
    const { metadata } = value
    if (metadata % 4 === 0 && metadata <= MOST_METADATA) return
    throw new RangeError(`metadata: ${metadata} bytes cannot be: a multiple of 4 up to ${MOST_METADATA} can`)
  },
  read(view, offset) {
    const { metadata, ingressIfindex, rxQueueIndex } = XdpMd.read(view, offset)
    return { metadata, ingressIfindex, rxQueueIndex }
  },
}

const XDP_FIELDS = optionNames<XdpContext>({ metadata: true, ingressIfindex: true, rxQueueIndex: true })

/** The context of an `xdp` program for `run`; what is not given is 0. Throws TypeError. Linux 5.15. */
export function xdpContext(value: Partial<XdpContext> = {}): TypedContext<XdpContext> {
  checkKnownOptions(value, XDP_FIELDS, { what: 'field' })
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
  pktType: word,
  mark: word,
  queueMapping: word,
  protocol: word,
  vlan: array(word, 3),
  priority: word,
  ingressIfindex: word,
  ifindex: word,
  tcIndex: word,
  cb: array(word, 5),
  hash: word,
  tcClassid: word,
  data: word,
  dataEnd: word,
  napiId: word,
  addresses: array(word, 13), // family to local_port
  dataMeta: word,
  flowKeys: u64,
  tstamp: u64,
  wireLen: word,
  gsoSegs: word,
  sk: u64,
  gsoSize: word,
  tstampType: word,
  hwtstamp: u64,
})

const NONE = { len: 0, pktType: 0, queueMapping: 0, protocol: 0, vlan: [0, 0, 0], tcIndex: 0, hash: 0 }
const NEITHER = { tcClassid: 0, data: 0, dataEnd: 0, napiId: 0, addresses: new Array<number>(13).fill(0) }
const NOR = { dataMeta: 0, flowKeys: 0n, sk: 0n, tstampType: 0 }

const skbCodec: Codec<SkbContext> = {
  name: 'struct __sk_buff',
  size: SkBuff.size,
  align: SkBuff.align,
  write(view, offset, value) {
    SkBuff.write(view, offset, { ...NONE, ...NEITHER, ...NOR, ...value })
  },
  read(view, offset) {
    const { mark, priority, ingressIfindex, ifindex, cb, tstamp, wireLen, gsoSegs, gsoSize, hwtstamp } = SkBuff.read(
      view,
      offset,
    )
    return { mark, priority, ingressIfindex, ifindex, cb, tstamp, wireLen, gsoSegs, gsoSize, hwtstamp }
  },
}

const SKB_FIELDS = optionNames<SkbContext>({
  ...{ mark: true, priority: true, ingressIfindex: true, ifindex: true, cb: true, tstamp: true },
  ...{ wireLen: true, gsoSegs: true, gsoSize: true, hwtstamp: true },
})

/**
 * The context of a program on socket buffers (`sched_cls`, `socket_filter` ...) for `run`; what is not given is 0. Throws
 * TypeError.
 */
export function skbContext(value: Partial<SkbContext> = {}): TypedContext<SkbContext> {
  checkKnownOptions(value, SKB_FIELDS, { what: 'field' })
  const none = { mark: 0, priority: 0, ingressIfindex: 0, ifindex: 0, cb: [0, 0, 0, 0, 0], tstamp: 0n }
  const more = { wireLen: 0, gsoSegs: 0, gsoSize: 0, hwtstamp: 0n }
  return { codec: skbCodec, value: { ...none, ...more, ...value } }
}
