import { constants } from 'node:os'
import { abi, keepAlive } from './abi'
import { LE } from './attr-common'
import { addressOfBytes } from './buffer'
import { errnoName, KernelError, type Subject, throwKernelError } from './errno'
import { checkFd, closeFd } from './fd'
import { NR } from './numbers'
import { AF_NETLINK, openSocket, SOCK_RAW, setSocketOption } from './socket'

/**
 * Netlink (man 7 netlink): messages to the kernel and their answers, in the machine's byte order. The kernel works on a
 * request within send(2), so all answers that are no dump are there when it returns: nothing waits here.
 */

const NETLINK_ROUTE = 0
const SOL_NETLINK = 270
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11

// include/uapi/linux/netlink.h: flags of a request
const NLM_F_REQUEST = 1
const NLM_F_ACK = 4
export const NLM_F_ECHO = 8
const NLM_F_DUMP_INTR = 0x10
export const NLM_F_REPLACE = 0x100
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400
export const NLM_F_DUMP = 0x300
// ... and of what says how it went
const NLM_F_CAPPED = 0x100
const NLM_F_ACK_TLVS = 0x200

const NLMSG_ERROR = 2
const NLMSG_DONE = 3
/** Below are those of netlink itself: with the two above, one that says nothing, and one that no kernel sends. */
const NLMSG_MIN_TYPE = 16
const NLMSGERR_ATTR_MSG = 1

/** sizeof(struct nlmsghdr), sizeof(struct nlattr) */
const HEADER_BYTES = 16
const ATTRIBUTE_BYTES = 4
/** The low bits of an attribute's type: the others say that it is nested, or in network byte order. */
const TYPE_MASK = 0x3fff
const NLA_F_NESTED = 0x8000

/** The kernel's dumps come in pieces of up to 32 KiB (netlink_dump in net/netlink/af_netlink.c). */
const RECEIVE_BYTES = 1 << 16

const MSG_DONTWAIT = 0x40
const MSG_TRUNC = 0x20
/** How often a dump is asked for again that changed while it was read. */
const MAX_TRIES = 8

/** A socket to rtnetlink, which the caller owns: of the calling thread's network namespace for good. */
export function openRouteSocket(): number {
  const fd = openSocket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, 'NETLINK_ROUTE')
  const on = Uint32Array.of(1)
  try {
    // With these, a refusal comes with the kernel's own words (Linux 4.12), and without a copy of the request.
    setSocketOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, on, { command: 'NETLINK_EXT_ACK' })
    setSocketOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, on, { command: 'NETLINK_CAP_ACK' })
  } catch (error) {
    closeFd(fd)
    throw error
  }
  return fd
}

/** An attribute to send: bytes, a u32, a NUL-terminated text, or attributes within it. */
export type Attribute = readonly [type: number, value: Uint8Array | number | string | readonly Attribute[]]

/** Attributes as bytes, each padded to 4. Throws RangeError for one that is longer than its length can say. */
export function packAttributes(attributes: readonly Attribute[]): Buffer {
  return Buffer.concat(
    attributes.map(([type, value]) => {
      const nested = Array.isArray(value)
      const bytes = payload(value)
      const length = ATTRIBUTE_BYTES + bytes.byteLength
      if (length > 0xffff) throw new RangeError(`a netlink attribute of ${length} bytes: 65535 at most`)
      const packed = Buffer.alloc(align4(length))
      const view = viewOf(packed)
      view.setUint16(0, length, LE)
      view.setUint16(2, nested ? type | NLA_F_NESTED : type, LE)
      packed.set(bytes, ATTRIBUTE_BYTES)
      return packed
    }),
  )
}

function payload(value: Attribute[1]): Uint8Array {
  if (value instanceof Uint8Array) return value
  if (typeof value === 'string') return Buffer.from(`${value}\0`)
  if (typeof value !== 'number') return packAttributes(value as readonly Attribute[])
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) throw new RangeError(`${value} is no u32`)
  const bytes = Buffer.alloc(4)
  viewOf(bytes).setUint32(0, value, LE)
  return bytes
}

/** The attributes in these bytes, by their type. What is cut off is left out. */
export function readAttributes(bytes: Uint8Array): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>()
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const view = viewOf(all)
  for (let at = 0; at + ATTRIBUTE_BYTES <= all.length; ) {
    const length = view.getUint16(at, LE)
    if (length < ATTRIBUTE_BYTES || at + length > all.length) break
    found.set(view.getUint16(at + 2, LE) & TYPE_MASK, all.subarray(at + ATTRIBUTE_BYTES, at + length))
    at += align4(length)
  }
  return found
}

/** A request: its type and flags, the struct of its family, and attributes. */
export interface NetlinkRequest {
  readonly type: number
  readonly flags?: number | undefined
  readonly header: Uint8Array
  readonly attributes?: readonly Attribute[] | undefined
  /** 'RTM_NEWTFILTER', for errors. */
  readonly command: string
  readonly subject?: Subject | undefined
  /** Codes that are answers: the reply's code is then one of them. */
  readonly mayFail?: readonly string[] | undefined
}

export interface NetlinkReply {
  /** '' or one of `mayFail`. */
  readonly code: string
  /** What came before the acknowledgement: the payload of each message. */
  readonly messages: readonly Buffer[]
}

let sequence = 0

/**
 * Sends a request and reads all of the answer. Throws KernelError, whose hint is what the kernel says of the refusal: it
 * comes from sendto(2). One from recvfrom(2) leaves open what has become of the request: EINTR (a list that changed each
 * time it was read), EBADMSG, EMSGSIZE (an answer that cannot be read), ENOBUFS, EAGAIN (none that is whole).
 */
export function netlinkRequest(fd: number, request: NetlinkRequest): NetlinkReply {
  checkFd(fd)
  const dump = ((request.flags ?? 0) & NLM_F_DUMP) === NLM_F_DUMP
  for (let tries = 1; tries <= MAX_TRIES; tries++) {
    const { interrupted, ...reply } = once(fd, request, dump)
    // What is torn may lack what was there all the time: nobody could tell it from what is not there.
    if (!interrupted) return reply
  }
  throw unreadable('EINTR', request, `what is listed has changed each of the ${MAX_TRIES} times that it was read`)
}

function once(fd: number, request: NetlinkRequest, dump: boolean): NetlinkReply & { readonly interrupted: boolean } {
  sequence = (sequence + 1) >>> 0
  const ours = sequence
  send(fd, request, dump ? NLM_F_REQUEST : NLM_F_REQUEST | NLM_F_ACK, ours)
  const messages: Buffer[] = []
  let interrupted = false
  for (;;) {
    for (const { type, flags, seq, bytes } of messagesIn(receive(fd, request), request)) {
      // Of a request before this one, whose answer an error kept from being read.
      if (seq !== ours) continue
      if ((flags & NLM_F_DUMP_INTR) !== 0) interrupted = true
      if (type !== NLMSG_ERROR && type !== NLMSG_DONE) {
        if (type >= NLMSG_MIN_TYPE) messages.push(bytes)
        continue
      }
      const errno = errnoIn(bytes, type, request)
      if (errno <= 0) return { code: '', messages, interrupted }
      const code = errnoName(errno)
      if (request.mayFail?.includes(code) === true) return { code, messages, interrupted }
      throwKernelError(errno, about(request, words(bytes, type, flags)))
    }
  }
}

/** How it went. The end of a dump need not say. */
function errnoIn(bytes: Buffer, type: number, request: NetlinkRequest): number {
  if (bytes.length >= 4) return -viewOf(bytes).getInt32(0, LE)
  if (type === NLMSG_DONE) return 0
  throw unreadable('EBADMSG', request, `an acknowledgement of ${bytes.length} bytes`)
}

function send(fd: number, request: NetlinkRequest, more: number, seq: number) {
  const { type, flags = 0, header, attributes = [] } = request
  const body = Buffer.concat([header, packAttributes(attributes)])
  const message = Buffer.alloc(HEADER_BYTES + body.length)
  const view = viewOf(message)
  view.setUint32(0, message.length, LE)
  view.setUint16(4, type, LE)
  view.setUint16(6, flags | more, LE)
  view.setUint32(8, seq, LE)
  message.set(body, HEADER_BYTES)
  const address = addressOfBytes(message, 'message')
  const result = abi().syscall(NR.sendto, fd, address, message.length, 0, 0, 0)
  keepAlive(message)
  if (result < 0) throwKernelError(-result, about(request, undefined))
}

function receive(fd: number, request: NetlinkRequest): Buffer {
  const buffer = Buffer.from(new ArrayBuffer(RECEIVE_BYTES))
  const address = addressOfBytes(buffer, 'buffer')
  const result = abi().syscall(NR.recvfrom, fd, address, RECEIVE_BYTES, MSG_DONTWAIT | MSG_TRUNC, 0, 0)
  keepAlive(buffer)
  if (result < 0) {
    const said = errnoName(-result) === 'EAGAIN' ? 'the kernel has not answered, or not to the end' : undefined
    throwKernelError(-result, { ...about(request, said), syscall: 'recvfrom' })
  }
  if (result > RECEIVE_BYTES) {
    throw unreadable('EMSGSIZE', request, `an answer of ${result} bytes, and there is room for ${RECEIVE_BYTES}`)
  }
  return buffer.subarray(0, result)
}

/** An answer from which it cannot be told what has become of the request. */
function unreadable(code: 'EINTR' | 'EBADMSG' | 'EMSGSIZE', request: NetlinkRequest, why: string): KernelError {
  return new KernelError(constants.errno[code], { ...about(request, why), syscall: 'recvfrom' })
}

interface Message {
  readonly type: number
  readonly flags: number
  readonly seq: number
  readonly bytes: Buffer
}

function* messagesIn(datagram: Buffer, request: NetlinkRequest): Generator<Message, void, undefined> {
  const view = viewOf(datagram)
  for (let at = 0; at < datagram.length; ) {
    const left = datagram.length - at
    const length = left < HEADER_BYTES ? 0 : view.getUint32(at, LE)
    if (length < HEADER_BYTES || length > left) {
      throw unreadable('EBADMSG', request, `a message of ${length} bytes, where ${left} are left of the answer`)
    }
    const bytes = datagram.subarray(at + HEADER_BYTES, at + length)
    yield {
      type: view.getUint16(at + 4, LE),
      flags: view.getUint16(at + 6, LE),
      seq: view.getUint32(at + 8, LE),
      bytes,
    }
    at += align4(length)
  }
}

/**
 * What the kernel says of a refusal: behind struct nlmsgerr, which is the errno and the header of what was refused; where
 * it comes at the end of a dump, behind the errno alone (netlink_dump_done).
 */
function words(bytes: Buffer, type: number, flags: number): string | undefined {
  if ((flags & NLM_F_ACK_TLVS) === 0) return undefined
  const whole = type === NLMSG_ERROR && bytes.length >= 8 && (flags & NLM_F_CAPPED) === 0
  const refused = type === NLMSG_DONE ? 0 : whole ? viewOf(bytes).getUint32(4, LE) : HEADER_BYTES
  const text = readAttributes(bytes.subarray(4 + align4(refused))).get(NLMSGERR_ATTR_MSG)
  return text?.toString('utf8').replace(/[\0.]+$/, '')
}

function about({ command, subject }: NetlinkRequest, said: string | undefined) {
  const description = subject?.description ?? 'rtnetlink'
  const hint = (name: string, code: string) => {
    const known = subject?.hint?.(name, code)
    if (known === undefined) return said
    return said === undefined ? known : `${known} (${said})`
  }
  return { syscall: 'sendto', command, subject: { description, hint } }
}

function align4(bytes: number): number {
  return Math.ceil(bytes / 4) * 4
}

/** Of a whole Buffer, which may stand anywhere in its ArrayBuffer. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
