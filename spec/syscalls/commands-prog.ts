/** Real calls of the commands on programs, BTF and tokens. */
import { closeSync, openSync } from 'node:fs'
import { expect } from 'chai'
import * as sys from '../../syscalls'
import * as uapi from '../../syscalls/uapi'
import { mapIds, requireFeature, withBpffs } from '../support/kernel'
import { refused, returning, smallBtf } from '../support/programs'
import { LAST_ID, refusal, type Table } from './commands-kit'

export const PROG_COMMANDS: Table = {
  BPF_PROG_LOAD: {
    calls: [sys.progLoad, sys.tryProgLoad],
    really(kit) {
      expect(sys.progInfo(kit.program()).type).to.equal(uapi.BPF_PROG_TYPE_SOCKET_FILTER)
      const log_buf = new Uint8Array(4096)
      const prog_type = uapi.BPF_PROG_TYPE_SOCKET_FILTER
      const fields = { prog_type, insns: refused(), license: 'GPL', log_level: uapi.BPF_LOG_LEVEL1, log_buf }
      const reply = sys.tryProgLoad(fields)
      const log = Buffer.from(log_buf).toString('latin1', 0, log_buf.indexOf(0))
      expect([reply.fd, sys.errnoName(reply.errno)]).to.deep.equal([-1, 'EACCES'])
      expect(log).to.include('R0 !read_ok')
      // 0 before Linux 6.4
      expect([0, log.length + 1]).to.include(reply.logTrueSize)
      expect(refusal(() => sys.progLoad(fields)).code).to.equal('EACCES')
    },
  },
  BPF_PROG_TEST_RUN: {
    calls: [sys.progTestRun],
    really(kit) {
      const prog_fd = kit.program(uapi.BPF_PROG_TYPE_XDP, { insns: returning(2) })
      const packet = Uint8Array.from({ length: 64 }, (_, i) => i)
      const room = new Uint8Array(100)
      const reply = sys.progTestRun({ prog_fd, data_in: packet, data_out: room.subarray(20, 84), repeat: 3 })
      expect([reply.retval, reply.dataSizeOut, reply.truncated]).to.deep.equal([2, 64, false])
      // A view counts from its own offset, over its own length.
      expect([...room]).to.deep.equal([...new Uint8Array(20), ...packet, ...new Uint8Array(16)])
      const small = sys.progTestRun({ prog_fd, data_in: packet, data_out: new Uint8Array(10) })
      expect([small.retval, small.dataSizeOut, small.truncated]).to.deep.equal([2, 64, true])
    },
  },
  BPF_PROG_GET_NEXT_ID: {
    calls: [sys.progNextId],
    really(kit) {
      const { id } = sys.progInfo(kit.program())
      expect(sys.progNextId(id - 1)).to.equal(id)
      expect(sys.progNextId(LAST_ID)).to.equal(undefined)
    },
  },
  BPF_PROG_GET_FD_BY_ID: {
    calls: [sys.progOpenById, sys.progTryOpenById],
    really(kit) {
      const fd = sys.progLoad({ prog_type: uapi.BPF_PROG_TYPE_SOCKET_FILTER, insns: returning(0), license: 'GPL' })
      const { id } = sys.progInfo(fd)
      expect(sys.progInfo(kit.own(sys.progOpenById(id))).id).to.equal(id)
      sys.closeFd(fd)
      expect(sys.progTryOpenById(0xfffffff0)).to.equal(undefined)
      expect(refusal(() => sys.progOpenById(0xfffffff0)).code).to.equal('ENOENT')
    },
  },
  BPF_BTF_LOAD: {
    calls: [sys.btfLoad, sys.tryBtfLoad],
    really(kit) {
      const { id } = sys.btfInfo(kit.btf())
      expect(mapIds('btf')).to.include(id)
      const wrong = smallBtf()
      wrong[24] = 9 // the name's offset
      const btf_log_buf = new Uint8Array(4096)
      const reply = sys.tryBtfLoad({ btf: wrong, btf_log_level: 1, btf_log_buf })
      expect([reply.fd, sys.errnoName(reply.errno)]).to.deep.equal([-1, 'EINVAL'])
      const length = btf_log_buf.indexOf(0)
      expect(length).to.be.greaterThan(0)
      expect([0, length + 1]).to.include(reply.logTrueSize)
      expect(refusal(() => sys.btfLoad({ btf: wrong })).code).to.equal('EINVAL')
    },
  },
  BPF_BTF_GET_FD_BY_ID: {
    calls: [sys.btfOpenById, sys.btfTryOpenById],
    really(kit) {
      const { id } = sys.btfInfo(kit.btf())
      expect(sys.btfInfo(kit.own(sys.btfOpenById(id))).id).to.equal(id)
      expect(sys.btfTryOpenById(0xfffffff0)).to.equal(undefined)
      expect(refusal(() => sys.btfOpenById(0xfffffff0)).code).to.equal('ENOENT')
    },
  },
  BPF_BTF_GET_NEXT_ID: {
    calls: [sys.btfNextId],
    really(kit) {
      const { id } = sys.btfInfo(kit.btf())
      expect(sys.btfNextId(id - 1)).to.equal(id)
      expect(sys.btfNextId(LAST_ID)).to.equal(undefined)
    },
  },
  BPF_ENABLE_STATS: {
    calls: [sys.enableStats],
    really(kit) {
      const prog_fd = kit.program()
      const run = () => sys.progTestRun({ prog_fd, data_in: new Uint8Array(64), repeat: 5 })
      kit.own(sys.enableStats())
      run()
      expect(sys.progInfo(prog_fd).run_cnt).to.equal(5n)
      expect(refusal(() => sys.enableStats(5)).code).to.equal('EINVAL')
    },
  },
  BPF_PROG_BIND_MAP: {
    calls: [sys.progBindMap],
    really(kit) {
      const [program, map] = [kit.program(), kit.map()]
      sys.progBindMap(program, map)
      const map_ids = new Uint32Array(2)
      expect(sys.progInfo(program, { map_ids }).nr_map_ids).to.equal(1)
      expect([...map_ids]).to.deep.equal([sys.mapInfo(map).id, 0])
    },
  },
  BPF_TOKEN_CREATE: {
    calls: [sys.tokenCreate],
    really(kit) {
      requireFeature(kit.mocha, 'tokens')
      return withBpffs((folder) => {
        const fd = openSync(folder, 'r')
        try {
          // Delegation is to user namespaces; a process of the initial one has nothing to be given.
          expect(refusal(() => sys.tokenCreate(fd)).code).to.equal('EOPNOTSUPP')
        } finally {
          closeSync(fd)
        }
      })
    },
  },
  BPF_PROG_STREAM_READ_BY_FD: {
    calls: [sys.progStreamRead],
    really(kit) {
      requireFeature(kit.mocha, 'programStreams')
      const program = kit.program()
      expect(sys.progStreamRead(program, uapi.BPF_STREAM_STDOUT, new Uint8Array(64))).to.equal(0)
      expect(refusal(() => sys.progStreamRead(program, 3, new Uint8Array(64))).code).to.equal('ENOENT')
    },
  },
}
