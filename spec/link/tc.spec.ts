import { execFileSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { inspect } from 'node:util'
import { expect } from 'chai'
import { type Attachment, attached, attachTc, ClosedError, KernelError } from '../../lib'
import { NR } from '../../syscalls/numbers'
import { openFds } from '../map/kit'
import { runs } from '../support/attach/network'
import { useStage } from '../support/attach/stage'
import { errorOf } from '../support/error'
import { needs, pending, useBpffs } from '../support/kernel'
import { libc } from '../support/link/libc'
import { cable, tc, useNamespace } from '../support/link/namespace'
import { counter } from '../support/link/programs'
import { traffic } from '../support/link/traffic'
import { recorded, type Sent } from '../support/recording-abi'

const NEXT = -1
const OK = 0
const SHOT = 2
const CLONE_NEWNET = 0x40000000
const ENOBUFS = -105

describe('tc: filters in clsact', () => {
  const namespace = useNamespace()
  const stage = useStage()
  const bpffs = useBpffs()
  const { hits, misses, arrives } = traffic(stage)

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

  it('egress is refused where the older discipline is, which would ask the filter of what comes in', () => {
    tc('qdisc', 'add', 'dev', 'lo', 'ingress')
    const first = program()
    const fds = openFds()
    const error = errorOf(() => attachTc(first, 'lo', 'egress'))
    expect(error).to.include({ code: 'EBUSY', syscall: 'sendto', command: 'RTM_NEWQDISC' })
    expect(error.message).to.contain("the device has the queueing discipline 'ingress', which has no egress")
    expect(filters('lo', 'ingress')).to.deep.equal([])
    expect(openFds()).to.equal(fds)
    const ours = attachTc(program(1), 'lo', 'ingress')
    expect(filters('lo', 'ingress')).to.deep.equal([ours.programId])
    ours.close()
    expect(tc('qdisc', 'show', 'dev', 'lo')).to.match(/^qdisc ingress /m)
    tc('qdisc', 'del', 'dev', 'lo', 'ingress')
  })

  it('a priority of filters of another kind: says so, and leaves them', function () {
    tc('qdisc', 'add', 'dev', 'lo', 'clsact')
    stage.later(() => tc('qdisc', 'del', 'dev', 'lo', 'clsact'))
    const other = ['prio', '5', 'u32', 'match', 'u32', '0', '0', 'classid', '1:1']
    if (!runs('tc', 'filter', 'add', 'dev', 'lo', 'ingress', ...other))
      pending(this, 'there are no filters of type u32')
    const error = errorOf(() => attachTc(program(), 'lo', 'ingress', { priority: 5 }))
    expect(error).to.include({ code: 'EINVAL', command: 'RTM_NEWTFILTER' })
    expect(error.message).to.match(/filter kind does not match/)
    attachTc(program(1), 'lo', 'ingress', { priority: 6 }).close()
    expect(tc('filter', 'show', 'dev', 'lo', 'ingress')).to.contain(' pref 5 u32 ')
  })

  it('ends in the network namespace in which it began, wherever the thread is by then', () => {
    const filter = attachTc(program(), 'lo', 'ingress')
    const here = openSync('/proc/thread-self/ns/net', 'r')
    libc.setns(namespace.home, CLONE_NEWNET)
    try {
      expect(filter.info()).to.include({ programId: filter.programId })
      filter.update(program(1))
      filter.close()
    } finally {
      libc.setns(here, CLONE_NEWNET)
      closeSync(here)
    }
    expect(clsact('lo')).to.equal(false)
  })

  it('leaves nothing behind where an answer of the kernel is lost', () => {
    const one = program()
    /** Attaches, and the answer with this number does not come; what it was about is done. */
    const losing = (n: number) => {
      let answers = 0
      const lose = ({ nr }: Sent) => (nr === NR.recvfrom && answers++ === n ? ENOBUFS : undefined)
      const attach = () => attachTc(one, 'lo', 'ingress')
      return recorded(() => {
        try {
          return attach()
        } catch (error) {
          return error as Error
        }
      }, lose)
    }
    const check = () => {
      const now = () => [attached('tc_ingress', 'lo').programs, clsact('lo'), openFds()]
      const before = now()
      let n = 0
      for (; ; n++) {
        const result = losing(n)
        if (!(result instanceof Error)) {
          result.close()
          break
        }
        expect(result).to.include({ code: 'ENOBUFS', syscall: 'recvfrom' })
        expect(now(), `${n}: ${result.message}`).to.deep.equal(before)
      }
      // Of clsact, what is there, the filter that is made, and that it is.
      expect(n).to.be.at.least(5)
    }
    check()
    // Beside a filter of the same program, in a clsact of somebody else's.
    tc('qdisc', 'add', 'dev', 'lo', 'clsact')
    stage.later(() => tc('qdisc', 'del', 'dev', 'lo', 'clsact'))
    const other = attachTc(one, 'lo', 'ingress')
    check()
    other.close()
  })

  it('refuses numbers that are none', () => {
    const wrong = [{ priority: 0 }, { priority: 65536 }, { priority: 1.5 }, { handle: 0 }, { handle: 2 ** 32 }]
    for (const options of wrong) {
      expect(errorOf(() => attachTc(program(), 'lo', 'ingress', options))).to.be.instanceOf(RangeError)
    }
    expect(errorOf(() => attachTc(program(), 'lo', 'ingress', { priority: '1' as never }))).to.be.instanceOf(TypeError)
    expect(errorOf(() => attachTc(program(), 'lo', 'in' as never))).to.be.instanceOf(TypeError)
    expect(clsact('lo')).to.equal(false)
  })
})
