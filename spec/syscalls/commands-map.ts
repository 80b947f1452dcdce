import { join } from 'node:path'
import { expect } from 'chai'
import * as sys from '../../syscalls'
import { ElementCalls, KernelError, KeyWalk } from '../../syscalls'
import { LE } from '../../syscalls/attr-common'
import * as uapi from '../../syscalls/uapi'
import { mapIds, requireFeature, withBpffs } from '../support/kernel'
import { returning, smallBtf } from '../support/programs'
import { got, keysOf, put, refusal, subject, type Table } from './commands-kit'

export const MAP_COMMANDS: Table = {
  BPF_MAP_CREATE: {
    calls: [sys.mapCreate],
    really(kit) {
      const before = mapIds()
      const fd = kit.map()
      const fresh = mapIds().filter((id) => !before.includes(id))
      expect(fresh).to.include(sys.mapInfo(fd).id)
    },
  },
  BPF_MAP_LOOKUP_ELEM: {
    calls: [ElementCalls.prototype.lookup],
    really(kit) {
      const calls = kit.elements(kit.filled())
      expect([got(calls, 1), got(calls, 2), got(calls, 3)]).to.deep.equal([10n, 20n, undefined])
    },
  },
  BPF_MAP_UPDATE_ELEM: {
    calls: [ElementCalls.prototype.update, ElementCalls.prototype.tryUpdate, ElementCalls.prototype.updateAsync],
    async really(kit) {
      const calls = kit.elements(kit.map())
      put(calls, 7, 70n)
      calls.update(uapi.BPF_NOEXIST)
      put(calls, 7, 71n)
      expect(calls.tryUpdate(uapi.BPF_NOEXIST)).to.equal('EEXIST')
      put(calls, 7, 72n)
      expect(await calls.updateAsync(uapi.BPF_EXIST)).to.equal(0)
      expect(got(calls, 7)).to.equal(72n)
    },
  },
  BPF_MAP_DELETE_ELEM: {
    calls: [ElementCalls.prototype.delete, ElementCalls.prototype.deleteAsync],
    async really(kit) {
      const calls = kit.elements(kit.filled())
      put(calls, 1)
      expect([calls.delete(), calls.delete()]).to.deep.equal([true, false])
      put(calls, 2)
      expect(await calls.deleteAsync()).to.equal(0)
      expect([got(calls, 1), got(calls, 2)]).to.deep.equal([undefined, undefined])
    },
  },
  BPF_MAP_GET_NEXT_KEY: {
    calls: [KeyWalk.prototype.next],
    really(kit) {
      const fd = kit.filled()
      const walk = new KeyWalk(4, subject)
      const keys: number[] = []
      while (walk.next(fd)) keys.push(walk.view.getUint32(walk.keyAt, LE))
      expect(keys.sort()).to.deep.equal([1, 2])
    },
  },
  BPF_OBJ_PIN: {
    calls: [sys.objPin],
    really: (kit) =>
      withBpffs((folder) => {
        const path = join(folder, 'pinned')
        sys.objPin(path, kit.map())
        expect(refusal(() => sys.objPin(path, kit.map())).code).to.equal('EEXIST')
      }),
  },
  BPF_OBJ_GET: {
    calls: [sys.objGet],
    really: (kit) =>
      withBpffs((folder) => {
        const path = join(folder, 'pinned')
        const map = kit.map()
        sys.objPin(path, map)
        const again = kit.own(sys.objGet(path))
        expect(sys.mapInfo(again).id).to.equal(sys.mapInfo(map).id)
        const readOnly = kit.elements(kit.own(sys.objGet(path, uapi.BPF_F_RDONLY)))
        expect(readOnly.tryUpdate(uapi.BPF_ANY)).to.equal('EPERM')
      }),
  },
  BPF_MAP_GET_NEXT_ID: {
    calls: [sys.mapNextId],
    really(kit) {
      kit.map()
      const ids: number[] = []
      for (let id = sys.mapNextId(0); id !== undefined; id = sys.mapNextId(id)) ids.push(id)
      expect(ids).to.deep.equal(mapIds())
    },
  },
  BPF_MAP_GET_FD_BY_ID: {
    calls: [sys.mapOpenById, sys.mapTryOpenById],
    really(kit) {
      const { id } = sys.mapInfo(kit.map())
      expect(sys.mapInfo(kit.own(sys.mapOpenById(id))).id).to.equal(id)
      const readOnly = kit.elements(kit.own(sys.mapOpenById(id, uapi.BPF_F_RDONLY)))
      expect(readOnly.tryUpdate(uapi.BPF_ANY)).to.equal('EPERM')
      expect(sys.mapTryOpenById(0xfffffff0)).to.equal(undefined)
      expect(refusal(() => sys.mapOpenById(0xfffffff0)).code).to.equal('ENOENT')
    },
  },
  BPF_OBJ_GET_INFO_BY_FD: {
    calls: [sys.objectInfo, sys.mapInfo, sys.progInfo, sys.linkInfo, sys.btfInfo, sys.tokenInfo],
    really(kit) {
      expect(sys.mapInfo(kit.map()).name).to.equal('commands')
      const code = returning(0)
      const xlated = new Uint8Array(code.length)
      const info = sys.progInfo(kit.program(), { xlated_prog_insns: xlated })
      expect([info.xlated_prog_len, [...xlated]]).to.deep.equal([code.length, [...code]])
      const tp_name = new Uint8Array(32)
      const link = sys.linkInfo(kit.rawTracepoint().link, { member: 'raw_tracepoint', tp_name })
      expect([link.type, Buffer.from(tp_name).toString('latin1', 0, 10)]).to.deep.equal([
        uapi.BPF_LINK_TYPE_RAW_TRACEPOINT,
        'sys_enter\0',
      ])
      const btf = smallBtf()
      const back = new Uint8Array(btf.length)
      expect([sys.btfInfo(kit.btf(), { btf: back }).btf_size, [...back]]).to.deep.equal([btf.length, [...btf]])
      // No token can be made here; that the struct is another's, its length tells.
      expect(() => sys.tokenInfo(kit.btf())).not.to.throw(KernelError)
    },
  },
  BPF_MAP_LOOKUP_AND_DELETE_ELEM: {
    calls: [ElementCalls.prototype.lookupAndDelete],
    really(kit) {
      requireFeature(kit.mocha, 'lookupAndDelete')
      const calls = kit.elements(kit.filled())
      put(calls, 2, 0n)
      expect(calls.lookupAndDelete(0)).to.equal(true)
      expect(calls.view.getBigUint64(calls.valueAt, LE)).to.equal(20n)
      expect([got(calls, 1), got(calls, 2)]).to.deep.equal([10n, undefined])
    },
  },
  BPF_MAP_FREEZE: {
    calls: [sys.mapFreeze],
    really(kit) {
      const fd = kit.filled()
      sys.mapFreeze(fd)
      const calls = kit.elements(fd)
      expect(calls.tryUpdate(uapi.BPF_ANY)).to.equal('EPERM')
      expect(got(calls, 1)).to.equal(10n)
      expect(refusal(() => sys.mapFreeze(fd)).code).to.match(/^(EPERM|EBUSY)$/)
    },
  },
  BPF_MAP_LOOKUP_BATCH: {
    calls: [sys.BatchCalls.prototype.lookup],
    really(kit) {
      const batch = new sys.BatchCalls(4, 4, 8)
      const answer = batch.lookup(kit.filled(), 0)
      expect(answer).to.deep.equal({ count: 2, code: 'ENOENT', errno: 2 })
      expect(keysOf(batch, 2)).to.deep.equal(new Map([[1, 10n], [2, 20n]])) // biome-ignore format: a table
    },
  },
  BPF_MAP_LOOKUP_AND_DELETE_BATCH: {
    calls: [sys.BatchCalls.prototype.lookupAndDelete],
    really(kit) {
      const fd = kit.filled()
      const batch = new sys.BatchCalls(4, 4, 8)
      expect(batch.lookupAndDelete(fd, 0)).to.deep.equal({ count: 2, code: 'ENOENT', errno: 2 })
      expect([...keysOf(batch, 2).keys()]).to.deep.equal([1, 2])
      expect(new sys.BatchCalls(4, 4, 8).lookup(fd, 0).count).to.equal(0)
    },
  },
  BPF_MAP_UPDATE_BATCH: {
    calls: [sys.BatchCalls.prototype.update, sys.BatchCalls.prototype.updateAsync],
    async really(kit) {
      const fd = kit.map()
      const batch = new sys.BatchCalls(4, 4, 8)
      for (let i = 0; i < 4; i++) {
        batch.view.setUint32(batch.keysAt + i * 4, i + 100, LE)
        batch.view.setBigUint64(batch.valuesAt + i * 8, BigInt(i), LE)
      }
      expect(batch.update(fd, 2, 0)).to.deep.equal({ count: 2, code: '', errno: 0 })
      expect(await batch.updateAsync(fd, 2, 2)).to.deep.equal({ count: 2, code: '', errno: 0 })
      const calls = kit.elements(fd)
      expect([100, 101, 102, 103, 104].map((key) => got(calls, key))).to.deep.equal([0n, 1n, 2n, 3n, undefined])
    },
  },
  BPF_MAP_DELETE_BATCH: {
    calls: [sys.BatchCalls.prototype.delete, sys.BatchCalls.prototype.deleteAsync],
    async really(kit) {
      const fd = kit.filled()
      const batch = new sys.BatchCalls(2, 4, 8)
      batch.view.setUint32(batch.keysAt, 2, LE)
      batch.view.setUint32(batch.keysAt + 4, 1, LE)
      expect(batch.delete(fd, 1)).to.deep.equal({ count: 1, code: '', errno: 0 })
      const calls = kit.elements(fd)
      expect([got(calls, 1), got(calls, 2)]).to.deep.equal([10n, undefined])
      expect(await batch.deleteAsync(fd, 1, 1)).to.deep.equal({ count: 1, code: '', errno: 0 })
      expect(got(calls, 1)).to.equal(undefined)
    },
  },
}
