import { bpf, type Code, type MapLike } from '../../lib'

/** How many routes there are: packets choose by their destination port. */
export const ROUTES = 2
export const FIRST_PORT = 7000

const XDP_DROP = 1
const XDP_PASS = 2

const IPV4 = 0x0800
const UDP = 17

/** For the devices that receive: veth delivers what is redirected to it only where its other end has a program too. */
export const passing = bpf`
          r0 = ${XDP_PASS}
          exit`

/**
 * Sends UDP packets, by IPv4 without options and whole, out of the device that the DEVMAP of their route names; the
 * route is how far the destination port is from the first. Everything else passes, and so does what has no route.
 */
export function redirector(routes: MapLike): Code {
  return bpf`
          r2 = *(u32 *)(r1 + 0)              // xdp_md.data
          r3 = *(u32 *)(r1 + 4)              // xdp_md.data_end
          r4 = r2
          r4 += 42                           // Ethernet, IPv4 and UDP
          if r4 > r3 goto pass
          r4 = *(u16 *)(r2 + 12)             // the EtherType
          r4 = be16 r4
          if r4 != ${IPV4} goto pass
          r4 = *(u8 *)(r2 + 14)
          if r4 != 0x45 goto pass            // version 4, a header of 5 words
          r4 = *(u16 *)(r2 + 20)
          r4 = be16 r4
          r4 &= 0x3fff
          if r4 != 0 goto pass               // a fragment
          r4 = *(u8 *)(r2 + 23)
          if r4 != ${UDP} goto pass
          r6 = r2
          r4 = *(u16 *)(r2 + 36)             // the destination port
          r4 = be16 r4
          r4 -= ${FIRST_PORT}                // below it, an index that no array has
          *(u32 *)(r10 - 4) = r4
          r1 = ${routes} ll
          r2 = r10
          r2 += -4
          call bpf_map_lookup_elem
          if r0 == 0 goto pass
          r1 = 0                             // the sender may have left the checksum to its device,
          *(u16 *)(r6 + 40) = r1             // which is no more than a wire: 0 is none (RFC 768)
          r1 = r0
          r2 = 0
          r3 = ${XDP_DROP}                   // where the DEVMAP names no device
          call bpf_redirect_map
          exit
pass:     ${passing}`
}
