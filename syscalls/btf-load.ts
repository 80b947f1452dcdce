import { abi } from './abi'
import { packBtfLoad } from './attr'
import { call } from './call'
import type { Subject } from './errno'
import { settleFd } from './fd'
import { BPF_BTF_LOAD } from './uapi'

/** BPF_BTF_LOAD without a log, for BTF that this library writes itself. The caller owns the fd. Linux 4.18. */
export function btfLoad(btf: ArrayBuffer, subject?: Subject): number {
  const fields = { btf: abi().addressOf(btf), btf_size: btf.byteLength }
  return settleFd(call(BPF_BTF_LOAD, packBtfLoad, fields, { subject, keep: btf }).result)
}
