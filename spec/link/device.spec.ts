import { execFileSync } from 'node:child_process'
import { expect } from 'chai'
import {
  type Attachment,
  attached,
  attachNetkit,
  attachTc,
  attachTcx,
  attachXdp,
  ClosedError,
  KernelError,
  type Link,
  type Program,
} from '../../lib'
import { NR } from '../../syscalls/numbers'
import { openFds } from '../map/kit'
import { requireAttach } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { errorOf } from '../support/error'
import { hasFeature, pending } from '../support/kernel'
import { cable, device, ip, useNamespace } from '../support/link/namespace'
import { counter } from '../support/link/programs'
import { AF_INET, open, send } from '../support/link/sockets'
import { traffic } from '../support/link/traffic'
import { recorded, type Sent } from '../support/recording-abi'

const XDP_DROP = 1
const XDP_PASS = 2
/** TCX_NEXT, and what is no verdict of a filter either. */
const NEXT = -1
const OK = 0
const SHOT = 2
const AF_NETLINK = 16
const EAFNOSUPPORT = 97

describe('programs at network devices', () => {
  useNamespace()
  const stage = useStage()

  const { hits, misses, arrives } = traffic(stage)

  describe('XDP', () => {
    before(function () {
      requireAttach(this, 'xdp')
    })
    const program = (index = 0, result = XDP_PASS) => counter(stage, 'xdp', result, { index })

    for (const mode of ['native', 'generic', undefined] as const) {
      it(`${mode ?? 'in the mode that the device has'}: is hit, updated and detached`, async function () {
        const pair = cable(this, 'veth')
        const [first, second] = [program(0), program(1)]
        using link = attachXdp(first, pair.far, mode === undefined ? {} : { mode })
        expect(device(pair.far).xdp?.prog.id).to.equal(first.id)
        expect(attached('xdp', pair.farIndex).programs).to.deep.equal([
          { mode: mode ?? 'native', programId: first.id, linkId: undefined },
        ])
        expect(link.info()).to.include({ type: 'xdp', ifindex: pair.farIndex, programId: first.id })
        await hits(0, pair)
        link.update(second, { replacing: first })
        await hits(1, pair)
        expect(stage.count(0)).to.equal(1)
        link.detach()
        await misses(1, pair)
        expect(device(pair.far).xdp).to.equal(undefined)
        expect(attached('xdp', pair.far)).to.deep.equal({ programs: [], revision: undefined })
      })
    }

    it('decides: a packet that it drops does not arrive', async () => {
      expect(await arrives()).to.equal(true)
      using link = attachXdp(program(0, XDP_DROP), 'lo')
      expect(await arrives()).to.equal(false)
      expect(stage.count()).to.equal(1)
      link.close()
      expect(await arrives()).to.equal(true)
    })

    it('EBUSY: says which program is there, and by which link', () => {
      const first = program()
      using link = attachXdp(first, 'lo')
      const second = program(1)
      const fds = openFds()
      const error = errorOf(() => attachXdp(second, 'lo'))
      expect(error).to.be.instanceOf(KernelError).and.include({ code: 'EBUSY', command: 'BPF_LINK_CREATE' })
      expect(error.message).to.equal(
        `EBUSY: BPF_LINK_CREATE on xdp on lo: Program#${first.id} 'count0' (generic, by Link#${link.id} xdp on lo) is attached there already`,
      )
      expect(openFds()).to.equal(fds)
      expect(device('lo').xdp?.prog.id).to.equal(first.id)
    })

    it('EBUSY: is told also to who may not ask which program is there', () => {
      using link = attachXdp(program(), 'lo')
      const second = program(1)
      const withoutNetlink = ({ nr, args }: Sent) =>
        nr === NR.socket && args[0] === AF_NETLINK ? -EAFNOSUPPORT : undefined
      recorded(() => {
        const error = errorOf(() => attachXdp(second, 'lo'))
        expect(error).to.include({ code: 'EBUSY', command: 'BPF_LINK_CREATE' })
        expect(error.message).to.contain('something is attached there already')
      }, withoutNetlink)
      expect(device('lo').xdp?.prog.id).to.equal(link.programId)
    })

    it('refuses a program for the entries of a map, and says what stands in the way of another', function () {
      const load = (expectedAttachType: 'xdp_devmap' | 'xdp_cpumap') =>
        counter(stage, 'xdp', XDP_PASS, { expectedAttachType })
      for (const expectedAttachType of ['xdp_devmap', 'xdp_cpumap'] as const) {
        const entry = load(expectedAttachType)
        const error = errorOf(() => attachXdp(entry, 'lo'))
        expect(error).to.be.instanceOf(TypeError)
        expect(error.message).to.contain(`was loaded for ${expectedAttachType}: an entry of such a map runs it`)
        // Where only the fd is known, the kernel says so.
        const untold = errorOf(() => attachXdp(entry.fd, 'lo'))
        expect(untold.message).to.match(/^EINVAL: .*loaded for the entries of a DEVMAP or CPUMAP/)
      }
      const pair = cable(this, 'veth')
      for (const name of [pair.near, pair.far]) ip('link', 'set', name, 'mtu', '9000')
      const large = errorOf(() => attachXdp(program(), pair.near, { mode: 'native' }))
      expect(large).to.include({ code: 'ERANGE' })
      expect(large.message).to.contain(
        "lower the MTU, load the program with the flag XDP_HAS_FRAGS, or say mode: 'generic'",
      )
      expect(device(pair.near).xdp).to.equal(undefined)
    })

    it('says which of the modes a driver has not got', () => {
      const error = errorOf(() => attachXdp(program(), 'lo', { mode: 'native' }))
      expect(error).to.include({ code: 'EOPNOTSUPP' })
      expect(error.message).to.contain('the driver of lo has no native XDP')
      expect(device('lo').xdp).to.equal(undefined)
    })

    it('refuses modes that there are not', () => {
      expect(errorOf(() => attachXdp(program(), 'lo', { mode: 'fast' as never }))).to.be.instanceOf(TypeError)
    })
  })

  describe('TCX', () => {
    before(function () {
      requireAttach(this, 'tcx')
    })
    const program = (index = 0, result = NEXT) => counter(stage, 'sched_cls', result, { index })

    for (const direction of ['ingress', 'egress'] as const) {
      it(`${direction}: is hit, updated and detached`, async function () {
        const pair = cable(this, 'veth', 'netkit')
        const name = direction === 'ingress' ? pair.far : pair.near
        const [first, second] = [program(0), program(1)]
        using link = attachTcx(first, name, direction)
        const ifindex = direction === 'ingress' ? pair.farIndex : pair.nearIndex
        expect(link.info()).to.deep.equal({
          type: 'tcx',
          id: link.id,
          programId: first.id,
          ifindex,
          attachType: `tcx_${direction}`,
        })
        expect(`${link}`).to.equal(`Link#${link.id} tcx_${direction} on ${name}`)
        await hits(0, pair)
        link.update(second)
        await hits(1, pair)
        expect(stage.count(0)).to.equal(1)
        link.close()
        await misses(1, pair)
      })
    }

    it('stands where it is put among others, as the kernel lists them', function () {
      const { near } = cable(this, 'veth', 'netkit')
      const ids = () => attached('tcx_egress', near).programs.map(({ programId }) => programId)
      const [a, b, c, d, e] = [0, 1, 2, 3, 4].map((index) => program(index)) as [
        Program,
        Program,
        Program,
        Program,
        Program,
      ]
      using first = attachTcx(a, near, 'egress')
      using last = attachTcx(b, near, 'egress')
      expect(ids()).to.deep.equal([a.id, b.id])
      using front = attachTcx(c, near, 'egress', { place: 'first' })
      expect(ids()).to.deep.equal([c.id, a.id, b.id])
      using between = attachTcx(d, near, 'egress', { place: { after: first } })
      expect(ids()).to.deep.equal([c.id, a.id, d.id, b.id])
      using before = attachTcx(e, near, 'egress', { place: { before: last } })
      expect(ids()).to.deep.equal([c.id, a.id, d.id, e.id, b.id])
      const links = [front, first, between, before, last]
      expect(attached('tcx_egress', near).programs.map(({ linkId }) => linkId)).to.deep.equal(links.map(({ id }) => id))
      for (const link of links) link.close()
      expect(ids()).to.deep.equal([])
    })

    it('lets the first that decides decide', async () => {
      using dropper = attachTcx(program(0, SHOT), 'lo', 'ingress')
      using behind = attachTcx(program(1, OK), 'lo', 'ingress')
      expect(await arrives()).to.equal(false)
      expect([stage.count(0), stage.count(1)]).to.deep.equal([1, 0])
      dropper.close()
      expect(await arrives()).to.equal(true)
      expect([stage.count(0), stage.count(1)]).to.deep.equal([1, 1])
      expect(behind.closed).to.equal(false)
    })

    it('ESTALE: the list has changed since it was asked for', function () {
      const { near } = cable(this, 'veth', 'netkit')
      const { revision } = attached('tcx_egress', near)
      if (revision === undefined) throw new Error('no revision')
      using link = attachTcx(program(0), near, 'egress', { expectedRevision: revision })
      const late = () => attachTcx(program(1), near, 'egress', { expectedRevision: revision })
      expect(errorOf(late)).to.include({ code: 'ESTALE' })
      expect(attached('tcx_egress', near).programs.map(({ linkId }) => linkId)).to.deep.equal([link.id])
    })

    it('refuses neighbours that are not there, and places that there are not', () => {
      using other = attachTcx(program(0), 'lo', 'ingress')
      const beside = () => attachTcx(program(1), 'lo', 'egress', { place: { before: other } })
      expect(errorOf(beside).message).to.match(/^(ENOENT|ERANGE): .*the neighbour is not attached there/)
      using elsewhere = attachXdp(counter(stage, 'xdp', XDP_PASS), 'lo')
      for (const before of [elsewhere, counter(stage, 'xdp', XDP_PASS)]) {
        const wrong = errorOf(() => attachTcx(program(1), 'lo', 'egress', { place: { before } }))
        expect(wrong.message).to.match(/^EINVAL: .*a program of another type, or a link of another kind$/)
      }
      const past = errorOf(() => attachTcx(program(1), 'lo', 'egress', { expectedRevision: 2n ** 64n }))
      expect(past).to.be.instanceOf(RangeError)
      expect(past.message).to.contain('cannot be expectedRevision')
      const nowhere = () => attachTcx(program(1), 'lo', 'egress', { place: 'middle' as never })
      expect(errorOf(nowhere)).to.be.instanceOf(TypeError)
      const sideways = () => attachTcx(program(1), 'lo', 'sideways' as never)
      expect(errorOf(sideways)).to.be.instanceOf(TypeError)
      const number = () => attachTcx(program(1), 'lo', 'egress', { expectedRevision: 1 as never })
      expect(errorOf(number)).to.be.instanceOf(TypeError)
      expect(attached('tcx_egress', 'lo').programs).to.deep.equal([])
    })
  })

  it('a kernel without TCX says so', function () {
    if (hasFeature('attach', 'tcx') !== false) pending(this, 'the kernel has TCX')
    const error = errorOf(() => attachTcx(counter(stage, 'sched_cls', OK), 'lo', 'ingress'))
    expect(error).to.include({ name: 'UnsupportedError', feature: 'attachments by tcx', since: '6.6' })
    expect(errorOf(() => attached('tcx_ingress', 'lo'))).to.include({ name: 'UnsupportedError', since: '6.6' })
  })

  describe('netkit', () => {
    before(function () {
      requireAttach(this, 'netkit')
    })
    const program = (index = 0, result = NEXT) => counter(stage, 'sched_cls', result, { index })

    it('primary: is hit, updated and detached', async function () {
      const pair = cable(this, 'netkit')
      const [first, second] = [program(0), program(1, SHOT)]
      using link = attachNetkit(first, pair.near, 'primary')
      expect(link.info()).to.include({ type: 'netkit', ifindex: pair.nearIndex, attachType: 'netkit_primary' })
      await hits(0, pair)
      link.update(second, { replacing: first })
      await hits(1, pair)
      expect(stage.count(0)).to.equal(1)
      const { programs } = attached('netkit_primary', pair.near)
      expect(programs).to.deep.equal([{ programId: second.id, linkId: link.id }])
      link.close()
      await misses(1, pair)
    })

    it('peer: what the other end sends', async function () {
      const pair = cable(this, 'netkit')
      using link = attachNetkit(program(), pair.near, 'peer')
      await misses(0, pair)
      const fd = open(stage, AF_INET)
      execFileSync('ip', ['addr', 'add', '198.19.255.1/30', 'dev', pair.far])
      send(fd, 64, '198.19.255.2', 9)
      expect(stage.count()).to.equal(1)
      expect(link.info()).to.include({ attachType: 'netkit_peer' })
    })

    it('refuses other devices, and the peer', function () {
      const pair = cable(this, 'netkit')
      expect(errorOf(() => attachNetkit(program(), 'lo', 'primary')).message).to.match(/^ENXIO: .*no netkit device/)
      expect(errorOf(() => attachNetkit(program(), pair.far, 'primary')).message).to.match(/^EACCES: .*the peer of a/)
      expect(errorOf(() => attachNetkit(program(), pair.near, 'middle' as never))).to.be.instanceOf(TypeError)
    })
  })

  it('a kernel without netkit says so', function () {
    if (hasFeature('attach', 'netkit') !== false) pending(this, 'the kernel has netkit')
    const error = errorOf(() => attachNetkit(counter(stage, 'sched_cls', OK), 'lo', 'primary'))
    expect(error).to.include({ name: 'UnsupportedError', feature: 'attachments by netkit', since: '6.7' })
  })

  describe('wrong arguments', () => {
    const ways: Record<string, (program: Program, device: string | number) => Link | Attachment> = {
      attachXdp: (program, device) => attachXdp(program, device),
      attachTcx: (program, device) => attachTcx(program, device, 'ingress'),
      attachTc: (program, device) => attachTc(program, device, 'ingress'),
      attachNetkit: (program, device) => attachNetkit(program, device, 'primary'),
    }
    for (const [name, attach] of Object.entries(ways)) {
      const type = name === 'attachXdp' ? 'xdp' : 'sched_cls'

      it(`${name}: a device that does not exist`, () => {
        const program = counter(stage, type, OK)
        const fds = openFds()
        const error = errorOf(() => attach(program, 'nosuch0'))
        expect(error).to.be.instanceOf(KernelError).and.include({ code: 'ENODEV', command: 'SIOCGIFINDEX' })
        expect(error.message).to.contain("'nosuch0'")
        expect(errorOf(() => attach(program, 'a-name-of-sixteen'))).to.be.instanceOf(RangeError)
        expect(errorOf(() => attach(program, ''))).to.be.instanceOf(RangeError)
        // For the kernel that would be lo.
        expect(errorOf(() => attach(program, 'lo:1'))).to.be.instanceOf(RangeError)
        expect(errorOf(() => attach(program, 0))).to.be.instanceOf(RangeError)
        expect(errorOf(() => attach(program, null as never))).to.be.instanceOf(TypeError)
        expect(openFds()).to.equal(fds)
      })

      it(`${name}: a program of another type, or one that is closed`, () => {
        const other = counter(stage, 'socket_filter', OK)
        const error = errorOf(() => attach(other, 'lo'))
        expect(error).to.be.instanceOf(TypeError)
        expect(error.message).to.match(
          new RegExp(`on lo takes a program of type ${type}: Program#${other.id} 'count0' is of type socket_filter$`),
        )
        expect(errorOf(() => attach({ fd: other.fd } as never, 'lo'))).to.be.instanceOf(TypeError)
        expect(errorOf(() => attach(stage.counters as never, 'lo'))).to.be.instanceOf(TypeError)
        expect(errorOf(() => attach(undefined as never, 'lo')).message).to.equal(
          'program is a Program, or the fd of one, not undefined',
        )
        const closed = counter(stage, type, OK)
        closed.close()
        expect(errorOf(() => attach(closed, 'lo'))).to.be.instanceOf(ClosedError)
        expect(device('lo').xdp).to.equal(undefined)
        expect(attached('tc_ingress', 'lo').programs).to.deep.equal([])
      })
    }

    it('a number that no device has', () => {
      const program = counter(stage, 'xdp', XDP_PASS)
      for (const use of [() => attachXdp(program, 9999), () => attached('xdp', 9999)]) {
        expect(errorOf(use)).to.include({ code: 'ENODEV', command: 'SIOCGIFNAME' })
      }
    })
  })
})
