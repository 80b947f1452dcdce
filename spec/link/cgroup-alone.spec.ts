import { closeSync, mkdirSync, openSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect } from 'chai'
import { attachCgroup, attached, ClosedError, KernelError, Link } from '../../lib'
import { progAttach, progDetach, progQuery } from '../../syscalls'
import { BPF_F_ALLOW_OVERRIDE } from '../../syscalls/uapi-link'
import { ATTACH_TYPES } from '../../syscalls/uapi-names'
import { openFds } from '../map/kit'
import { ownCgroupFolder } from '../support/attach/network'
import { requireAttach } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { errorOf } from '../support/error'
import { useNamespace } from '../support/link/namespace'
import { counter } from '../support/link/programs'
import * as net from '../support/link/sockets'

/** What lets everything go on. */
const ALLOW = 1

describe('a program alone at a cgroup, without a link', () => {
  useNamespace()
  const stage = useStage()
  let folder = ''
  beforeEach(function () {
    requireAttach(this, 'cgroup')
    folder = ownCgroupFolder(this, stage)
  })

  const hook = 'cgroup_inet_sock_create'

  /** What the kernel says by a way of the spec's own. */
  function ids(path: string): number[] {
    const target_fd = openSync(path, 'r')
    try {
      const prog_ids = new Uint32Array(64)
      const { count } = progQuery({ target_fd, attach_type: ATTACH_TYPES[hook], prog_ids })
      return [...prog_ids.subarray(0, count)]
    } finally {
      closeSync(target_fd)
    }
  }

  const deny = (index = 0) =>
    counter(stage, 'cgroup_sock', 0, { index, name: 'deny', expectedAttachType: 'cgroup_inet_sock_create' })
  const code = (run: () => unknown) => (errorOf(run) as { code?: string }).code
  const below = () => {
    const path = join(folder, 'below')
    mkdirSync(path)
    stage.later(() => rmdirSync(path))
    return path
  }

  it('exclusive: no other here or below; updated, and undone at its end', () => {
    const [first, second] = [deny(0), deny(1)]
    const alone = attachCgroup(first, folder, { mode: 'exclusive' })
    expect(alone).not.to.be.instanceOf(Link)
    expect(inspect(alone)).to.equal(`${hook} of ${folder} → Program#${first.id} 'deny'`)
    expect(alone.info()).to.deep.equal({ type: 'cgroup', programId: first.id })
    expect(code(() => net.openAndClose(net.AF_INET))).to.equal('EPERM')
    const fds = openFds()
    const busy = errorOf(() => attachCgroup(second, folder, { mode: 'exclusive' }))
    expect(busy).to.be.instanceOf(KernelError).and.include({ code: 'EBUSY' })
    expect(busy.message).to.contain(`Program#${first.id} 'deny' is attached there already`)
    expect(errorOf(() => attachCgroup(second, folder))).to.include({ code: 'EPERM' })
    const inner = below()
    expect(errorOf(() => attachCgroup(second, inner))).to.include({ code: 'EPERM' })
    expect(errorOf(() => attachCgroup(second, inner, { mode: 'override' }))).to.include({ code: 'EPERM' })
    expect(openFds()).to.equal(fds)
    expect(ids(folder)).to.deep.equal([first.id])
    expect(errorOf(() => alone.update(second, { replacing: second }))).to.include({ code: 'EPERM' })
    alone.update(second, { replacing: first })
    expect(ids(folder)).to.deep.equal([second.id])
    expect(alone.programId).to.equal(second.id)
    const before = stage.count(1)
    expect(code(() => net.openAndClose(net.AF_INET))).to.equal('EPERM')
    expect(stage.count(1)).to.equal(before + 1)
    alone.close()
    expect(ids(folder)).to.deep.equal([])
    net.openAndClose(net.AF_INET)
    expect(errorOf(() => alone.info())).to.be.instanceOf(ClosedError)
  })

  it('override: one below may take its place', () => {
    const allow = counter(stage, 'cgroup_sock', ALLOW, { index: 2, expectedAttachType: hook })
    using outer = attachCgroup(deny(), folder, { mode: 'override' })
    expect(code(() => net.openAndClose(net.AF_INET))).to.equal('EPERM')
    const inner = below()
    using nearer = attachCgroup(allow, inner, { mode: 'override' })
    expect(attached(hook, inner, { effective: true }).programs.map(({ programId }) => programId)).to.deep.equal([
      allow.id,
    ])
    nearer.detach()
    nearer.detach()
    expect(ids(inner)).to.deep.equal([])
    expect(attached(hook, inner, { effective: true }).programs.map(({ programId }) => programId)).to.deep.equal([
      outer.programId,
    ])
  })

  it('leaves what somebody else has put there since', () => {
    const [ours, theirs] = [attachCgroup(deny(0), folder, { mode: 'exclusive' }), deny(1)]
    const target_fd = openSync(folder, 'r')
    const place = { target_fd, attach_bpf_fd: theirs.fd, attach_type: ATTACH_TYPES[hook] }
    try {
      progAttach(place)
      expect(ids(folder)).to.deep.equal([theirs.id])
      ours.close()
      expect(ids(folder)).to.deep.equal([theirs.id])
      progDetach(place)
    } finally {
      closeSync(target_fd)
    }
    expect(ids(folder)).to.deep.equal([])
  })

  it('takes the place of nobody else, and is not put back', () => {
    const [first, second, third] = [deny(0), deny(1), deny(2)]
    using alone = attachCgroup(first, folder, { mode: 'override' })
    const target_fd = openSync(folder, 'r')
    const place = (attach_bpf_fd: number) => ({ target_fd, attach_bpf_fd, attach_type: ATTACH_TYPES[hook] })
    try {
      progAttach({ ...place(second.fd), attach_flags: BPF_F_ALLOW_OVERRIDE })
      expect(errorOf(() => alone.update(third, { replacing: first }))).to.include({ code: 'ENOLINK' })
      expect(ids(folder)).to.deep.equal([second.id])
      progDetach(place(second.fd))
      expect(errorOf(() => alone.update(third)).message).to.contain('detached, or replaced by somebody else')
      expect(ids(folder)).to.deep.equal([])
    } finally {
      closeSync(target_fd)
    }
  })

  it('has no order, and no LSM', () => {
    expect(errorOf(() => attachCgroup(deny(), folder, { mode: 'exclusive', place: 'first' }))).to.be.instanceOf(
      TypeError,
    )
    expect(errorOf(() => attachCgroup(deny(), folder, { mode: 'all' as never }))).to.be.instanceOf(TypeError)
  })
})
