import { constants } from 'node:os'
import { expect } from 'chai'
import * as sys from '../../syscalls'
import { BatchCalls, ElementCalls, KernelError } from '../../syscalls'
import { LE } from '../../syscalls/attr-common'
import { MAX_TRIES } from '../../syscalls/call'
import { type Answer, recorded } from '../support/recording-abi'

const { EAGAIN, EBUSY, EINTR, EINVAL, ENOMEM, EPERM } = constants.errno
const subject = { description: 'a map' }
const FD = 77

/** Fails so many times with an errno, then succeeds. */
function failing(errno: number, times: number): Answer {
  let left = times
  return () => (left-- > 0 ? -errno : 0)
}

/** Ways in: what the callers see of success is undefined, of a failure the code. */
const WAYS: Record<string, () => Promise<string | undefined> | string | undefined> = {
  'a cold call': () => caught(() => sys.mapFreeze(FD)),
  update: () => caught(() => new ElementCalls(FD, 4, 8, subject).update(0)),
  'a look-up': () => caught(() => new ElementCalls(FD, 4, 8, subject).lookup(0)),
  'a deletion': () => caught(() => new ElementCalls(FD, 4, 8, subject).delete()),
  'an asynchronous update': async () => coded(await new ElementCalls(FD, 4, 8, subject).updateAsync(0)),
  'an asynchronous deletion': async () => coded(await new ElementCalls(FD, 4, 8, subject).deleteAsync()),
  'a look-up of many': () => new BatchCalls(2, 4, 8).lookup(FD, 0).code || undefined,
  'an update of many': () => new BatchCalls(2, 4, 8).update(FD, 2, 0).code || undefined,
  'a deletion of many': () => new BatchCalls(2, 4, 8).delete(FD, 2).code || undefined,
  'an asynchronous update of many': async () => (await new BatchCalls(2, 4, 8).updateAsync(FD, 2)).code || undefined,
  'an asynchronous deletion of many': async () => (await new BatchCalls(2, 4, 8).deleteAsync(FD, 2)).code || undefined,
}

function caught(call: () => unknown): string | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    if (error instanceof KernelError) return error.code
    throw error
  }
}

const coded = (errno: number) => (errno === 0 ? undefined : sys.errnoName(errno))

/** What a way in comes to under a fault, and how many calls it made. */
function tried(way: () => Promise<string | undefined> | string | undefined, answer: Answer) {
  return recorded(async (recording) => ({ code: await way(), calls: recording.bpf().length }), answer)
}

describe('calls that the kernel refuses for the moment', () => {
  for (const [name, way] of Object.entries(WAYS)) {
    it(`${name}: is made again, and not for ever`, async () => {
      expect(await tried(way, failing(EAGAIN, 3))).to.deep.equal({ code: undefined, calls: 4 })
      expect(await tried(way, failing(EINTR, 1))).to.deep.equal({ code: undefined, calls: 2 })
      expect(await tried(way, failing(EAGAIN, 1e6))).to.deep.equal({ code: 'EAGAIN', calls: MAX_TRIES })
    })

    it(`${name}: is not made again for any other reason`, async () => {
      for (const errno of [EBUSY, EINVAL, ENOMEM, EPERM]) {
        const expected = { code: sys.errnoName(errno), calls: 1 }
        expect(await tried(way, failing(errno, 1))).to.deep.equal(expected)
      }
    })
  }

  it('look-ups that delete are made once: what a lost answer took is gone', async () => {
    const way = () => new BatchCalls(2, 4, 8).lookupAndDelete(FD, 0).code || undefined
    expect(await tried(way, failing(EAGAIN, 1))).to.deep.equal({ code: 'EAGAIN', calls: 1 })
  })

  /** The kernel writes into the attr how many entries were done, also when it fails. */
  const doing =
    (...steps: [errno: number, count: number][]): Answer =>
    (call, recording) => {
      const [errno, count] = steps[recording.bpf().length - 1] ?? [0, 0]
      const attr = recording.bytesAt(call.args[1] ?? 0, 56)
      new DataView(attr.buffer, attr.byteOffset).setUint32(32, count, LE)
      return -errno
    }
  const counts = (way: (batch: BatchCalls) => unknown, answer: Answer) =>
    recorded(async (recording) => {
      const result = await way(new BatchCalls(10, 4, 8))
      const sent = recording.bpf().map(({ attr }) => new DataView(attr?.buffer as ArrayBuffer).getUint32(32, LE))
      return { result, sent }
    }, answer)

  for (const [name, way] of [
    ['update', (batch: BatchCalls) => batch.update(FD, 10, 0)],
    ['deletion', (batch: BatchCalls) => batch.delete(FD, 10)],
    ['asynchronous update', (batch: BatchCalls) => batch.updateAsync(FD, 10)],
    ['asynchronous deletion', (batch: BatchCalls) => batch.deleteAsync(FD, 10)],
  ] as const) {
    it(`an ${name} of many that did nothing is sent whole again`, async () => {
      expect(await counts(way, doing([EAGAIN, 0], [0, 10]))).to.deep.equal({
        result: { count: 10, code: '', errno: 0 },
        sent: [10, 10],
      })
    })

    it(`an ${name} of many that did a part is not: the caller hears how much`, async () => {
      expect(await counts(way, doing([EAGAIN, 3], [0, 3]))).to.deep.equal({
        result: { count: 3, code: 'EAGAIN', errno: EAGAIN },
        sent: [10],
      })
    })
  }

  it('a batch that was refused before its first entry did none, though the count is as it was sent', async () => {
    const way = (batch: BatchCalls) => batch.delete(FD, 10)
    const { result } = await counts(way, doing([524, 10]))
    expect(result).to.deep.equal({ count: 0, code: 'ENOTSUPP', errno: 524 })
  })
})
