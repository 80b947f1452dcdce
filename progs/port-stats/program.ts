import { bpf, type Code, type Infer, type MapLike, struct, u64 } from '../../lib'

/** What is counted of a port: frames, and their bytes from the Ethernet header on. */
export const Stats = struct({ packets: u64, bytes: u64 })
export type Stats = Infer<typeof Stats>

/**
 * What has no port is counted under 0, which nobody can listen on: ARP and ICMP, later fragments, tunnels, encrypted
 * and broken packets. So the sum over all ports is all that the device has received.
 */
export const NO_PORT = 0

// include/uapi/linux/if_ether.h, as `be16` makes numbers of what is on the wire.
const IPV4 = 0x0800
const IPV6 = 0x86dd
const VLAN = 0x8100
const VLAN_OUTER = 0x88a8

// include/uapi/linux/in.h and in6.h: what follows a header.
const HOP_BY_HOP = 0
const TCP = 6
const UDP = 17
const ROUTING = 43
const FRAGMENT = 44
const AUTHENTICATION = 51
const DESTINATION = 60
const SCTP = 132

/** More than any sender has a reason for; what follows more of them has no port. */
const EXTENSIONS = 6

/** A frame may have an 802.1Q tag, and an 802.1ad one before it: what is in them is looked at, more tags are not. */
const untag = bpf`
          if r5 == ${VLAN} goto tagged
          if r5 != ${VLAN_OUTER} goto untagged
tagged:   r1 = r7
          r1 += 4
          if r1 > r8 goto count
          r5 = *(u16 *)(r7 + 2)
          r5 = be16 r5
          r7 = r1
untagged:`

/**
 * Goes over an extension header of IPv6 to the next. The length goes through the stack, so that the verifier forgets
 * how it was computed: else it would follow each chain of headers by itself.
 */
const skipExtension = bpf`
          r1 = r7
          r1 += 8
          if r1 > r8 goto count
          r0 = r5                            // what this header is
          r5 = *(u8 *)(r7 + 0)               // what follows it
          r3 = *(u8 *)(r7 + 1)
          if r0 == ${FRAGMENT} goto fragment
          if r0 == ${AUTHENTICATION} goto words
          r3 <<= 3                           // of 8 bytes, without the first (RFC 8200)
          goto long
words:    r3 <<= 2                           // of 4 bytes, without the first two (RFC 4302)
long:     r3 += 8
          goto sized
fragment: r3 = *(u16 *)(r7 + 2)
          r3 = be16 r3
          r3 &= 0xfff8
          if r3 != 0 goto count              // not the first: what follows is the middle of something
          r3 = 8
sized:    *(u16 *)(r10 - 10) = r3
          r3 = *(u16 *)(r10 - 10)
          r3 &= 0xffc
          if r3 > r4 goto count              // the packet ends in the header: it has 8 bytes at least
          r4 -= r3
          r7 += r3`

/** One more extension header, if there is one. */
const extension = bpf`
          if r5 == ${FRAGMENT} goto header
          if r5 == ${ROUTING} goto header
          if r5 == ${DESTINATION} goto header
          if r5 != ${AUTHENTICATION} goto ports
header:   ${skipExtension}`

function repeated(code: Code, times: number): Code {
  return times === 1
    ? code
    : bpf`
          ${code}
          ${repeated(code, times - 1)}`
}

/** Adds the frame to the port on the stack, and is done; goes on where the port is new and the map full. */
const countPort = bpf`
          r1 = r7
          r2 = r10
          r2 += -2
          call bpf_map_lookup_elem
          if r0 == 0 goto first
          r1 = *(u64 *)(r0 + 0)
          r1 += 1
          *(u64 *)(r0 + 0) = r1
          r1 = *(u64 *)(r0 + 8)
          r1 += r6
          *(u64 *)(r0 + 8) = r1
          goto pass
first:    *(u64 *)(r10 - 32) = 1
          *(u64 *)(r10 - 24) = r6
          r1 = r7
          r2 = r10
          r2 += -2
          r3 = r10
          r3 += -32
          r4 = 0                             // BPF_ANY: on this CPU nobody else adds ports
          call bpf_map_update_elem
          if r0 == 0 goto pass`

/**
 * Counts each frame by its destination port, in the map of the CPU that it has come to, and lets it pass.
 *
 * No locks and no atomic additions: a program of a device runs with bottom halves off, so nothing else counts on this
 * CPU meanwhile, and no other CPU has this map. User space only reads.
 *
 * r6 the frame's bytes, r7 where the parser is, r8 the frame's end; r5 what is at r7, r4 how many bytes from there on
 * the IP header says that there are: an Ethernet frame may have padding behind them.
 */
export function portProgram(counters: MapLike): Code {
  return bpf`
          r7 = *(u32 *)(r1 + 0)              // xdp_md.data
          r8 = *(u32 *)(r1 + 4)              // xdp_md.data_end
          r6 = r8
          r6 -= r7
          *(u16 *)(r10 - 2) = ${NO_PORT}

          r1 = r7
          r1 += 14
          if r1 > r8 goto count
          r5 = *(u16 *)(r7 + 12)             // the EtherType
          r5 = be16 r5
          r7 = r1
          ${untag}
          ${untag}
          if r5 == ${IPV4} goto ipv4
          if r5 == ${IPV6} goto ipv6
          goto count

ipv4:     r1 = r7
          r1 += 20
          if r1 > r8 goto count
          r3 = *(u8 *)(r7 + 0)
          r2 = r3
          r2 >>= 4
          if r2 != 4 goto count
          r3 &= 15
          r3 <<= 2                           // the header with its options
          if r3 < 20 goto count
          r4 = *(u16 *)(r7 + 2)              // the packet's length
          r4 = be16 r4
          r2 = r8
          r2 -= r7
          if r4 > r2 goto count              // cut short: nobody will take it
          if r3 > r4 goto count
          r4 -= r3
          r2 = *(u16 *)(r7 + 6)
          r2 = be16 r2
          r2 &= 0x1fff
          if r2 != 0 goto count              // a fragment that is not the first
          r5 = *(u8 *)(r7 + 9)
          r7 += r3
          goto ports

ipv6:     r1 = r7
          r1 += 40
          if r1 > r8 goto count
          r2 = *(u8 *)(r7 + 0)
          r2 >>= 4
          if r2 != 6 goto count
          r5 = *(u8 *)(r7 + 6)
          r4 = *(u16 *)(r7 + 4)              // the length of what follows
          r4 = be16 r4
          r7 = r1
          r2 = r8
          r2 -= r7
          if r5 != ${HOP_BY_HOP} goto short
          if r4 != 0 goto hop
          r4 = r2                            // a jumbogram: its length is in an option (RFC 2675)
hop:      if r4 > r2 goto count
          ${skipExtension}                   // allowed right behind the IPv6 header alone
          goto next
short:    if r4 > r2 goto count
next:     ${repeated(extension, EXTENSIONS)}

ports:    if r5 == ${TCP} goto known
          if r5 == ${UDP} goto known
          if r5 != ${SCTP} goto count        // all three begin with both ports
known:    if r4 < 4 goto count
          r1 = r7
          r1 += 4
          if r1 > r8 goto count
          r1 = *(u16 *)(r7 + 2)
          *(u16 *)(r10 - 2) = r1

count:    call bpf_get_smp_processor_id
          *(u32 *)(r10 - 8) = r0
          r1 = ${counters} ll
          r2 = r10
          r2 += -8
          call bpf_map_lookup_elem
          if r0 == 0 goto pass
          r7 = r0                            // this CPU's map
          ${countPort}
          *(u16 *)(r10 - 2) = ${NO_PORT}     // it is full
          ${countPort}
pass:     r0 = 2                             // XDP_PASS
          exit`
}
