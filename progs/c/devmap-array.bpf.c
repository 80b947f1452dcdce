// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The program of the story devmap-array: sends packets out of the device that an inner DEVMAP names. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/types.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ROUTES 2
/* The first of the ports that stand for routes. */
#define FIRST_PORT 7000
#define FRAGMENT 0x3fff

/* Where a route leads: one device. */
struct devices {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, ROUTES);
	__type(key, __u32);
	__array(values, struct devices);
} routes SEC(".maps");

/* A packet of a route, from its Ethernet header on: IPv4 without options, UDP, whole. */
struct packet {
	struct ethhdr ethernet;
	struct iphdr ip;
	struct udphdr udp;
} __attribute__((packed));

SEC("xdp")
int devmap_array(struct xdp_md *ctx)
{
	struct packet *packet = (void *)(long)ctx->data;
	void *devices;
	__u32 route;

	if ((void *)(packet + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	if (packet->ethernet.h_proto != bpf_htons(ETH_P_IP) || packet->ip.version != 4 || packet->ip.ihl != 5)
		return XDP_PASS;
	if (packet->ip.protocol != IPPROTO_UDP || packet->ip.frag_off & bpf_htons(FRAGMENT))
		return XDP_PASS;
	route = bpf_ntohs(packet->udp.dest) - FIRST_PORT;
	devices = bpf_map_lookup_elem(&routes, &route);
	if (!devices)
		return XDP_PASS;
	/* The sender may have left it to its device, which is no more than a wire; 0 is none (RFC 768). */
	packet->udp.check = 0;
	/* A route whose device has gone ends here. */
	return bpf_redirect_map(devices, 0, XDP_DROP);
}

/* For the devices that receive: veth delivers what is redirected to a device with a program of its own. */
SEC("xdp")
int let_pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
