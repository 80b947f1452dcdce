import { expect } from 'chai'
import { kernelTypeId } from '../../lib/btf/kernel'
import { linkCreate, linkInfo, rawTracepointOpen } from '../../syscalls'
import * as uapi from '../../syscalls/uapi'
import { HookCode } from '../support/attach/hook-code'
import { ownCgroup } from '../support/attach/network'
import { requireLinux, requireLsm } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { AF_INET, AF_INET6, AF_UNIX, openSocket } from '../support/attach/trigger'

const EACCES = 13
/** LSM_HOOK(int, 0, socket_create, int family, int type, int protocol, int kern) in include/linux/lsm_hook_defs.h */
const HOOK = 'bpf_lsm_socket_create'
const FAMILY = 0
/** enum bpf_func_id, for LSM programs of cgroups */
const BPF_FUNC_set_retval = 187

describe('an LSM program', () => {
  const stage = useStage()

  function lsm(code: HookCode, more: { prog_flags?: number; expected_attach_type?: number } = {}): number {
    const place = { expected_attach_type: uapi.BPF_LSM_MAC, attach_btf_id: kernelTypeId('func', HOOK) }
    return stage.load({ prog_type: uapi.BPF_PROG_TYPE_LSM, ...place, ...more }, code)
  }

  /** EACCES for IPv6 sockets of this process. */
  function denyingIpv6(): HookCode {
    return new HookCode()
      .onlyProcess()
      .count(stage.counters.fd)
      .argument(8, FAMILY)
      .add(0x55, 8, 0, 0, AF_INET6, 'out') // if r8 != AF_INET6
      .add(0xb7, 7, 0, 0, EACCES)
      .endWithError()
  }

  function itDenies(attach: () => number): void {
    const link = attach()
    expect([AF_INET, AF_INET6, AF_UNIX].map(openSocket)).to.deep.equal(['', 'EACCES', ''])
    expect(stage.count()).to.equal(3)
    stage.close(link)
    expect([AF_INET, AF_INET6, AF_UNIX].map(openSocket)).to.deep.equal(['', '', ''])
    expect(stage.count()).to.equal(3)
  }

  it('lsm: denies what it is asked about, with the errno that it returns', function () {
    requireLsm(this, 'lsm')
    itDenies(() => stage.own(rawTracepointOpen({ prog_fd: lsm(denyingIpv6()) })))
  })

  it('lsm: attached by BPF_LINK_CREATE', function () {
    requireLsm(this, 'lsm')
    requireLinux(this, 6, 0, 'LSM programs by BPF_LINK_CREATE')
    itDenies(() => stage.own(linkCreate({ prog_fd: lsm(denyingIpv6()), attach_type: uapi.BPF_LSM_MAC })))
  })

  it('lsm.s: the same by a program that may sleep', function () {
    requireLsm(this, 'lsm')
    requireLinux(this, 5, 11, 'sleepable LSM programs at most hooks')
    const prog_flags = uapi.BPF_F_SLEEPABLE
    itDenies(() => stage.own(rawTracepointOpen({ prog_fd: lsm(denyingIpv6(), { prog_flags }) })))
  })

  it('lsm_cgroup: for the processes of one cgroup', function () {
    requireLsm(this, 'lsm_cgroup')
    const code = new HookCode()
      .count(stage.counters.fd)
      .argument(8, FAMILY)
      .add(0xb7, 0, 0, 0, 1)
      .add(0x55, 8, 0, 0, AF_INET6, 'allow') // if r8 != AF_INET6
      .add(0xb7, 1, 0, 0, -EACCES)
      .call(BPF_FUNC_set_retval)
      .add(0xb7, 0, 0, 0, 0) // 0 denies, 1 allows
      .label('allow')
      .add(0x95)
    const attach_type = uapi.BPF_LSM_CGROUP
    const prog_fd = lsm(code, { expected_attach_type: attach_type })
    expect(openSocket(AF_INET6)).to.equal('')
    const cgroup = ownCgroup(this, stage)
    const link = stage.own(linkCreate({ prog_fd, target_fd: cgroup, attach_type }))
    expect([AF_INET, AF_INET6].map(openSocket)).to.deep.equal(['', 'EACCES'])
    expect(stage.count()).to.equal(2)
    expect(linkInfo(link).cgroup?.attach_type).to.equal(attach_type)
    stage.close(link)
    expect([AF_INET, AF_INET6].map(openSocket)).to.deep.equal(['', ''])
    expect(stage.count()).to.equal(2)
  })
})
