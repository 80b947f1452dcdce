import { expect } from 'chai'
import * as sys from '../../syscalls'
import { BatchCalls, ElementCalls, KeyWalk } from '../../syscalls'
import { LE } from '../../syscalls/attr-common'
import * as uapi from '../../syscalls/uapi'
import { errorOf } from '../support/error'
import { type Answer, type Recording, recorded } from '../support/recording-abi'

/** The fields in the machine's byte order: a number is a u32, a bigint a u64, a string a name of 16 bytes. */
function bytes(...fields: (number | bigint | string)[]): number[] {
  return fields.flatMap((field) => {
    if (typeof field === 'string') return [...Buffer.alloc(16).fill(field, 0, field.length, 'latin1')]
    const view = new DataView(new ArrayBuffer(typeof field === 'number' ? 4 : 8))
    if (typeof field === 'number') view.setInt32(0, field, LE)
    else view.setBigUint64(0, field, LE)
    return [...new Uint8Array(view.buffer)]
  })
}

const subject = { description: 'a map' }
const FD = 77
const done: Answer = () => FD

/** The one bpf(2) call that `use` makes: its command, its attr, and what else was seen. No kernel is asked. */
function sent(use: (recording: Recording) => void, answer: Answer = done) {
  return recorded((recording) => {
    use(recording)
    const calls = recording.bpf()
    const last = calls.at(-1)
    if (last?.attr === undefined) throw new Error('nothing was sent')
    expect(last.args[2], 'the size is that of the bytes').to.equal(last.attr.length)
    const view = new DataView(last.attr.buffer)
    return {
      command: last.command,
      attr: [...last.attr],
      pointer: (at: number) => Number(view.getBigUint64(at, LE)),
      text: (at: number, length: number) =>
        Buffer.from(recording.bytesAt(Number(view.getBigUint64(at, LE)), length)).toString('latin1'),
    }
  }, answer)
}

describe('the bytes that are sent', () => {
  it('BPF_MAP_CREATE: up to the last field that is given', () => {
    const least = { map_type: uapi.BPF_MAP_TYPE_HASH, key_size: 4, value_size: 8, max_entries: 100 }
    const first = sent(() => expect(sys.mapCreate(least)).to.equal(FD))
    expect(first.command).to.equal(0)
    expect(first.attr).to.deep.equal(bytes(1, 4, 8, 100))
    const named = sent(() => sys.mapCreate({ ...least, map_flags: uapi.BPF_F_NO_PREALLOC, map_name: 'ports' }))
    expect(named.attr).to.deep.equal(bytes(1, 4, 8, 100, 1, 0, 0, 'ports'))
    const outer = sent(() => sys.mapCreate({ ...least, map_type: uapi.BPF_MAP_TYPE_HASH_OF_MAPS, inner_map_fd: 9 }))
    expect(outer.attr).to.deep.equal(bytes(13, 4, 8, 100, 0, 9))
    const hash = sent(() => sys.mapCreate({ ...least, excl_prog_hash: new Uint8Array(32).fill(1) }))
    expect(hash.attr.slice(88)).to.deep.equal(bytes(32))
    expect(hash.text(80, 32)).to.equal('\x01'.repeat(32))
  })

  describe('of one element', () => {
    const calls = (keyBytes = 4, valueBytes = 8) => new ElementCalls(FD, keyBytes, valueBytes, subject)
    const filled = (use: (calls: ElementCalls) => void) =>
      sent(() => {
        const one = calls()
        Buffer.from(one.view.buffer).write('kkkkxxxxvvvvvvvv', one.keyAt, 'latin1')
        use(one)
      })

    for (const [name, command, make] of [
      ['BPF_MAP_LOOKUP_ELEM', 1, (one: ElementCalls, flags: number) => one.lookup(flags)],
      ['BPF_MAP_UPDATE_ELEM', 2, (one: ElementCalls, flags: number) => one.update(flags)],
      ['BPF_MAP_UPDATE_ELEM, refusable', 2, (one: ElementCalls, flags: number) => one.tryUpdate(flags)],
      ['BPF_MAP_UPDATE_ELEM, asynchronous', 2, (one: ElementCalls, flags: number) => one.updateAsync(flags)],
      ['BPF_MAP_LOOKUP_AND_DELETE_ELEM', 21, (one: ElementCalls, flags: number) => one.lookupAndDelete(flags)],
    ] as const) {
      it(`${name}: 32 bytes, map_fd, key, value, flags`, () => {
        const call = filled((one) => void make(one, uapi.BPF_F_LOCK))
        expect(call.command).to.equal(command)
        const [key, value] = [call.pointer(8), call.pointer(16)]
        expect(call.attr).to.deep.equal(bytes(FD, 0, BigInt(key), BigInt(value), 4n))
        expect([call.text(8, 4), call.text(16, 8)]).to.deep.equal(['kkkk', 'vvvvvvvv'])
      })
    }

    for (const make of [(one: ElementCalls) => one.delete(), (one: ElementCalls) => one.deleteAsync()]) {
      it('BPF_MAP_DELETE_ELEM: 16 bytes, so that no value follows', () => {
        const call = filled((one) => void make(one))
        expect(call.command).to.equal(3)
        expect(call.attr).to.deep.equal(bytes(FD, 0, BigInt(call.pointer(8))))
        expect(call.text(8, 4)).to.equal('kkkk')
      })
    }

    it('flags of one call do not stay for the next', () => {
      const call = sent(() => {
        const one = calls()
        one.update(uapi.BPF_EXIST)
        one.lookup(0)
      })
      expect(call.attr.slice(24)).to.deep.equal(bytes(0n))
    })

    it('NULL for what a map without keys or without values has not', () => {
      const queue = sent(() => calls(0, 8).lookup(0))
      expect(queue.pointer(8)).to.equal(0)
      expect(queue.pointer(16)).not.to.equal(0)
      expect(sent(() => calls(4, 0).update(0)).pointer(16)).to.equal(0)
    })

    it('nothing once it is closed, and -1 for the fd where that comes in the middle of a call', () => {
      recorded((recording) => {
        const one = calls()
        one.close()
        expect(errorOf(() => one.lookup(0))).to.be.an('error')
        expect(errorOf(() => one.delete())).to.be.an('error')
        expect(recording.calls.length).to.equal(0)
      })
      const call = sent(() => {
        const one = calls()
        one.state = 1
        one.close()
        one.lookup(0)
      })
      expect(call.attr.slice(0, 4)).to.deep.equal(bytes(-1))
    })

    it('the next map has the block of a closed one, and the closed one no longer', () => {
      sent(() => {
        const first = calls(4, 8)
        const block = first.view.buffer
        first.close()
        const second = calls(4, 8)
        expect(second.view.buffer).to.equal(block)
        first.close()
        expect(calls(4, 8).view.buffer).to.not.equal(block)
        second.lookup(0)
      })
    })

    it('key and value have room of their own, whatever their sizes', () => {
      for (const [keyBytes, valueBytes] of [
        [1, 1],
        [3, 5],
        [8, 8],
        [9, 4],
        [260, 4096],
      ] as const) {
        const call = sent(() => calls(keyBytes, valueBytes).lookup(0))
        expect(call.pointer(16) - call.pointer(8)).to.be.at.least(keyBytes)
        expect(call.text(16, valueBytes)).to.have.lengthOf(valueBytes)
      }
    })

    it('BPF_MAP_GET_NEXT_KEY: 24 bytes; NULL for the first, then the key that was given', () => {
      recorded(
        (recording) => {
          const walk = new KeyWalk(4, subject)
          expect([walk.next(FD), walk.next(FD + 1)]).to.deep.equal([true, true])
          const [first, second] = recording.bpf(uapi.BPF_MAP_GET_NEXT_KEY)
          const view = new DataView(second?.attr?.buffer as ArrayBuffer)
          const [key, next] = [view.getBigUint64(8, LE), view.getBigUint64(16, LE)]
          expect([...(first?.attr ?? [])]).to.deep.equal(bytes(FD, 0, 0n, next))
          expect([...(second?.attr ?? [])]).to.deep.equal(bytes(FD + 1, 0, key, next))
          expect(Buffer.from(recording.bytesAt(Number(key), 4)).toString('latin1')).to.equal('next')
        },
        (call, recording) => {
          const view = new DataView(call.attr?.buffer as ArrayBuffer)
          recording.bytesAt(Number(view.getBigUint64(16, LE)), 4).set(Buffer.from('next'))
          return 0
        },
      )
    })

    it('nothing where sizes or fds are none', () => {
      recorded((recording) => {
        for (const bad of [-1, 1.5, Number.NaN, 2 ** 53, '4' as unknown as number]) {
          expect(() => calls(bad, 8), `key of ${bad}`).to.throw(RangeError)
          expect(() => calls(4, bad), `value of ${bad}`).to.throw(RangeError)
          expect(() => new KeyWalk(bad, subject), `walk of ${bad}`).to.throw(RangeError)
          expect(() => new BatchCalls(2, bad, 8), `batch of keys of ${bad}`).to.throw(RangeError)
          expect(() => new BatchCalls(2, 4, bad), `batch of values of ${bad}`).to.throw(RangeError)
          expect(() => new BatchCalls(bad, 4, 8), `batch of ${bad}`).to.throw(RangeError)
        }
        const batch = new BatchCalls(2, 4, 8)
        for (const bad of [0, -1, 1.5, Number.NaN, 2 ** 31]) {
          expect(() => new ElementCalls(bad, 4, 8, subject), `fd ${bad}`).to.throw(RangeError)
          expect(() => new KeyWalk(4, subject).next(bad), `fd ${bad}`).to.throw(RangeError)
          expect(() => batch.lookup(bad, 0), `fd ${bad}`).to.throw(RangeError)
          expect(() => batch.update(bad, 1, 0), `fd ${bad}`).to.throw(RangeError)
          expect(() => batch.delete(bad, 1), `fd ${bad}`).to.throw(RangeError)
        }
        expect(recording.calls).to.have.lengthOf(0)
      })
    })
  })

  describe('of a batch', () => {
    it('look-ups begin with NULL and go on where the kernel left off', () => {
      recorded(
        (recording) => {
          const batch = new BatchCalls(3, 4, 8)
          batch.lookup(FD, uapi.BPF_F_LOCK)
          batch.lookupAndDelete(FD, 0)
          const [first, second] = recording.bpf()
          const view = new DataView(second?.attr?.buffer as ArrayBuffer)
          const [from, to, keys, values] = [0, 8, 16, 24].map((at) => view.getBigUint64(at, LE))
          expect([first?.command, second?.command]).to.deep.equal([24, 25])
          const common = [to, keys, values, 3, FD] as [bigint, bigint, bigint, number, number]
          expect([...(first?.attr ?? [])]).to.deep.equal(bytes(0n, ...common, 4n, 0n))
          expect([...(second?.attr ?? [])]).to.deep.equal(bytes(from ?? -1n, ...common, 0n, 0n))
          expect([...recording.bytesAt(Number(from), 4)]).to.deep.equal([1, 2, 3, 4])
          expect(recording.bytesAt(Number(keys), 12)).to.have.lengthOf(12)
          expect(recording.bytesAt(Number(values), 24)).to.have.lengthOf(24)
        },
        (call, recording) => {
          const view = new DataView(call.attr?.buffer as ArrayBuffer)
          if (recording.bpf().length === 1) {
            recording.bytesAt(Number(view.getBigUint64(8, LE)), 4).set([1, 2, 3, 4])
          }
          return 0
        },
      )
    })

    it('updates and deletions: count and fd, from the entry that is asked for', () => {
      recorded((recording) => {
        const batch = new BatchCalls(3, 4, 8)
        batch.update(FD, 3, 0)
        void batch.updateAsync(FD, 1, 2)
        batch.delete(FD, 2, 1)
        const pointers = recording.bpf().map(({ command, attr }) => {
          const view = new DataView(attr?.buffer as ArrayBuffer)
          const [keys, values] = [Number(view.getBigUint64(16, LE)), Number(view.getBigUint64(24, LE))]
          const rest = bytes(0n, 0n, BigInt(keys), BigInt(values))
          expect([...(attr ?? [])].slice(0, 32)).to.deep.equal(rest)
          return { command, keys, values, tail: [...(attr ?? [])].slice(32) }
        })
        const [first, second, third] = pointers
        expect(pointers.map(({ command }) => command)).to.deep.equal([26, 26, 27])
        expect((second?.keys ?? 0) - (first?.keys ?? 0)).to.equal(8)
        expect((second?.values ?? 0) - (first?.values ?? 0)).to.equal(16)
        expect((third?.keys ?? 0) - (first?.keys ?? 0)).to.equal(4)
        expect(third?.values).to.equal(0)
        expect(pointers.map(({ tail }) => tail)).to.deep.equal([
          bytes(3, FD, 0n, 0n),
          bytes(1, FD, 0n, 0n),
          bytes(2, FD, 0n, 0n),
        ])
      }, done)
    })

    it('nothing past the room', () => {
      recorded((recording) => {
        const batch = new BatchCalls(3, 4, 8)
        expect(() => batch.update(FD, 4, 0)).to.throw(RangeError)
        expect(() => batch.update(FD, 0, 0)).to.throw(RangeError)
        expect(() => batch.delete(FD, 2, 2)).to.throw(RangeError)
        expect(() => batch.delete(FD, 2, -1)).to.throw(RangeError)
        expect(recording.calls).to.have.lengthOf(0)
      }, done)
    })
  })

  it('BPF_OBJ_PIN and BPF_OBJ_GET: a path that ends with NUL', () => {
    const pin = sent(() => sys.objPin('/sys/fs/bpf/ports', FD))
    expect([pin.command, pin.attr]).to.deep.equal([6, bytes(BigInt(pin.pointer(0)), FD)])
    expect(pin.text(0, 18)).to.equal('/sys/fs/bpf/ports\0')
    const get = sent(() => expect(sys.objGet('/sys/fs/bpf/ports', uapi.BPF_F_RDONLY)).to.equal(FD))
    expect([get.command, get.attr]).to.deep.equal([7, bytes(BigInt(get.pointer(0)), 0, 8)])
    expect(get.text(0, 18)).to.equal('/sys/fs/bpf/ports\0')
    const plain = sent(() => sys.objGet('é'))
    expect([plain.attr.length, plain.text(0, 3)]).to.deep.equal([12, '\xc3\xa9\0'])
  })

  it('BPF_MAP_GET_FD_BY_ID and BPF_MAP_GET_NEXT_ID', () => {
    expect(sent(() => sys.mapOpenById(5)).attr).to.deep.equal(bytes(5))
    expect(sent(() => sys.mapTryOpenById(5, uapi.BPF_F_WRONLY)).attr).to.deep.equal(bytes(5, 0, 16))
    expect(sent(() => sys.mapNextId(5)).attr).to.deep.equal(bytes(5, 0))
  })

  it('BPF_OBJ_GET_INFO_BY_FD: 16 bytes, with the size of what is given', () => {
    const call = sent(() => sys.objectInfo(FD, 104))
    expect([call.command, call.attr]).to.deep.equal([15, bytes(FD, 104, BigInt(call.pointer(8)))])
    expect(call.text(8, 104)).to.equal('\0'.repeat(104))
  })

  it('BPF_MAP_FREEZE: 4 bytes', () => {
    const call = sent(() => sys.mapFreeze(FD))
    expect([call.command, call.attr]).to.deep.equal([22, bytes(FD)])
  })
})
