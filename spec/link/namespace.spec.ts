import { closeSync, existsSync, openSync, statSync } from 'node:fs'
import { expect } from 'chai'
import {
  attached,
  attachNetfilter,
  attachNetns,
  attachTc,
  attachTcx,
  bpf,
  ClosedError,
  KernelError,
  type Link,
  type NetfilterOptions,
  Program,
} from '../../lib'
import { openFds } from '../map/kit'
import { requireAttach, requireLinux } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { errorOf } from '../support/error'
import { eventually, hasFeature, pending, requireRoot } from '../support/kernel'
import { ip, useNamespace } from '../support/link/namespace'
import { counter } from '../support/link/programs'
import { bound, connection, open, receive, received, send } from '../support/link/sockets'

/** Where the module shows that it is loaded; what is built in shows there only if it has parameters. */
const DEFRAG = '/sys/module/nf_defrag_ipv4'
const OWN = '/proc/thread-self/ns/net'

describe('programs in a network namespace', () => {
  const namespace = useNamespace()
  const stage = useStage()
  before(function () {
    requireRoot(this)
  })

  async function message(address = '127.0.0.1'): Promise<void> {
    const [to, from] = [bound(stage, address), bound(stage, address)]
    send(from.fd, 8, address, to.port)
    await received(to.fd)
    stage.close(to.fd)
    stage.close(from.fd)
  }

  describe('sk_lookup', () => {
    before(function () {
      requireAttach(this, 'sk_lookup')
    })
    const PASS = 1
    const program = (index = 0) => counter(stage, 'sk_lookup', PASS, { index })

    it('is hit, updated and detached', async () => {
      const [first, second] = [program(0), program(1)]
      using link = attachNetns(first)
      const inode = statSync(OWN).ino
      expect(link.info()).to.deep.equal({
        type: 'netns',
        id: link.id,
        programId: first.id,
        namespaceInode: inode,
        attachType: 'sk_lookup',
      })
      expect(`${link}`).to.equal(`Link#${link.id} sk_lookup of network namespace`)
      expect(attached('sk_lookup').programs).to.deep.equal([{ programId: first.id, linkId: undefined }])
      await message()
      expect(stage.count(0)).to.equal(1)
      link.update(second, { replacing: first })
      await message()
      expect([stage.count(0), stage.count(1)]).to.deep.equal([1, 1])
      link.detach()
      await message()
      expect(stage.count(1)).to.equal(1)
      expect(attached('sk_lookup').programs).to.deep.equal([])
      expect(link.info()).to.include({ namespaceInode: 0 })
    })

    it('decides: a packet that it drops finds no socket', async () => {
      using link = attachNetns(counter(stage, 'sk_lookup', 0))
      const [to, from] = [bound(stage), bound(stage)]
      send(from.fd, 8, '127.0.0.1', to.port)
      // Twice: the answer, that there is no such socket, looks for the sender's.
      await eventually(() => stage.count() > 0, 'the packet is looked up')
      expect(receive(to.fd)).to.equal(undefined)
      link.close()
      await message()
    })

    it('takes a path and an fd of a namespace; several programs run one behind the other', async () => {
      const [a, b] = [program(0), program(1)]
      const fd = openSync(OWN, 'r')
      try {
        using first = attachNetns(a, OWN)
        using second = attachNetns(b, { fd })
        expect(attached('sk_lookup', { fd }).programs.map(({ programId }) => programId)).to.deep.equal([a.id, b.id])
        await message()
        expect([stage.count(0), stage.count(1)]).to.deep.equal([1, 1])
        // Another namespace.
        expect(attached('sk_lookup', namespace.home).programs).to.deep.equal([])
        expect(first.closed || second.closed).to.equal(false)
      } finally {
        closeSync(fd)
      }
    })

    it('refuses what is no namespace, and programs of other types', () => {
      const sound = program()
      const filter = counter(stage, 'socket_filter', 0)
      const fds = openFds()
      expect(errorOf(() => attachNetns(sound, '/run/netns/nowhere')).code).to.equal('ENOENT')
      const error = errorOf(() => attachNetns(sound, '/dev/null'))
      expect(error).to.be.instanceOf(KernelError).and.include({ code: 'EINVAL' })
      expect(error.message).to.contain('network namespace /dev/null: the file is no network namespace')
      const asked = errorOf(() => attached('sk_lookup', '/dev/null'))
      expect(asked.message).to.match(/^EINVAL: .*: the file is no network namespace$/)
      // The highest number there is.
      for (const use of [() => attachNetns(sound, 0x7fffffff), () => attached('sk_lookup', 0x7fffffff)]) {
        expect(errorOf(use).message).to.match(/^EBADF: .*: the file descriptor is not open$/)
      }
      const wrong = errorOf(() => attachNetns(filter))
      expect(wrong).to.be.instanceOf(TypeError)
      expect(wrong.message).to.contain('takes a program of type sk_lookup or flow_dissector')
      expect(errorOf(() => attachNetns(sound, 0))).to.be.instanceOf(RangeError)
      expect(openFds()).to.equal(fds)
      sound.close()
      expect(errorOf(() => attachNetns(sound))).to.be.instanceOf(ClosedError)
      expect(attached('sk_lookup').programs).to.deep.equal([])
    })

    it('E2BIG: there is an end', () => {
      const one = program()
      const all = Array.from({ length: 64 }, () => stage.using(attachNetns(one)))
      expect(attached('sk_lookup').programs).to.have.length(64)
      const error = errorOf(() => attachNetns(one))
      expect(error).to.include({ code: 'E2BIG' })
      expect(error.message).to.contain('64 of type sk_lookup')
      for (const link of all) link.close()
      expect(attached('sk_lookup').programs).to.deep.equal([])
    })
  })

  describe('flow_dissector', () => {
    before(function () {
      requireAttach(this, 'flow_dissector')
    })

    /** A filter that asks for a packet's hash, for which it has to be taken apart. */
    function hashing() {
      const code = bpf`
        call bpf_get_hash_recalc
        r0 = -1
        exit`
      const program = stage.using(Program.load({ type: 'sched_cls', code }))
      // Before tcx there is only clsact; Debian's kernels have that as a module, which may not be there.
      const attach = hasFeature('attach', 'tcx') ? attachTcx : attachTc
      return attach(program, 'lo', 'ingress')
    }

    it('is hit, updated and detached; a second one is refused', async () => {
      const OK = 0
      const [first, second] = [0, 1].map((index) => counter(stage, 'flow_dissector', OK, { index }))
      if (first === undefined || second === undefined) throw new Error('no programs')
      using filter = hashing()
      using link = attachNetns(first)
      expect(link.info()).to.include({ type: 'netns', attachType: 'flow_dissector' })
      await message()
      const hits = stage.count(0)
      expect(hits).to.be.greaterThan(0)
      const error = errorOf(() => attachNetns(second))
      expect(error).to.include({ code: 'E2BIG' })
      expect(error.message).to.contain('one of type flow_dissector')
      link.update(second)
      await message()
      expect(stage.count(0)).to.equal(hits)
      const more = stage.count(1)
      expect(more).to.be.greaterThan(0)
      link.close()
      await message()
      expect(stage.count(1)).to.equal(more)
      expect(filter.closed).to.equal(false)
    })
  })

  describe('netfilter', () => {
    before(function () {
      requireAttach(this, 'netfilter')
    })
    const [DROP, ACCEPT] = [0, 1]
    const program = (index = 0, result = ACCEPT) => counter(stage, 'netfilter', result, { index })
    const INPUT: NetfilterOptions = { family: 'ipv4', hook: 'input', priority: 10 }

    const places: readonly [NetfilterOptions, number, string][] = [
      [{ family: 'ipv4', hook: 'prerouting', priority: -100 }, 0, '127.0.0.1'],
      [INPUT, 1, '127.0.0.1'],
      [{ family: 'ipv4', hook: 'output', priority: 5 }, 3, '127.0.0.1'],
      [{ family: 'ipv4', hook: 'postrouting', priority: 100 }, 4, '127.0.0.1'],
      [{ family: 'ipv6', hook: 'input', priority: 0 }, 1, '::1'],
    ]
    for (const [options, number, address] of places) {
      const { family, hook, priority } = options
      it(`${family} ${hook}: is hit, and detached`, async () => {
        const count = program()
        using link = attachNetfilter(count, options)
        expect(link.info()).to.deep.equal({
          type: 'netfilter',
          id: link.id,
          programId: count.id,
          family,
          hook: number,
          priority,
          defrag: false,
        })
        expect(`${link}`).to.equal(`Link#${link.id} netfilter ${family} ${hook} priority ${priority}`)
        await message(address)
        expect(stage.count()).to.equal(1)
        expect(errorOf(() => link.update(program(1)))).to.include({ code: 'EOPNOTSUPP' })
        link.detach()
        await message(address)
        expect(stage.count()).to.equal(1)
      })
    }

    it('decides: what it drops cannot be sent', async () => {
      using link = attachNetfilter(program(0, DROP), { family: 'ipv4', hook: 'output', priority: 0 })
      const fd = open(stage, 2)
      expect(errorOf(() => send(fd, 8, '127.0.0.1', 9)).code).to.equal('EPERM')
      link.close()
      await message()
    })

    it("EBUSY: a priority is one program's", () => {
      using first = attachNetfilter(program(), INPUT)
      const second = program(1)
      const fds = openFds()
      const error = errorOf(() => attachNetfilter(second, INPUT))
      expect(error).to.be.instanceOf(KernelError).and.include({ code: 'EBUSY' })
      expect(error.message).to.contain('another BPF program has this priority')
      expect(openFds()).to.equal(fds)
      using beside = attachNetfilter(second, { ...INPUT, priority: 11 })
      expect(beside.info()).to.include({ priority: 11 })
      expect(first.closed).to.equal(false)
    })

    it('refuses what cannot be, before the kernel is asked', () => {
      const sound = program()
      for (const priority of [-0x80000000, 0x7fffffff, 1.5]) {
        expect(errorOf(() => attachNetfilter(sound, { ...INPUT, priority }))).to.be.instanceOf(RangeError)
      }
      expect(errorOf(() => attachNetfilter(sound, { ...INPUT, priority: -400, defrag: true }))).to.be.instanceOf(
        RangeError,
      )
      for (const wrong of [{ family: 'inet' }, { hook: 'ingress' }, { priority: '1' }]) {
        expect(errorOf(() => attachNetfilter(sound, { ...INPUT, ...wrong } as never))).to.be.instanceOf(TypeError)
      }
      expect(errorOf(() => attachNetfilter(sound, undefined as never)).message).to.equal(
        "a hook is told by { family: 'ipv4', hook: 'input', priority: 0 }",
      )
      const filter = counter(stage, 'socket_filter', 0)
      const error = errorOf(() => attachNetfilter(filter, INPUT))
      expect(error).to.be.instanceOf(TypeError)
      expect(error.message).to.contain('netfilter ipv4 input priority 10 takes a program of type netfilter')
      sound.close()
      expect(errorOf(() => attachNetfilter(sound, INPUT))).to.be.instanceOf(ClosedError)
    })

    it('defrag: a program sees the whole of what came in fragments', async function () {
      requireLinux(this, 6, 6, 'fragments that are put together for programs')
      // Packets of more do not go through lo in one piece.
      ip('link', 'set', 'lo', 'mtu', '1280')
      stage.later(() => ip('link', 'set', 'lo', 'mtu', '65536'))
      const place = { family: 'ipv4', hook: 'prerouting', priority: -300 } as const
      using pieces = attachNetfilter(program(0), place)
      const [to, from] = [bound(stage), bound(stage)]
      send(from.fd, 2000, '127.0.0.1', to.port)
      expect(await received(to.fd)).to.equal(2000)
      expect(stage.count(0)).to.equal(2)
      pieces.close()
      let whole: Link
      try {
        whole = attachNetfilter(program(1), { ...place, defrag: true })
      } catch (error) {
        // Certain where the kernel itself has it.
        if (!(error instanceof KernelError) || existsSync(DEFRAG)) throw error
        expect(error.code).to.be.oneOf(['ENOENT', 'EOPNOTSUPP'])
        expect(error.message).to.contain('nf_defrag_ipv4')
        return pending(this, 'there is no nf_defrag_ipv4')
      }
      using link = whole
      send(from.fd, 2000, '127.0.0.1', to.port)
      expect(await received(to.fd)).to.equal(2000)
      expect(stage.count(1)).to.equal(1)
      expect(link.info()).to.include({ defrag: true })
    })
  })

  it('a kernel without netfilter programs says so when one is loaded', function () {
    if (hasFeature('attach', 'netfilter') !== false) pending(this, 'the kernel has them')
    const error = errorOf(() => counter(stage, 'netfilter', 1))
    expect(error).to.include({ name: 'UnsupportedError', since: '6.4' })
    // One of another type is refused for its type.
    const filter = counter(stage, 'socket_filter', 1)
    expect(errorOf(() => attachNetfilter(filter, { family: 'ipv4', hook: 'input', priority: 0 }))).to.be.instanceOf(
      TypeError,
    )
  })

  it('a connection within the namespace is a connection', async () => {
    const { client, server } = connection(stage)
    send(client, 5)
    expect(await received(server)).to.equal(5)
  })
})
