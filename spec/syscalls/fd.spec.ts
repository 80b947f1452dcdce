import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readlinkSync } from 'node:fs'
import { expect } from 'chai'
import * as sys from '../../syscalls'
import { checkKind, settleFd } from '../../syscalls/fd'
import * as uapi from '../../syscalls/uapi'
import { inChild } from '../support/child'
import { needs, requireRoot } from '../support/kernel'
import { recorded } from '../support/recording-abi'

type Syscalls = typeof import('../../syscalls')

const BAD: unknown[] = [0, -1, 1.5, Number.NaN, 2 ** 31, 2 ** 32 + 5, Number.POSITIVE_INFINITY]
const NO_NUMBERS: unknown[] = ['5', null, undefined, 5n, {}, true]

const code = (call: () => unknown): string => {
  try {
    call()
    return ''
  } catch (error) {
    if (error instanceof sys.KernelError) return `${error.syscall} ${error.code}`
    throw error
  }
}

describe('file descriptors', () => {
  describe('as arguments', () => {
    const insns = new Uint8Array(16)
    const load = { prog_type: 1, insns, license: 'GPL' }
    const attach_type = uapi.BPF_CGROUP_INET_INGRESS
    /** Every place where a typed call takes an fd. */
    const TAKERS: Record<string, (fd: number) => unknown> = {
      mapFreeze: (fd) => sys.mapFreeze(fd),
      mapInfo: (fd) => sys.mapInfo(fd),
      'mapCreate inner_map_fd': (inner_map_fd) =>
        sys.mapCreate({ map_type: 13, key_size: 4, value_size: 4, max_entries: 1, inner_map_fd }),
      'mapCreate btf_fd': (btf_fd) =>
        sys.mapCreate({ map_type: 1, key_size: 4, value_size: 4, max_entries: 1, btf_fd }),
      'mapCreate map_token_fd': (map_token_fd) =>
        sys.mapCreate({ map_type: 1, key_size: 4, value_size: 4, max_entries: 1, map_token_fd }),
      objPin: (fd) => sys.objPin('/sys/fs/bpf/x', fd),
      'progLoad prog_btf_fd': (prog_btf_fd) => sys.progLoad({ ...load, prog_btf_fd }),
      'progLoad attach_prog_fd': (attach_prog_fd) => sys.progLoad({ ...load, attach_prog_fd }),
      'progLoad attach_btf_obj_fd': (attach_btf_obj_fd) => sys.progLoad({ ...load, attach_btf_obj_fd }),
      'progLoad prog_token_fd': (prog_token_fd) => sys.progLoad({ ...load, prog_token_fd }),
      progInfo: (fd) => sys.progInfo(fd),
      progTestRun: (prog_fd) => sys.progTestRun({ prog_fd }),
      'progBindMap prog_fd': (fd) => sys.progBindMap(fd, 5),
      'progBindMap map_fd': (fd) => sys.progBindMap(5, fd),
      progStreamRead: (fd) => sys.progStreamRead(fd, 1, new Uint8Array(8)),
      'progAssocStructOps prog_fd': (fd) => sys.progAssocStructOps(fd, 5),
      'progAssocStructOps map_fd': (fd) => sys.progAssocStructOps(5, fd),
      'progAttach attach_bpf_fd': (fd) => sys.progAttach({ attach_bpf_fd: fd, target_fd: 5, attach_type }),
      'progAttach target_fd': (fd) => sys.progAttach({ attach_bpf_fd: 5, target_fd: fd, attach_type }),
      'progAttach replace_bpf_fd': (replace_bpf_fd) =>
        sys.progAttach({ attach_bpf_fd: 5, target_fd: 5, attach_type, replace_bpf_fd }),
      'progAttach relative_fd': (relative_fd) =>
        sys.progAttach({ attach_bpf_fd: 5, target_fd: 5, attach_type, relative_fd }),
      'progDetach attach_bpf_fd': (fd) => sys.progDetach({ attach_bpf_fd: fd, target_fd: 5, attach_type }),
      'progDetach target_fd': (target_fd) => sys.progDetach({ target_fd, attach_type }),
      'progQuery target_fd': (target_fd) => sys.progQuery({ target_fd, attach_type }),
      'linkCreate prog_fd': (prog_fd) => sys.linkCreate({ prog_fd, target_fd: 5, attach_type }),
      'linkCreate map_fd': (map_fd) => sys.linkCreate({ map_fd, attach_type }),
      'linkCreate target_fd': (target_fd) => sys.linkCreate({ prog_fd: 5, target_fd, attach_type }),
      'linkCreate tcx.relative_fd': (relative_fd) =>
        sys.linkCreate({ prog_fd: 5, target_ifindex: 1, attach_type, union: { member: 'tcx', relative_fd } }),
      'linkUpdate link_fd': (link_fd) => sys.linkUpdate({ link_fd, new_prog_fd: 5 }),
      'linkUpdate new_prog_fd': (new_prog_fd) => sys.linkUpdate({ link_fd: 5, new_prog_fd }),
      'linkUpdate old_prog_fd': (old_prog_fd) => sys.linkUpdate({ link_fd: 5, new_prog_fd: 5, old_prog_fd }),
      'linkUpdate new_map_fd': (new_map_fd) => sys.linkUpdate({ link_fd: 5, new_map_fd }),
      linkDetach: (fd) => sys.linkDetach(fd),
      linkInfo: (fd) => sys.linkInfo(fd),
      iterCreate: (fd) => sys.iterCreate(fd),
      rawTracepointOpen: (prog_fd) => sys.rawTracepointOpen({ prog_fd, name: 'sys_enter' }),
      'btfLoad btf_token_fd': (btf_token_fd) => sys.btfLoad({ btf: insns, btf_token_fd }),
      'btfOpenById token': (fd) => sys.btfOpenById(5, fd),
      btfInfo: (fd) => sys.btfInfo(fd),
      tokenCreate: (fd) => sys.tokenCreate(fd),
      tokenInfo: (fd) => sys.tokenInfo(fd),
      watchReadable: (fd) => sys.watchReadable(fd, () => {}),
    }

    for (const [name, take] of Object.entries(TAKERS)) {
      it(`${name} refuses what is none, 0 above all, before the kernel is asked`, () => {
        recorded((recording) => {
          for (const bad of BAD) expect(() => take(bad as number), String(bad)).to.throw(RangeError)
          for (const bad of NO_NUMBERS) {
            if (bad === undefined && name.includes(' ')) continue // not given
            expect(() => take(bad as number), String(bad)).to.throw(TypeError)
          }
          expect(recording.bpf()).to.have.lengthOf(0)
        })
      })
    }

    it('say in the message what is wrong with 0, and which argument it is', () => {
      expect(() => sys.checkFd(0, 'map_fd')).to.throw(RangeError, '0 is standard input (map_fd)')
    })
  })

  it('of the calls that take any fd, 0 among them: the kernel would look at 32 bits of more', () => {
    for (const bad of BAD.slice(1) as number[]) {
      expect(() => sys.closeFd(bad), String(bad)).to.throw(RangeError)
      expect(() => sys.duplicateFd(bad), String(bad)).to.throw(RangeError)
    }
    expect(code(() => sys.closeFd(1_000_000))).to.equal('close EBADF')
    expect(code(() => sys.duplicateFd(1_000_000))).to.equal('fcntl EBADF')
  })

  it('are refused where they are of another kind than the buffers that go with them', function () {
    requireRoot(this)
    const map = sys.mapCreate({ map_type: uapi.BPF_MAP_TYPE_HASH, key_size: 4, value_size: 4, max_entries: 1 })
    try {
      expect(() => checkKind(map, 'bpf-map')).not.to.throw()
      const into = new Uint8Array(64)
      expect(() => sys.progInfo(map, { xlated_prog_insns: into })).to.throw(TypeError, 'is a bpf-map, not a bpf-prog')
      expect(() => sys.linkInfo(map, { member: 'iter', target_name: into })).to.throw(TypeError, 'not a bpf_link')
      expect(() => sys.btfInfo(map, { btf: into })).to.throw(TypeError, 'not a btf')
    } finally {
      sys.closeFd(map)
    }
  })

  it('are duplicated close-on-exec, 3 or above', () => {
    const copy = sys.duplicateFd(0)
    try {
      expect(copy).to.be.at.least(3)
      expect(readlinkSync(`/proc/self/fd/${copy}`)).to.equal(readlinkSync('/proc/self/fd/0'))
      // The child's own list: what is not close-on-exec would be in it.
      const there = execFileSync('ls', ['/proc/self/fd'], { encoding: 'utf8' }).split('\n')
      expect(there).not.to.include(String(copy))
    } finally {
      sys.closeFd(copy)
    }
  })

  describe('that are the result of a call', () => {
    it('are left alone from 3 on', () => {
      recorded((recording) => {
        expect(settleFd(3)).to.equal(3)
        expect(recording.calls).to.have.lengthOf(0)
      })
    })

    it('are moved up from below 3, and the low one is closed', function () {
      needs(this, process.platform === 'linux', 'Linux')
      recorded(
        (recording) => {
          expect(settleFd(1)).to.equal(9)
          expect(recording.calls.map(({ args }) => args)).to.deep.equal([
            [1, 1030, 3],
            [1, 0, 0],
          ])
        },
        (call) => (call.args[1] === 1030 ? 9 : 0),
      )
    })

    it('are closed where they cannot be moved', () => {
      recorded(
        (recording) => {
          expect(code(() => settleFd(2))).to.equal('fcntl EMFILE')
          expect(recording.calls.map(({ args }) => args[1])).to.deep.equal([1030, 0])
        },
        (call) => (call.args[1] === 1030 ? -24 : 0),
      )
    })

    it('are never 0, 1 or 2, also in a process without standard streams', function () {
      requireRoot(this)
      const { stdout, stderr, status } = inChild(
        ({ load }) => {
          const { closeSync, existsSync, fstatSync, readlinkSync, writeSync } =
            require('node:fs') as typeof import('node:fs')
          const sys = load<Syscalls>('syscalls')
          sys.abi()
          closeSync(0)
          const fields = { map_type: 1, key_size: 4, value_size: 4, max_entries: 1 }
          const made = [sys.mapCreate(fields), sys.mapOpenById(sys.mapInfo(sys.mapCreate(fields)).id)]
          const kinds = made.map((fd) => `${fd >= 3} ${readlinkSync(`/proc/self/fd/${fd}`)}`)
          let zero = 'closed'
          try {
            fstatSync(0)
            zero = existsSync('/proc/self/fd/0') ? readlinkSync('/proc/self/fd/0') : 'open'
          } catch {}
          writeSync(1, `${kinds.join('\n')}\n${zero}\n`)
          // Node wants its stream back before it ends.
          ;(require('node:fs') as typeof import('node:fs')).openSync('/dev/null', 'r')
        },
        { stdio: ['ignore', 'pipe', 'pipe'] },
      )
      expect({ status, lines: stdout.split('\n') }, stderr).to.deep.equal({
        status: 0,
        lines: ['true anon_inode:bpf-map', 'true anon_inode:bpf-map', 'closed', ''],
      })
    })
  })

  it('closed by somebody else are an error, and a signal is none', () => {
    const fd = openSync('/dev/null', 'r')
    closeSync(fd)
    expect(code(() => sys.closeFd(fd))).to.equal('close EBADF')
    expect(
      recorded(
        () => code(() => sys.closeFd(5)),
        () => -4,
      ),
    ).to.equal('')
  })
})
