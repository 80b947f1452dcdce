import { expect } from 'chai'
import { bytes, HashMap, HashOfMaps, u32 } from '../../lib'
import { type Abi, abi, setAbi } from '../../syscalls/abi'
import { NR } from '../../syscalls/numbers'
import { BPF_MAP_GET_FD_BY_ID } from '../../syscalls/uapi'
import { errorOf } from '../support/error'
import { requireRoot } from '../support/kernel'
import { openFds } from './kit'

const ENOTSUPP = 524

const Inner = HashMap.spec({ key: u32, value: u32, maxEntries: 4 })

/**
 * Runs something in this thread before the kernel is asked on the thread pool, or when it has answered and nobody knows
 * yet. That it has no batches for outer maps is no answer.
 */
function around(when: 'before' | 'after', run: () => void) {
  const libc = abi()
  let isDone = false
  const once = () => {
    if (!isDone) run()
    isDone = true
  }
  const between: Abi = {
    ...libc,
    async syscallAsync(nr, args, keep) {
      if (when === 'before') once()
      const result = await libc.syscallAsync(nr, args, keep)
      if (when === 'after' && result !== -ENOTSUPP) once()
      return result
    },
  }
  setAbi(between)
  return { [Symbol.dispose]: () => void setAbi(libc) }
}

/** Counts what is opened by id: nothing, where it is held. */
function opened(run: () => unknown): number {
  const libc = abi()
  let times = 0
  setAbi({
    ...libc,
    syscall(nr, a, ...rest) {
      if (nr === NR.bpf && a === BPF_MAP_GET_FD_BY_ID) times++
      return libc.syscall(nr, a, ...rest)
    },
  })
  try {
    run()
  } finally {
    setAbi(libc)
  }
  return times
}

describe('an outer map that holds its inner maps', () => {
  let outer: HashOfMaps<number, HashMap<number, number>>
  let before = 0

  beforeEach(function () {
    requireRoot(this)
    outer = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Inner, hold: true })
    before = openFds()
  })
  afterEach(() => outer.close())

  /** What is under a key, read through a handle that is held. */
  function held(key: number): unknown {
    let value: unknown
    const times = opened(() => {
      value = outer.use(key, (inner) => inner.get(1))
    })
    expect(times, 'opened by id').to.equal(0)
    return value
  }

  for (const when of ['before', 'after'] as const) {
    const last = when === 'before' ? 'the asynchronous write' : 'the other'

    it(`holds what the kernel has where a write comes ${when} an asynchronous one: ${last}`, async () => {
      using _ = around(when, () => outer.set(1, [[1, 2]]))
      await outer.setAsync(1, [[1, 1]])
      expect(held(1)).to.equal(when === 'before' ? 1 : 2)
      expect(openFds() - before).to.equal(1)
    })

    it(`holds what the kernel has where a deletion comes ${when} an asynchronous write: ${when === 'before' ? 'it' : 'nothing'}`, async () => {
      const there = when === 'before'
      using _ = around(when, () => outer.delete(1))
      await outer.setManyAsync([[1, [[1, 1]]]])
      expect(outer.has(1)).to.equal(there)
      expect(openFds() - before).to.equal(there ? 1 : 0)
      if (there) expect(held(1)).to.equal(1)
    })

    it(`holds what the kernel has where a write comes ${when} an asynchronous deletion`, async () => {
      outer.set(1, [[1, 1]])
      const there = when === 'after'
      using _ = around(when, () => outer.set(1, [[1, 2]]))
      expect(await outer.deleteAsync(1)).to.equal(true)
      expect(openFds() - before).to.equal(there ? 1 : 0)
      if (there) expect(held(1)).to.equal(2)
    })
  }

  it('holds the last of several under one key', async () => {
    await outer.setManyAsync([
      [1, [[1, 1]]],
      [1, [[1, 2]]],
    ])
    await Promise.all([outer.setAsync(2, [[1, 3]]), outer.setAsync(2, [[1, 4]])])
    expect([held(1), held(2)]).to.deep.equal([2, 4])
    expect(openFds() - before).to.equal(2)
  })

  it('holds by the bytes that a key had when it was given', async () => {
    using byBytes = HashOfMaps.create({ key: bytes(1), maxEntries: 8, inner: Inner, hold: true })
    before = openFds()
    const key = new Uint8Array(1)
    const writes = [0, 1, 2].map((n) => {
      key[0] = n
      return byBytes.setAsync(key, [[1, n]])
    })
    await Promise.all(writes)
    expect(openFds() - before).to.equal(3)
    expect(opened(() => byBytes.snapshot())).to.equal(0)
    key[0] = 0
    const deletion = byBytes.deleteManyAsync([key])
    key[0] = 7
    expect(await deletion).to.equal(1)
    expect(openFds() - before).to.equal(2)
  })

  it('holds nothing that it could not find again, through a handle that only writes', async () => {
    using writer = HashOfMaps.fromId(outer.id, { key: u32, inner: Inner, hold: true, access: 'write-only' })
    before = openFds()
    using _ = around('after', () => writer.set(1, [[1, 2]]))
    await writer.setAsync(1, [[1, 1]])
    expect(outer.use(1, (inner) => inner.get(1))).to.equal(2)
    expect(openFds() - before).to.equal(1)
  })

  it('says which of many keys is none, and what is wrong with the one of a single write', async () => {
    const none = 'x' as unknown as number
    const messages = [
      errorOf(() => outer.deleteMany([1, none])).message,
      ...(await Promise.all(
        [
          outer.deleteManyAsync([1, none]),
          outer.deleteAsync(none),
          outer.setManyAsync([
            [1, []],
            [none, []],
          ]),
          outer.setAsync(none, []),
          outer.setAsync(1, [[none, 1]]),
          outer.setAsync(1, [], { only: none as unknown as 'create' }),
        ].map((promise) => promise.then(String, (error: Error) => error.message)),
      )),
    ]
    expect(messages.map((message) => message.replace(/: u32 takes.*/, ''))).to.deep.equal([
      '[1].key',
      '[1].key',
      'key',
      '[1].key',
      'key',
      '[0].key',
      `only is 'create' or 'replace', not "x"`,
    ])
    expect(openFds()).to.equal(before)
  })
})
