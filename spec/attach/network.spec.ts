import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect } from 'chai'
import { HashMap, HashOfMaps, u32 } from '../../lib'
import { linkCreate, linkDetach, linkInfo, objPin, progTestRun } from '../../syscalls'
import * as uapi from '../../syscalls/uapi'
import { HookCode } from '../support/attach/hook-code'
import {
  devicePair,
  ETHERNET_BYTES,
  IP_AND_UDP_BYTES,
  ownCgroup,
  PAYLOAD_BYTES,
  type Pair,
  received,
  runs,
  sendPacket,
  udpSocket,
} from '../support/attach/network'
import { requireAttach } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { eventually, needs, pending, requireRoot, withBpffs } from '../support/kernel'

/** struct __sk_buff */
const LEN = 0
/** What programs at devices return: TC_ACT_SHOT, which TCX_DROP and NETKIT_DROP equal */
const DROP = 2
const XDP_DROP = 1
const XDP_PASS = 2

describe('a program that sees packets', () => {
  const stage = useStage()

  /** What becomes of packets of which length: inner maps of an outer map, of which entry 0 counts. */
  const lengths = () =>
    stage.using(
      HashOfMaps.create({
        name: 'lengths',
        key: u32,
        maxEntries: 1,
        inner: HashMap.spec({ key: u32, value: u32, maxEntries: 4 }),
      }),
    )

  /** Counts the packets that are in the inner map, and returns what it says of them. */
  function judging(outer: HashOfMaps<number, HashMap<number, number>>, prog_type: number, more = {}): number {
    const code = new HookCode()
      .field(8, LEN)
      .verdict(outer.fd, 8, 'all')
      .add(0x15, 7, 0, 0, 0, 'out') // if r7 == 0
      .count(stage.counters.fd)
      .endWith(7)
      .end()
    return stage.load({ prog_type, ...more }, code)
  }

  /** Sends through the first device, and sees at the second what comes out. */
  async function itDrops(pair: Pair, attach: (program: number) => (() => void) | Promise<() => void>) {
    const bytes = PAYLOAD_BYTES + IP_AND_UDP_BYTES + ETHERNET_BYTES
    const outer = lengths()
    const detach = await attach(judging(outer, uapi.BPF_PROG_TYPE_SCHED_CLS))
    const socket = await udpSocket(stage)
    const arrives = async () => {
      const before = received(pair.peer)
      expect(await sendPacket(socket, pair.beyond)).to.equal('')
      return received(pair.peer) - before
    }
    expect(await arrives(), 'no inner map').to.equal(1)
    outer.set(0, [[bytes, DROP]])
    expect(await arrives(), 'dropped').to.equal(0)
    expect(stage.count()).to.equal(1)
    outer.set(0, [[bytes + 1, DROP]])
    expect(await arrives(), 'another length').to.equal(1)
    outer.set(0, [[bytes, DROP]])
    expect(await arrives(), 'dropped').to.equal(0)
    expect(stage.count()).to.equal(2)
    detach()
    expect(await arrives(), 'detached').to.equal(1)
    expect(stage.count()).to.equal(2)
  }

  it('netkit: a link on the device that sends', async function () {
    requireAttach(this, 'netkit')
    const pair = devicePair(this, stage, 'netkit')
    await itDrops(pair, (prog_fd) => {
      const attach_type = uapi.BPF_NETKIT_PRIMARY
      const link = stage.own(
        linkCreate({ prog_fd, target_ifindex: pair.index, attach_type, union: { member: 'netkit' } }),
      )
      expect(linkInfo(link).netkit?.ifindex).to.equal(pair.index)
      return () => linkDetach(link)
    })
  })

  it('tcx: a link on the device that sends', async function () {
    requireAttach(this, 'tcx')
    const pair = devicePair(this, stage, 'veth', 'netkit')
    await itDrops(pair, (prog_fd) => {
      const attach_type = uapi.BPF_TCX_EGRESS
      const link = stage.own(linkCreate({ prog_fd, target_ifindex: pair.index, attach_type, union: { member: 'tcx' } }))
      return () => stage.close(link)
    })
  })

  it('tc: a classifier of the clsact queueing discipline', async function () {
    requireRoot(this)
    needs(this, runs('tc', '-V'), 'tc (iproute2)')
    const pair = devicePair(this, stage, 'veth')
    const tc = (...args: string[]) => execFileSync('tc', args, { stdio: 'pipe' })
    const clsact = ['qdisc', 'add', 'dev', pair.name, 'clsact']
    if (!runs('tc', ...clsact)) pending(this, 'there is no queueing discipline clsact: tc qdisc add')
    const filter = ['dev', pair.name, 'egress', 'prio', '1']
    await itDrops(pair, async (prog) => {
      await withBpffs((folder) => {
        const pin = join(folder, 'classifier')
        objPin(pin, prog)
        tc('filter', 'add', ...filter, 'bpf', 'direct-action', 'object-pinned', pin)
      })
      return () => tc('filter', 'del', ...filter)
    })
  })

  it('cgroup_skb: what a cgroup sends', async function () {
    requireAttach(this, 'cgroup')
    const target_fd = ownCgroup(this, stage)
    const receiver = await udpSocket(stage, '127.0.0.1')
    let arrived = 0
    receiver.on('message', () => arrived++)
    const sender = await udpSocket(stage, '127.0.0.1')
    const send = () => sendPacket(sender, '127.0.0.1', receiver.address().port)
    const outer = lengths()
    const code = new HookCode()
      .field(8, LEN)
      .verdict(outer.fd, 8, 'all')
      .add(0x15, 7, 0, 0, 0, 'out')
      .count(stage.counters.fd)
      .add(0xb7, 0, 0, 0, 0) // 0 drops, 1 lets pass
      .add(0x95)
      .end(1)
    const attach_type = uapi.BPF_CGROUP_INET_EGRESS
    const prog_fd = stage.load({ prog_type: uapi.BPF_PROG_TYPE_CGROUP_SKB, expected_attach_type: attach_type }, code)
    const link = stage.own(linkCreate({ prog_fd, target_fd, attach_type }))
    expect(await send()).to.equal('')
    outer.set(0, [[PAYLOAD_BYTES + IP_AND_UDP_BYTES, 1]])
    expect(await send()).to.equal('EPERM')
    expect(stage.count()).to.equal(1)
    outer.delete(0)
    expect(await send()).to.equal('')
    outer.set(0, [[PAYLOAD_BYTES + IP_AND_UDP_BYTES, 1]])
    stage.close(link)
    expect(await send()).to.equal('')
    expect(stage.count()).to.equal(1)
    await eventually(() => arrived === 3, 'what was let pass has arrived')
  })

  it('XDP, by a test run: an inner map that is replaced between packets', function () {
    requireRoot(this)
    const outer = lengths()
    const code = new HookCode()
      .field(8, 4) // r8 = data_end
      .field(7, 0) // r7 = data
      .add(0x1f, 8, 7) // r8 -= r7
      .verdict(outer.fd, 8, 'all')
      .add(0x15, 7, 0, 0, 0, 'out')
      .count(stage.counters.fd)
      .endWith(7)
      .end(XDP_PASS)
    const prog_fd = stage.load({ prog_type: uapi.BPF_PROG_TYPE_XDP }, code)
    const run = (bytes: number) => progTestRun({ prog_fd, data_in: new Uint8Array(bytes) }).retval
    expect([run(64), run(65)]).to.deep.equal([XDP_PASS, XDP_PASS])
    outer.set(0, [[64, XDP_DROP]])
    expect([run(64), run(65)]).to.deep.equal([XDP_DROP, XDP_PASS])
    outer.set(0, [[65, XDP_DROP]])
    expect([run(64), run(65)]).to.deep.equal([XDP_PASS, XDP_DROP])
    outer.delete(0)
    expect([run(64), run(65)]).to.deep.equal([XDP_PASS, XDP_PASS])
    expect(stage.count()).to.equal(2)
  })
})
