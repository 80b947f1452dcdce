import { execFileSync } from 'node:child_process'
import { inspect } from 'node:util'
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
import { openFds } from '../map/kit'
import { runs } from '../support/attach/network'
import { requireAttach } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { errorOf } from '../support/error'
import { eventually, hasFeature, needs, pending, useBpffs } from '../support/kernel'
import { type Cable, cable, device, received, tc, useNamespace } from '../support/link/namespace'
import { counter } from '../support/link/programs'
import { AF_INET, bound, open, receive, send } from '../support/link/sockets'

const XDP_DROP = 1
const XDP_PASS = 2
/** TCX_NEXT, and what is no verdict of a filter either. */
const NEXT = -1
const OK = 0
const SHOT = 2

describe('programs at network devices', () => {
  useNamespace()
  const stage = useStage()
  const bpffs = useBpffs()

  function sendTo({ beyond }: Cable): void {
    const fd = open(stage, AF_INET)
    send(fd, 64, beyond, 9)
    stage.close(fd)
  }

  /** Sends a packet through the cable: the program that counts with the index sees it, once. */
  async function hits(index: number, pair: Cable): Promise<void> {
    const before = stage.count(index)
    sendTo(pair)
    await eventually(() => stage.count(index) > before, 'the packet is counted')
    expect(stage.count(index)).to.equal(before + 1)
  }

  /** Sends a packet through the cable, which is not counted. */
  async function misses(index: number, pair: Cable): Promise<void> {
    const [before, seen] = [stage.count(index), received(pair.far)]
    sendTo(pair)
    await eventually(() => received(pair.far) > seen, 'the packet has come through')
    expect(stage.count(index)).to.equal(before)
  }

  /** Sends a packet through lo: whether it arrives, or is dropped by the program that counts with index 0. */
  async function arrives(): Promise<boolean> {
    const [{ fd, port }, sender] = [bound(stage), bound(stage)]
    const before = stage.count(0)
    send(sender.fd, 64, '127.0.0.1', port)
    let arrived = false
    await eventually(() => {
      arrived = receive(fd) !== undefined
      return arrived || stage.count(0) > before
    }, 'the packet has arrived or is dropped')
    for (const socket of [fd, sender.fd]) stage.close(socket)
    return arrived
  }

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

  describe('tc: filters in clsact', () => {
    before(function () {
      needs(this, runs('tc', '-V'), 'tc (iproute2)')
      const able = runs('tc', 'qdisc', 'add', 'dev', 'lo', 'clsact')
      if (!able) pending(this, 'there is no queueing discipline clsact: tc qdisc add')
      tc('qdisc', 'del', 'dev', 'lo', 'clsact')
    })
    const program = (index = 0, result = NEXT) => counter(stage, 'sched_cls', result, { index })
    const clsact = (name: string) => tc('qdisc', 'show', 'dev', name).includes('clsact')
    /** The programs' ids, by the words of tc. */
    const filters = (name: string, direction: string) =>
      [...tc('filter', 'show', 'dev', name, direction).matchAll(/ direct-action .*\bid (\d+)/g)].map(([, id]) =>
        Number(id),
      )

    for (const direction of ['ingress', 'egress'] as const) {
      it(`${direction}: is hit, updated and detached, and clsact goes as it came`, async function () {
        const pair = cable(this, 'veth')
        const name = direction === 'ingress' ? pair.far : pair.near
        const [first, second] = [program(0), program(1)]
        const filter = attachTc(first, name, direction)
        expect(clsact(name)).to.equal(true)
        expect(filters(name, direction)).to.deep.equal([first.id])
        const info = filter.info()
        expect(info).to.include({ type: 'tc', programId: first.id, direction, handle: 1 })
        expect(attached(`tc_${direction}`, name).programs).to.deep.equal([
          { programId: first.id, linkId: undefined, priority: (info as { priority?: number }).priority, handle: 1 },
        ])
        expect(inspect(filter)).to.match(
          new RegExp(`^tc ${direction} on ${name} priority \\d+ handle 1 → Program#${first.id} 'count0'$`),
        )
        await hits(0, pair)
        expect(errorOf(() => filter.update(second, { replacing: second }))).to.include({ code: 'EPERM' })
        filter.update(second, { replacing: first })
        expect(filters(name, direction)).to.deep.equal([second.id])
        expect(filter.programId).to.equal(second.id)
        await hits(1, pair)
        expect(stage.count(0)).to.equal(1)
        filter.close()
        filter.close()
        expect(clsact(name)).to.equal(false)
        await misses(1, pair)
        expect(inspect(filter)).to.equal(`tc ${direction} on ${name} closed`)
        expect(errorOf(() => filter.info())).to.be.instanceOf(ClosedError)
      })
    }

    it('runs those of smaller priority first, and drops what one drops', async () => {
      using dropper = attachTc(program(0, SHOT), 'lo', 'ingress', { priority: 5 })
      using passer = attachTc(program(1, OK), 'lo', 'ingress', { priority: 3, handle: 7 })
      expect(passer.info()).to.include({ priority: 3, handle: 7 })
      expect(attached('tc_ingress', 'lo').programs.map(({ priority }) => priority)).to.deep.equal([3, 5])
      expect(await arrives()).to.equal(true)
      expect([stage.count(0), stage.count(1)]).to.deep.equal([0, 1])
      passer.close()
      expect(await arrives()).to.equal(false)
      dropper.close()
      expect(await arrives()).to.equal(true)
      expect(clsact('lo')).to.equal(false)
    })

    it('leaves a clsact that was there, and one that others have come to use', () => {
      tc('qdisc', 'add', 'dev', 'lo', 'clsact')
      attachTc(program(), 'lo', 'ingress').close()
      expect(clsact('lo')).to.equal(true)
      tc('qdisc', 'del', 'dev', 'lo', 'clsact')

      const first = attachTc(program(), 'lo', 'ingress')
      const path = `${bpffs.path}/classifier`
      const theirs = program(1)
      theirs.pin(path)
      tc('filter', 'add', 'dev', 'lo', 'egress', 'prio', '9', 'bpf', 'direct-action', 'object-pinned', path)
      theirs.unpin()
      first.close()
      expect(clsact('lo')).to.equal(true)
      expect(filters('lo', 'egress')).to.deep.equal([theirs.id])
      tc('qdisc', 'del', 'dev', 'lo', 'clsact')
    })

    it('takes clsact away with the last of several, in whichever order they end', () => {
      const [a, b, c] = ['ingress', 'egress', 'ingress'].map((direction, index) =>
        attachTc(program(index), 'lo', direction as 'ingress'),
      ) as [Attachment, Attachment, Attachment]
      a.close()
      expect(clsact('lo')).to.equal(true)
      c.detach()
      expect([clsact('lo'), filters('lo', 'egress').length]).to.deep.equal([true, 1])
      b.close()
      expect(clsact('lo')).to.equal(false)
      expect(inspect(c)).to.contain(', detached')
      expect(errorOf(() => c.update(program(3)))).to.include({ code: 'ENOLINK' })
      c.close()
    })

    it('does not touch what somebody else has put in its place, and does not mind that it is gone', () => {
      const ours = attachTc(program(0), 'lo', 'ingress', { priority: 4, handle: 2 })
      const theirs = program(1)
      const path = `${bpffs.path}/replacing`
      theirs.pin(path)
      const place = ['dev', 'lo', 'ingress', 'prio', '4', 'handle', '2']
      tc('filter', 'replace', ...place, 'bpf', 'direct-action', 'object-pinned', path)
      theirs.unpin()
      expect(filters('lo', 'ingress')).to.deep.equal([theirs.id])
      expect(ours.info()).to.include({ programId: theirs.id })
      expect(errorOf(() => ours.update(program(2)))).to.include({ code: 'ENOLINK' })
      ours.close()
      expect(filters('lo', 'ingress')).to.deep.equal([theirs.id])
      tc('qdisc', 'del', 'dev', 'lo', 'clsact')
      const gone = attachTc(program(3), 'lo', 'ingress')
      tc('qdisc', 'del', 'dev', 'lo', 'clsact')
      gone.close()
      expect(clsact('lo')).to.equal(false)
    })

    it('does not mind that the device is gone', function () {
      const pair = cable(this, 'veth')
      const filter = attachTc(program(), pair.near, 'egress')
      execFileSync('ip', ['link', 'del', pair.near])
      expect(filter.info()).to.include({ programId: 0 })
      filter.close()
    })

    it('EEXIST: priority and handle are taken; nothing is left behind', () => {
      using first = attachTc(program(), 'lo', 'ingress', { priority: 3, handle: 7 })
      const second = program(1)
      const fds = openFds()
      const error = errorOf(() => attachTc(second, 'lo', 'ingress', { priority: 3, handle: 7 }))
      expect(error).to.be.instanceOf(KernelError).and.include({ code: 'EEXIST', command: 'RTM_NEWTFILTER' })
      expect(error.message).to.equal('EEXIST: RTM_NEWTFILTER on tc ingress on lo: Filter already exists')
      expect(openFds()).to.equal(fds)
      expect(filters('lo', 'ingress')).to.deep.equal([first.programId])
      first.close()
      expect(clsact('lo')).to.equal(false)
    })

    it('refuses numbers that are none', () => {
      const wrong = [{ priority: 0 }, { priority: 65536 }, { priority: 1.5 }, { handle: 0 }, { handle: 2 ** 32 }]
      for (const options of wrong) {
        expect(errorOf(() => attachTc(program(), 'lo', 'ingress', options))).to.be.instanceOf(RangeError)
      }
      expect(errorOf(() => attachTc(program(), 'lo', 'ingress', { priority: '1' as never }))).to.be.instanceOf(
        TypeError,
      )
      expect(errorOf(() => attachTc(program(), 'lo', 'in' as never))).to.be.instanceOf(TypeError)
      expect(clsact('lo')).to.equal(false)
    })
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
