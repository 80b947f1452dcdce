// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The program of the story port-stats: counts packets by destination port, each CPU in its own map, without locks. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* Slots for CPUs: whoever loads this sets it to the highest number of a possible CPU, plus one. */
#define CPUS 1024
#define PORTS 65536
/* ARP, ICMP, later fragments, tunnels, what is encrypted or broken: nobody can listen on it. */
#define NO_PORT 0
#define VLAN_TAGS 2
#define EXTENSIONS 6
#define FRAGMENT_OFFSET 0x1fff
/* The most that a header can have: hdrlen of 8 bits, in units of 8 bytes. */
#define EXTENSION_MASK 0xffc

struct stats {
	__u64 packets;
	__u64 bytes;
};

/* By sizes: clang 14 leaves out of the BTF what a struct that only inner maps name looks like. */
struct ports {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PORTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(key_size, sizeof(__be16));
	__uint(value_size, sizeof(struct stats));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, CPUS);
	__type(key, __u32);
	__array(values, struct ports);
} port_stats SEC(".maps");

struct vlan_tag {
	__be16 tci;
	__be16 type;
};

/* Fragments, options and authentication headers begin alike. */
struct extension {
	__u8 next;
	__u8 length;
	__be16 offset;
	__u32 rest;
};

/* All that are looked at begin with both ports. */
struct transport {
	__be16 source;
	__be16 destination;
};

/* What is left of a packet: of the frame up to end, of the IP packet length bytes. What kind it is, and where. */
struct rest {
	void *at;
	void *end;
	__u32 length;
	__u8 kind;
};

static __always_inline __be16 port_of(const struct rest *rest)
{
	struct transport *header = rest->at;

	if (rest->kind != IPPROTO_TCP && rest->kind != IPPROTO_UDP && rest->kind != IPPROTO_SCTP)
		return NO_PORT;
	if (rest->length < sizeof(*header) || (void *)(header + 1) > rest->end)
		return NO_PORT;
	return header->destination;
}

static __always_inline __be16 port_of_ipv4(struct rest *rest)
{
	struct iphdr *header = rest->at;
	__u32 length, total;

	if ((void *)(header + 1) > rest->end || header->version != 4)
		return NO_PORT;
	length = header->ihl * 4;
	total = bpf_ntohs(header->tot_len);
	/* Shorter than it says: nobody will take it. Longer: padding. */
	if (length < sizeof(*header) || length > total || total > rest->end - rest->at)
		return NO_PORT;
	if (header->frag_off & bpf_htons(FRAGMENT_OFFSET))
		return NO_PORT;
	rest->kind = header->protocol;
	rest->length = total - length;
	rest->at += length;
	return port_of(rest);
}

/* Goes over an extension header; -1 where there is nothing behind it that has a port. */
static __always_inline int skip_extension(struct rest *rest)
{
	struct extension *header = rest->at;
	__u32 length;

	if ((void *)(header + 1) > rest->end)
		return -1;
	if (rest->kind == IPPROTO_FRAGMENT) {
		/* The low bits are flags. */
		if (header->offset & bpf_htons(0xfff8))
			return -1;
		length = sizeof(*header);
	} else if (rest->kind == IPPROTO_AH) {
		length = (header->length + 2) * 4;
	} else {
		length = (header->length + 1) * 8;
	}
	length &= EXTENSION_MASK;
	/* The packet ends in the header, which has 8 bytes at least. */
	if (length > rest->length)
		return -1;
	rest->kind = header->next;
	rest->length -= length;
	rest->at += length;
	return 0;
}

static __always_inline __be16 port_of_ipv6(struct rest *rest)
{
	struct ipv6hdr *header = rest->at;

	if ((void *)(header + 1) > rest->end || header->version != 6)
		return NO_PORT;
	rest->kind = header->nexthdr;
	rest->length = bpf_ntohs(header->payload_len);
	rest->at = header + 1;
	/* A jumbogram: its length is in an option (RFC 2675). */
	if (rest->kind == IPPROTO_HOPOPTS && rest->length == 0)
		rest->length = rest->end - rest->at;
	if (rest->length > rest->end - rest->at)
		return NO_PORT;
	/* Allowed right behind the IPv6 header alone. */
	if (rest->kind == IPPROTO_HOPOPTS && skip_extension(rest))
		return NO_PORT;
#pragma unroll
	for (int i = 0; i < EXTENSIONS; i++) {
		if (rest->kind != IPPROTO_FRAGMENT && rest->kind != IPPROTO_ROUTING &&
		    rest->kind != IPPROTO_DSTOPTS && rest->kind != IPPROTO_AH)
			break;
		if (skip_extension(rest))
			return NO_PORT;
	}
	return port_of(rest);
}

static __always_inline __be16 port_of_frame(void *data, void *end)
{
	struct rest rest = { .at = data, .end = end };
	struct ethhdr *ethernet = data;
	__be16 type;

	if ((void *)(ethernet + 1) > end)
		return NO_PORT;
	type = ethernet->h_proto;
	rest.at = ethernet + 1;
#pragma unroll
	for (int i = 0; i < VLAN_TAGS; i++) {
		struct vlan_tag *tag = rest.at;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if ((void *)(tag + 1) > end)
			return NO_PORT;
		type = tag->type;
		rest.at = tag + 1;
	}
	if (type == bpf_htons(ETH_P_IP))
		return port_of_ipv4(&rest);
	if (type == bpf_htons(ETH_P_IPV6))
		return port_of_ipv6(&rest);
	return NO_PORT;
}

/* Not atomic: on this CPU nothing else counts meanwhile, and no other has this map. -1 where the map is full. */
static __always_inline int count(void *ports, __be16 port, __u64 bytes)
{
	struct stats first = { .packets = 1, .bytes = bytes };
	struct stats *stats = bpf_map_lookup_elem(ports, &port);

	if (!stats)
		return bpf_map_update_elem(ports, &port, &first, BPF_ANY);
	stats->packets++;
	stats->bytes += bytes;
	return 0;
}

SEC("xdp")
int port_stats_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	__be16 port = port_of_frame(data, end);
	__u32 cpu = bpf_get_smp_processor_id();
	void *own = bpf_map_lookup_elem(&port_stats, &cpu);

	if (own && count(own, port, end - data))
		count(own, NO_PORT, end - data);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
