/** Link types and the flags of attaching, from include/uapi/linux/bpf.h. Values up to Linux 7.3. */

// enum bpf_link_type
export const BPF_LINK_TYPE_UNSPEC = 0
export const BPF_LINK_TYPE_RAW_TRACEPOINT = 1
export const BPF_LINK_TYPE_TRACING = 2
export const BPF_LINK_TYPE_CGROUP = 3
export const BPF_LINK_TYPE_ITER = 4
export const BPF_LINK_TYPE_NETNS = 5
export const BPF_LINK_TYPE_XDP = 6
export const BPF_LINK_TYPE_PERF_EVENT = 7
export const BPF_LINK_TYPE_KPROBE_MULTI = 8
export const BPF_LINK_TYPE_STRUCT_OPS = 9
export const BPF_LINK_TYPE_NETFILTER = 10
export const BPF_LINK_TYPE_TCX = 11
export const BPF_LINK_TYPE_UPROBE_MULTI = 12
export const BPF_LINK_TYPE_NETKIT = 13
export const BPF_LINK_TYPE_SOCKMAP = 14
export const BPF_LINK_TYPE_TRACING_MULTI = 15 // after 6.18

// enum bpf_perf_event_type: bpf_link_info.perf_event.type
export const BPF_PERF_EVENT_UNSPEC = 0
export const BPF_PERF_EVENT_UPROBE = 1
export const BPF_PERF_EVENT_URETPROBE = 2
export const BPF_PERF_EVENT_KPROBE = 3
export const BPF_PERF_EVENT_KRETPROBE = 4
export const BPF_PERF_EVENT_TRACEPOINT = 5
export const BPF_PERF_EVENT_EVENT = 6

// enum bpf_task_fd_type: fd_type of BPF_TASK_FD_QUERY
export const BPF_FD_TYPE_RAW_TRACEPOINT = 0
export const BPF_FD_TYPE_TRACEPOINT = 1
export const BPF_FD_TYPE_KPROBE = 2
export const BPF_FD_TYPE_KRETPROBE = 3
export const BPF_FD_TYPE_UPROBE = 4
export const BPF_FD_TYPE_URETPROBE = 5

// attach_flags of BPF_PROG_ATTACH, flags of BPF_LINK_CREATE and BPF_LINK_UPDATE (with BPF_F_LINK, in uapi-map.ts).
export const BPF_F_ALLOW_OVERRIDE = 1 << 0
export const BPF_F_ALLOW_MULTI = 1 << 1
export const BPF_F_REPLACE = 1 << 2
export const BPF_F_BEFORE = 1 << 3
export const BPF_F_AFTER = 1 << 4
export const BPF_F_ID = 1 << 5
export const BPF_F_PREORDER = 1 << 6

// query_flags of BPF_PROG_QUERY.
export const BPF_F_QUERY_EFFECTIVE = 1 << 0

// flags of a union member of link_create.
export const BPF_F_KPROBE_MULTI_RETURN = 1 << 0
export const BPF_F_UPROBE_MULTI_RETURN = 1 << 0
export const BPF_F_UPROBE_MULTI_PATH_FD = 1 << 1 // after 6.18
export const BPF_F_NETFILTER_IP_DEFRAG = 1 << 0

// enum bpf_cgroup_iter_order, of an iterator over cgroups.
export const BPF_CGROUP_ITER_ORDER_UNSPEC = 0
export const BPF_CGROUP_ITER_SELF_ONLY = 1
export const BPF_CGROUP_ITER_DESCENDANTS_PRE = 2
export const BPF_CGROUP_ITER_DESCENDANTS_POST = 3
export const BPF_CGROUP_ITER_ANCESTORS_UP = 4
export const BPF_CGROUP_ITER_CHILDREN = 5 // after 6.18
