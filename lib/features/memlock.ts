import { type Answer, cannotTell, no, YES } from './answer'
import { isUnknown, probeHelper } from './helpers'

/**
 * Whether the memory of maps and programs counts against RLIMIT_MEMLOCK. To find out by using it up, the limit of the
 * whole process would have to be lowered for a moment; so another thing is asked for that came with the same version,
 * Linux 5.11, and which the kernels that took over the one took over with the other: the helper
 * bpf_ktime_get_coarse_ns, which libbpf goes by too.
 */
export function probeMemlock(): Answer {
  const helper = probeHelper('bpf_ktime_get_coarse_ns', 'socket_filter', YES)
  if (helper.has === true) return no('from Linux 5.11 on the memory cgroup pays')
  return isUnknown(helper) ? YES : cannotTell(helper.why)
}
