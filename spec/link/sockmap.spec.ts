import { expect } from 'chai'
import {
  attached,
  attachSockmap,
  bpf,
  ClosedError,
  HashMap,
  KernelError,
  Link,
  Program,
  type SockHash,
  SockMap,
  type SockmapHook,
  u32,
} from '../../lib'
import { BPF_LINK_CREATE } from '../../syscalls/uapi'
import { openFds } from '../map/kit'
import { requireAttach, requireLinux } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { errorOf } from '../support/error'
import { eventually, linuxBefore, pending } from '../support/kernel'
import { useNamespace } from '../support/link/namespace'
import { counter, counting } from '../support/link/programs'
import { bound, connection, received, send } from '../support/link/sockets'
import { recorded } from '../support/recording-abi'

const EINVAL = 22

describe('attachSockmap', () => {
  useNamespace()
  const stage = useStage()
  before(function () {
    requireAttach(this, 'sockmap')
  })
  const PASS = 1
  const DROP = 0
  let map: SockMap | SockHash<number>
  beforeEach(() => {
    map = stage.using(SockMap.create({ maxEntries: 4 }))
  })
  const verdict = (index = 0, result = PASS) => counter(stage, 'sk_skb', result, { index })

  it('sk_skb_stream_verdict: what sockets receive; is hit, updated and detached', async () => {
    const [first, second] = [verdict(0), verdict(1)]
    const attachment = attachSockmap(first, map, 'sk_skb_stream_verdict')
    // By a link from 6.10 on, and by an object of the same interface before.
    expect(attachment instanceof Link).to.equal(!linuxBefore(6, 10))
    expect(attachment.type).to.equal('sockmap')
    expect(attachment.info()).to.include({ type: 'sockmap', programId: first.id })
    expect(`${attachment}`).to.contain(`sk_skb_stream_verdict of map#${map.id}`)
    // Each with a connection of its own: a socket keeps what was there when it was put in.
    const passes = async () => {
      const { client, server } = connection(stage)
      map.set(0, server)
      send(client, 5)
      expect(await received(server)).to.equal(5)
    }
    await passes()
    expect(stage.count(0)).to.be.greaterThan(0)
    expect(errorOf(() => attachment.update(second, { replacing: second }))).to.include({ code: 'EPERM' })
    attachment.update(second, { replacing: first })
    const before = stage.count(0)
    await passes()
    expect(stage.count(0)).to.equal(before)
    expect(stage.count(1)).to.be.greaterThan(0)
    attachment.close()
    const last = stage.count(1)
    await passes()
    expect(stage.count(1)).to.equal(last)
  })

  it('sk_msg_verdict: what sockets send', async () => {
    const program = counter(stage, 'sk_msg', DROP)
    using attachment = attachSockmap(program, map)
    expect(`${attachment}`).to.contain('sk_msg_verdict of map#')
    const { client, server } = connection(stage)
    map.set(0, client)
    expect(errorOf(() => send(client, 5)).code).to.equal('EACCES')
    expect(stage.count()).to.equal(1)
    map.delete(0)
    send(client, 6)
    expect(await received(server)).to.equal(6)
    expect(attachment.programId).to.equal(program.id)
  })

  it('sk_skb_stream_parser: with a verdict', async () => {
    // The whole of what is there is one message.
    const parser = bpf`
      r6 = r1
      ${counting(stage)}
      r0 = *(u32 *)(r6 + 0)
      exit`
    const program = stage.using(
      Program.load({ type: 'sk_skb', code: parser, expectedAttachType: 'sk_skb_stream_parser' }),
    )
    using parsing = attachSockmap(program, map)
    using judging = attachSockmap(verdict(1), map, 'sk_skb_stream_verdict')
    expect(parsing.description).to.contain('sk_skb_stream_parser')
    const { client, server } = connection(stage)
    map.set(0, server)
    send(client, 5)
    expect(await received(server)).to.equal(5)
    expect([stage.count(0) > 0, stage.count(1) > 0]).to.deep.equal([true, true])
    expect(judging.closed).to.equal(false)
  })

  it('sk_skb_verdict: of sockets of UDP too', async function () {
    requireLinux(this, 5, 13, 'verdicts without a parser')
    const { fd, port } = bound(stage)
    using attachment = attachSockmap(verdict(), map, 'sk_skb_verdict')
    map.set(0, fd)
    send(bound(stage).fd, 8, '127.0.0.1', port)
    await eventually(() => stage.count() === 1, 'the packet is seen')
    expect(attachment.type).to.equal('sockmap')
  })

  it('attached() tells which program is there', function () {
    requireLinux(this, 5, 17, 'answers of a sockmap')
    const program = verdict()
    expect(attached('sk_skb_stream_verdict', map).programs).to.deep.equal([])
    using attachment = attachSockmap(program, map, 'sk_skb_stream_verdict')
    expect(attached('sk_skb_stream_verdict', map).programs).to.deep.equal([
      { programId: program.id, linkId: undefined },
    ])
    attachment.close()
    expect(attached('sk_skb_stream_verdict', map).programs).to.deep.equal([])
  })

  it('a place that is taken: EBUSY by a link, another program without', function () {
    requireLinux(this, 6, 10, 'links to sockmaps')
    using first = attachSockmap(verdict(0), map, 'sk_skb_stream_verdict')
    const second = verdict(1)
    const fds = openFds()
    const error = errorOf(() => attachSockmap(second, map, 'sk_skb_stream_verdict'))
    expect(error).to.be.instanceOf(KernelError).and.include({ code: 'EBUSY', command: 'BPF_LINK_CREATE' })
    expect(openFds()).to.equal(fds)
    expect(attached('sk_skb_stream_verdict', map).programs.map(({ programId }) => programId)).to.deep.equal([
      first.programId,
    ])
  })

  it('without a link: does not touch what somebody else has put there', async function () {
    if (!linuxBefore(6, 10)) pending(this, 'the kernel has links to sockmaps')
    const ours = attachSockmap(verdict(0), map, 'sk_skb_stream_verdict')
    const theirs = attachSockmap(verdict(1), map, 'sk_skb_stream_verdict')
    ours.close()
    const { client, server } = connection(stage)
    map.set(0, server)
    send(client, 5)
    await eventually(() => stage.count(1) > 0, 'the other program is still there')
    theirs.close()
  })

  it('without links to sockmaps: replaces its own program alone', function () {
    requireLinux(this, 5, 17, 'answers of a sockmap')
    const [ours, theirs, third] = [verdict(0), verdict(1), verdict(2)]
    const ids = () => attached('sk_skb_stream_verdict', map).programs.map(({ programId }) => programId)
    recorded(
      () => {
        using attachment = attachSockmap(ours, map, 'sk_skb_stream_verdict')
        expect(attachment).not.to.be.instanceOf(Link)
        attachment.update(third, { replacing: ours })
        expect(ids()).to.deep.equal([third.id])
        using other = attachSockmap(theirs, map, 'sk_skb_stream_verdict')
        expect(errorOf(() => attachment.update(ours, { replacing: third }))).to.include({ code: 'ENOLINK' })
        attachment.close()
        expect(ids()).to.deep.equal([theirs.id])
        other.detach()
        other.detach()
        expect(errorOf(() => other.update(ours))).to.include({ code: 'ENOLINK' })
      },
      ({ command }) => (command === BPF_LINK_CREATE ? -EINVAL : undefined),
    )
    expect(ids()).to.deep.equal([])
  })

  it('refuses other maps, other programs, and hooks that there are not', () => {
    const program = verdict()
    const xdp = counter(stage, 'xdp', 2)
    using other = HashMap.create({ key: u32, value: u32, maxEntries: 1 })
    const fds = openFds()
    const wrong = errorOf(() => attachSockmap(program, other, 'sk_skb_stream_verdict'))
    expect(wrong).to.be.instanceOf(TypeError)
    expect(wrong.message).to.contain('a SOCKMAP or SOCKHASH: map#')
    const none = errorOf(() => attached('sk_msg_verdict', other))
    expect(none.message).to.match(/^(EOPNOTSUPP: .* neither a SOCKMAP nor a SOCKHASH$|EINVAL: )/)
    expect(errorOf(() => attachSockmap(program, program, 'sk_skb_stream_verdict'))).to.be.instanceOf(TypeError)
    expect(errorOf(() => attachSockmap(xdp, map)).message).to.contain('takes a program of type sk_skb or sk_msg')
    expect(errorOf(() => attachSockmap(program, map, 'sk_msg_verdict')).message).to.contain('of type sk_msg: ')
    expect(errorOf(() => attachSockmap(program, map)).message).to.contain('does not tell its hook')
    expect(errorOf(() => attachSockmap(program, map, 'xdp' as SockmapHook))).to.be.instanceOf(TypeError)
    expect(openFds()).to.equal(fds)
    program.close()
    expect(errorOf(() => attachSockmap(program, map, 'sk_skb_stream_verdict'))).to.be.instanceOf(ClosedError)
  })
})
