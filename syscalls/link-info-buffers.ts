import { addressOfBytes, type Bytes, commonCount, optionalBytes } from './buffer'
import type { LinkInfoRequest } from './info'

/** Room for what a link's info has beside its numbers: names and arrays, by the link's type (see LinkInfoRequest). */
export type LinkInfoBuffers =
  | { member: 'raw_tracepoint'; tp_name: Bytes }
  | { member: 'iter'; target_name: Bytes }
  | { member: 'kprobe_multi'; addrs?: BigUint64Array | undefined; cookies?: BigUint64Array | undefined }
  | {
      member: 'uprobe_multi'
      path?: Bytes | undefined
      offsets?: BigUint64Array | undefined
      ref_ctr_offsets?: BigUint64Array | undefined
      cookies?: BigUint64Array | undefined
    }
  | { member: 'perf_event'; name: Bytes }
  | {
      member: 'tracing_multi'
      ids?: Uint32Array | undefined
      addrs?: BigUint64Array | undefined
      cookies?: BigUint64Array | undefined
    }

/** The request as it is packed. Whoever asks keeps the buffers. */
export function prepareLinkInfo(b: LinkInfoBuffers): LinkInfoRequest {
  switch (b.member) {
    case 'raw_tracepoint':
      return { member: b.member, tp_name: addressOfBytes(b.tp_name, 'tp_name'), tp_name_len: b.tp_name.byteLength }
    case 'iter': {
      const target_name = addressOfBytes(b.target_name, 'target_name')
      return { member: b.member, target_name, target_name_len: b.target_name.byteLength }
    }
    case 'kprobe_multi':
      return {
        member: b.member,
        addrs: optionalBytes(b.addrs, 'addrs').address,
        cookies: optionalBytes(b.cookies, 'cookies').address,
        count: commonCount({ addrs: b.addrs, cookies: b.cookies }) ?? 0,
      }
    case 'uprobe_multi': {
      const { offsets, ref_ctr_offsets, cookies } = b
      const path = optionalBytes(b.path, 'path')
      return {
        member: b.member,
        path: path.address,
        path_size: path.length,
        offsets: optionalBytes(offsets, 'offsets').address,
        ref_ctr_offsets: optionalBytes(ref_ctr_offsets, 'ref_ctr_offsets').address,
        cookies: optionalBytes(cookies, 'cookies').address,
        count: commonCount({ offsets, ref_ctr_offsets, cookies }),
      }
    }
    case 'perf_event':
      return { member: b.member, name: addressOfBytes(b.name, 'name'), name_len: b.name.byteLength }
    case 'tracing_multi':
      return {
        member: b.member,
        ids: optionalBytes(b.ids, 'ids').address,
        addrs: optionalBytes(b.addrs, 'addrs').address,
        cookies: optionalBytes(b.cookies, 'cookies').address,
        count: commonCount({ ids: b.ids, addrs: b.addrs, cookies: b.cookies }) ?? 0,
      }
  }
}
