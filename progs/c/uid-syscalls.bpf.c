// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The program of the story uid-syscalls: counts system calls, for each user those that were asked for. */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

struct hit {
	__u32 syscall;
	__u32 uid;
};

/* A user's set of system calls, by number: what is not in it is not there. */
struct calls {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 64);
	__type(key, __u32);
	__array(values, struct calls);
} by_uid SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct hit);
	__type(value, __u64);
} uid_hits SEC(".maps");

/* The record of raw_syscalls:sys_enter: events/raw_syscalls/sys_enter/format in tracefs. */
struct sys_enter {
	__u64 common;
	long id;
	unsigned long args[6];
};

SEC("tracepoint/raw_syscalls/sys_enter")
int uid_syscalls(struct sys_enter *ctx)
{
	struct hit hit = { .syscall = ctx->id, .uid = (__u32)bpf_get_current_uid_gid() };
	__u64 none = 0, *count;
	void *calls;

	calls = bpf_map_lookup_elem(&by_uid, &hit.uid);
	if (!calls || !bpf_map_lookup_elem(calls, &hit.syscall))
		return 0;

	count = bpf_map_lookup_elem(&uid_hits, &hit);
	if (!count) {
		/* Another CPU may have been faster. */
		bpf_map_update_elem(&uid_hits, &hit, &none, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&uid_hits, &hit);
	}
	if (count)
		__sync_fetch_and_add(count, 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
