// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The program of the story live-config: reads a whole configuration for each packet, and counts what it has found. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/types.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define PORT 4791
#define TENANTS 64
#define SETTINGS 8

enum verdict { OLD, NEW, MIXED, STALE, MISSING, VERDICTS };

struct setting {
	__u32 generation;
	__u32 value;
};

struct progress {
	__u32 begun;
	__u32 finished;
};

/* Settings that belong together: a tenant's configuration. By size, as clang leaves a struct out of BTF that only the
 * template of a map of maps has for its value. */
struct settings {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SETTINGS);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct setting));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, TENANTS);
	__type(key, __u32);
	__array(values, struct settings);
} configs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct progress);
} progress SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICTS);
	__type(key, __u32);
	__type(value, __u64);
} verdicts SEC(".maps");

/* A packet of this port, from its Ethernet header on: IPv4 without options. */
struct packet {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	__be32 tenant;
} __attribute__((packed));

static __always_inline enum verdict read_config(__u32 tenant, volatile struct progress *at)
{
	__u32 finished = at->finished, begun, first = 0;
	void *config = bpf_map_lookup_elem(&configs, &tenant);

	if (!config)
		return MISSING;
	for (__u32 i = 0; i < SETTINGS; i++) {
		__u32 key = i;
		struct setting *setting = bpf_map_lookup_elem(config, &key);

		if (!setting)
			return MISSING;
		if (i == 0)
			first = setting->generation;
		else if (setting->generation != first)
			return MIXED;
	}
	if (first < finished)
		return STALE;
	begun = at->begun;
	return first == begun ? NEW : first == begun - 1 ? OLD : STALE;
}

SEC("xdp")
int live_config(struct xdp_md *ctx)
{
	struct packet *packet = (void *)(long)ctx->data;
	struct progress *at;
	__u32 zero = 0, verdict;
	__u64 *count;

	if ((void *)(packet + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	if (packet->eth.h_proto != bpf_htons(ETH_P_IP) || packet->ip.protocol != IPPROTO_UDP ||
	    packet->udp.dest != bpf_htons(PORT))
		return XDP_PASS;

	at = bpf_map_lookup_elem(&progress, &zero);
	if (!at)
		return XDP_DROP;
	verdict = read_config(bpf_ntohl(packet->tenant), at);
	count = bpf_map_lookup_elem(&verdicts, &verdict);
	if (count)
		*count += 1; /* this CPU's own */
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
