/** Real calls of the commands that attach. */
import { readSync } from 'node:fs'
import { expect } from 'chai'
import * as sys from '../../syscalls'
import * as uapi from '../../syscalls/uapi'
import { kernelBtf } from '../support/btf'
import { LAST_ID, refusal, type Table } from './commands-kit'

export const LINK_COMMANDS: Table = {
  BPF_PROG_ATTACH: {
    calls: [sys.progAttach],
    really(kit) {
      const [attach_bpf_fd, target_fd, attach_type] = [kit.ingress(), kit.cgroup(), uapi.BPF_CGROUP_INET_INGRESS]
      sys.progAttach({ attach_bpf_fd, target_fd, attach_type, attach_flags: uapi.BPF_F_ALLOW_MULTI })
      expect(sys.progQuery({ target_fd, attach_type }).count).to.equal(1)
    },
  },
  BPF_PROG_DETACH: {
    calls: [sys.progDetach],
    really(kit) {
      const [attach_bpf_fd, target_fd, attach_type] = [kit.ingress(), kit.cgroup(), uapi.BPF_CGROUP_INET_INGRESS]
      sys.progAttach({ attach_bpf_fd, target_fd, attach_type, attach_flags: uapi.BPF_F_ALLOW_MULTI })
      sys.progDetach({ attach_bpf_fd, target_fd, attach_type })
      expect(sys.progQuery({ target_fd, attach_type }).count).to.equal(0)
      expect(refusal(() => sys.progDetach({ attach_bpf_fd, target_fd, attach_type })).code).to.equal('ENOENT')
    },
  },
  BPF_PROG_QUERY: {
    calls: [sys.progQuery],
    really(kit) {
      const [attach_bpf_fd, target_fd, attach_type] = [kit.ingress(), kit.cgroup(), uapi.BPF_CGROUP_INET_INGRESS]
      sys.progAttach({ attach_bpf_fd, target_fd, attach_type, attach_flags: uapi.BPF_F_ALLOW_MULTI })
      const second = kit.ingress()
      sys.progAttach({ attach_bpf_fd: second, target_fd, attach_type, attach_flags: uapi.BPF_F_ALLOW_MULTI })
      const ids = [attach_bpf_fd, second].map((fd) => sys.progInfo(fd).id)
      const prog_ids = new Uint32Array(4)
      const all = sys.progQuery({ target_fd, attach_type, prog_ids })
      expect([all.count, all.truncated, all.attachFlags]).to.deep.equal([2, false, uapi.BPF_F_ALLOW_MULTI])
      expect([...prog_ids]).to.deep.equal([...ids, 0, 0])
      const one = sys.progQuery({ target_fd, attach_type, prog_ids: new Uint32Array(1) })
      expect([one.count, one.truncated]).to.deep.equal([2, true])
    },
  },
  BPF_RAW_TRACEPOINT_OPEN: {
    calls: [sys.rawTracepointOpen],
    really(kit) {
      const { link, program } = kit.rawTracepoint()
      expect(sys.linkInfo(link).prog_id).to.equal(sys.progInfo(program).id)
      const error = refusal(() => sys.rawTracepointOpen({ prog_fd: program, name: 'no_such_tracepoint' }))
      expect(error.code).to.equal('ENOENT')
    },
  },
  BPF_TASK_FD_QUERY: {
    calls: [sys.taskFdQuery],
    really(kit) {
      const { link, program } = kit.rawTracepoint()
      const reply = sys.taskFdQuery(process.pid, link)
      const expected = [sys.progInfo(program).id, uapi.BPF_FD_TYPE_RAW_TRACEPOINT, 'sys_enter']
      expect([reply.progId, reply.fdType, reply.name]).to.deep.equal(expected)
    },
  },
  BPF_LINK_CREATE: {
    calls: [sys.linkCreate],
    really(kit) {
      const program = kit.ingress()
      const info = sys.linkInfo(kit.link(program))
      expect([info.type, info.prog_id]).to.deep.equal([uapi.BPF_LINK_TYPE_CGROUP, sys.progInfo(program).id])
      expect(info.cgroup?.attach_type).to.equal(uapi.BPF_CGROUP_INET_INGRESS)
    },
  },
  BPF_LINK_UPDATE: {
    calls: [sys.linkUpdate],
    really(kit) {
      const [old_prog_fd, new_prog_fd] = [kit.ingress(), kit.ingress()]
      const link_fd = kit.link(old_prog_fd)
      sys.linkUpdate({ link_fd, new_prog_fd })
      expect(sys.linkInfo(link_fd).prog_id).to.equal(sys.progInfo(new_prog_fd).id)
      const again = { link_fd, new_prog_fd: old_prog_fd, old_prog_fd, flags: uapi.BPF_F_REPLACE }
      expect(refusal(() => sys.linkUpdate(again)).code).to.equal('EPERM')
    },
  },
  BPF_LINK_GET_FD_BY_ID: {
    calls: [sys.linkOpenById, sys.linkTryOpenById],
    really(kit) {
      const { id } = sys.linkInfo(kit.rawTracepoint().link)
      expect(sys.linkInfo(kit.own(sys.linkOpenById(id))).id).to.equal(id)
      expect(sys.linkTryOpenById(0xfffffff0)).to.equal(undefined)
      expect(refusal(() => sys.linkOpenById(0xfffffff0)).code).to.equal('ENOENT')
    },
  },
  BPF_LINK_GET_NEXT_ID: {
    calls: [sys.linkNextId],
    really(kit) {
      const { id } = sys.linkInfo(kit.rawTracepoint().link)
      expect(sys.linkNextId(id - 1)).to.equal(id)
      expect(sys.linkNextId(LAST_ID)).to.equal(undefined)
    },
  },
  BPF_ITER_CREATE: {
    calls: [sys.iterCreate],
    really(kit) {
      const prog_fd = kit.program(uapi.BPF_PROG_TYPE_TRACING, {
        expected_attach_type: uapi.BPF_TRACE_ITER,
        attach_btf_id: kernelBtf(kit.mocha).func('bpf_iter_task'),
      })
      const link = kit.own(sys.linkCreate({ prog_fd, attach_type: uapi.BPF_TRACE_ITER }))
      const iter = kit.own(sys.iterCreate(link))
      // The program prints nothing: the end comes at once.
      expect(readSync(iter, new Uint8Array(64))).to.equal(0)
      expect(refusal(() => sys.iterCreate(kit.rawTracepoint().link)).code).to.equal('EINVAL')
    },
  },
  BPF_LINK_DETACH: {
    calls: [sys.linkDetach],
    really(kit) {
      const link = kit.link(kit.ingress())
      sys.linkDetach(link)
      expect(sys.linkInfo(link).cgroup?.cgroup_id).to.equal(0n)
      expect(refusal(() => sys.linkDetach(kit.rawTracepoint().link)).code).to.equal('EOPNOTSUPP')
    },
  },
}
