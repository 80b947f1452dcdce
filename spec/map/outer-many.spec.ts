import { closeSync, readdirSync } from 'node:fs'
import { expect } from 'chai'
import { ArrayMap, ArrayOfMaps, HashMap, HashOfMaps, type KernelError, u32 } from '../../lib'
import { type Abi, setAbi } from '../../syscalls/abi'
import { NR } from '../../syscalls/numbers'
import {
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_UPDATE_BATCH,
  BPF_MAP_UPDATE_ELEM,
} from '../../syscalls/uapi'
import { errorOf, rejectionOf } from '../support/error'
import { eventually, needs, requireFeature, requireRoot } from '../support/kernel'
import { idsOfMapsNamed } from '../support/named'
import { runInChild } from '../support/run'

const Allowed = HashMap.spec({ key: u32, value: u32, maxEntries: 10 })
type Inner = HashMap<number, number>
type Entry = readonly [number, readonly (readonly [number, number])[]]

const rows = (from: number, count: number): Entry[] =>
  Array.from({ length: count }, (_, i) => [from + i, [[from + i, i]]] as const)

const openFds = () => readdirSync('/proc/self/fd').length

/** Puts an Abi before the kernel for the time of a test: counts the commands, and answers some of them itself. */
function interpose(answer: (command: number) => number | undefined = () => undefined) {
  const kernel = setAbi(undefined)
  const { abi } = require('../../syscalls/abi') as typeof import('../../syscalls/abi')
  const libc = kernel ?? abi()
  const calls = new Map<number, number>()
  const seen = (nr: number, command: number): number | undefined => {
    if (nr !== NR.bpf) return undefined
    calls.set(command, (calls.get(command) ?? 0) + 1)
    return answer(command)
  }
  const between: Abi = {
    ...libc,
    syscall: (nr, a, ...rest) => seen(nr, a) ?? libc.syscall(nr, a, ...rest),
    syscallAsync: async (nr, args, keep) => seen(nr, args[0] ?? -1) ?? libc.syscallAsync(nr, args, keep),
  }
  setAbi(between)
  return {
    count: (command: number) => calls.get(command) ?? 0,
    [Symbol.dispose]: () => void setAbi(libc),
  }
}

describe('writing many inner maps', () => {
  let outer: HashOfMaps<number, Inner>

  beforeEach(function () {
    requireRoot(this)
    outer = HashOfMaps.create({ name: 'outer', key: u32, maxEntries: 1000, inner: Allowed })
  })
  afterEach(() => outer.close())

  it('takes one call, whatever their number', () => {
    using kernel = interpose()
    const fds = openFds()
    expect(outer.setMany(rows(0, 300))).to.equal(300)
    expect(openFds()).to.equal(fds)
    expect([kernel.count(BPF_MAP_UPDATE_BATCH), outer.size]).to.deep.equal([1, 300])
    expect(outer.use(299, (inner) => inner.get(299))).to.equal(299)
  })

  it('takes maps and entries in one list, and the last of two for one key', () => {
    using mine = outer.createInner({ name: 'mine' })
    mine.set(1, 2)
    outer.setMany([
      [1, mine],
      [2, [[5, 6]]],
      [2, [[7, 8]]],
    ])
    expect(mine.closed).to.equal(false)
    expect(outer.idOf(1)).to.equal(mine.id)
    expect(outer.snapshot()).to.deep.equal(
      new Map([
        [1, new Map([[1, 2]])],
        [2, new Map([[7, 8]])],
      ]),
    )
    expect(outer.setMany([])).to.equal(0)
  })

  it('deletes many in one call, over keys that are not there', () => {
    outer.setMany(rows(0, 100))
    using kernel = interpose()
    expect(outer.deleteMany(Array.from({ length: 100 }, (_, i) => i))).to.equal(100)
    expect([kernel.count(BPF_MAP_DELETE_BATCH), kernel.count(BPF_MAP_DELETE_ELEM)]).to.deep.equal([1, 0])
    outer.setMany(rows(0, 3))
    expect(outer.deleteMany([7, 0, 8, 9, 2, 10])).to.equal(2)
    expect([...outer.keys()]).to.deep.equal([1])
  })

  it('waits once more, not once each, for keys that are not there', async function () {
    requireFeature(this, 'outerMapBatch')
    outer.setMany(rows(0, 3))
    const asked = [1, ...Array.from({ length: 200 }, (_, i) => 500 + i), 2]
    using kernel = interpose()
    expect(outer.deleteMany(asked)).to.equal(2)
    expect(kernel.count(BPF_MAP_DELETE_BATCH) + kernel.count(BPF_MAP_DELETE_ELEM)).to.be.within(2, 3)
    outer.setMany(rows(0, 3))
    const before = kernel.count(BPF_MAP_DELETE_BATCH)
    expect(await outer.deleteManyAsync(asked)).to.equal(2)
    const was = await Promise.all([...asked, 0].map((key) => outer.deleteAsync(key)))
    expect(was.filter((there) => there).length).to.equal(1)
    expect(kernel.count(BPF_MAP_DELETE_BATCH) - before).to.be.within(2, 6)
  })

  it('passes over keys that are not there also through a handle that may not look for them', async () => {
    using writer = HashOfMaps.fromId(outer.id, { key: u32, inner: Allowed, access: 'write-only' })
    outer.setMany(rows(0, 6))
    expect(writer.deleteMany([500, 0, 501, 1, 502])).to.equal(2)
    const asked = [
      writer.deleteManyAsync([503, 2, 504]),
      writer.deleteAsync(505),
      writer.deleteAsync(3),
      writer.setAsync(9, [[1, 1]]),
    ]
    expect(await Promise.all(asked)).to.deep.equal([1, false, true, undefined])
    expect(new Set(outer.keys())).to.deep.equal(new Set([4, 5, 9]))
  })

  it('says how many were written before the map was full, and leaves nothing else', async () => {
    const Named = HashMap.spec({ name: 'one_of_seven', key: u32, value: u32, maxEntries: 10 })
    using small = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Named })
    const fds = openFds()
    const error = errorOf(() => small.setMany(rows(0, 7)))
    expect(error).to.include({ code: 'E2BIG', done: 4 })
    expect((error as KernelError).command).to.match(/^BPF_MAP_UPDATE_(BATCH|ELEM)$/) // The second where the kernel has no such batch.
    expect(error.message).to.match(/\(4 done before\): the outer map is full: maxEntries is 4/)
    expect(small.size).to.equal(4)
    expect(openFds()).to.equal(fds)
    await eventually(() => idsOfMapsNamed('one_of_seven').length === 4, 'the other three are gone')
  })

  it('explains a refusal that has no cause of its own in the words of the errno', async () => {
    const { stdout } = await runInChild(
      `const { HashMap, HashOfMaps, u32 } = require('./lib')
       const Inner = HashMap.spec({ key: u32, value: u32, maxEntries: 4 })
       const outer = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Inner })
       const held = []
       try { for (;;) held.push(Inner.create()) } catch {}
       for (const run of [() => outer.set(1, []), () => HashOfMaps.create({ key: u32, maxEntries: 4, inner: Inner })]) {
         try { run() } catch (error) { console.log(error.message) }
       }`,
      { maxFds: 64 },
    )
    expect(stdout.trim().split('\n')).to.deep.equal([
      'EMFILE: BPF_MAP_CREATE on HashMap: too many open files',
      'EMFILE: BPF_MAP_CREATE on HashMap: making the template of an outer map: too many open files',
    ])
  })

  it('installs none where one of them cannot be made', () => {
    const bad = [...rows(0, 20), [20, [[1, -1]]] as const]
    expect(errorOf(() => outer.setMany(bad)).message).to.match(/^\[20\]\[0\]\.value: -1/)
    expect(outer.size).to.equal(0)
  })

  it('goes on in parts where there are not enough fds', async function () {
    needs(this, (await runInChild('')).code === 0, 'prlimit(1)')
    const { stdout, stderr } = await runInChild(
      `const { HashMap, HashOfMaps, u32 } = require('./lib')
       const outer = HashOfMaps.create({ key: u32, maxEntries: 500, inner: HashMap.spec({ key: u32, value: u32, maxEntries: 4 }) })
       const rows = Array.from({ length: 500 }, (_, i) => [i, [[i, i]]])
       console.log(outer.setMany(rows), outer.size, outer.use(499, (inner) => inner.get(499)))
       outer.clear()
       outer.setManyAsync(rows).then((n) => console.log(n, outer.size, require('fs').readdirSync('/proc/self/fd').length < 64))`,
      { maxFds: 64 },
    )
    expect([stderr, stdout]).to.deep.equal(['', '500 500 499\n500 500 true\n'])
  })

  it('writes one by one where the kernel has no batch for outer maps', async () => {
    using kernel = interpose((command) => {
      return command === BPF_MAP_UPDATE_BATCH || command === BPF_MAP_DELETE_BATCH ? -524 : undefined
    })
    expect(outer.setMany(rows(0, 3))).to.equal(3)
    expect(await outer.setManyAsync(rows(10, 3))).to.equal(3)
    expect(new Set(outer.keys())).to.deep.equal(new Set([0, 1, 2, 10, 11, 12]))
    // The batch is tried once: what a kernel lacks it does not grow. Each inner map is one write, its entry another.
    expect([kernel.count(BPF_MAP_UPDATE_BATCH), kernel.count(BPF_MAP_UPDATE_ELEM)]).to.deep.equal([1, 12])
    expect(outer.deleteMany([0, 1, 99])).to.equal(2)
    expect(await outer.deleteManyAsync([2, 98, 10])).to.equal(2)
    expect(kernel.count(BPF_MAP_DELETE_BATCH)).to.equal(1)
    expect(new Set(outer.keys())).to.deep.equal(new Set([11, 12]))
    const done = errorOf(() => {
      using small = HashOfMaps.create({ key: u32, maxEntries: 1, inner: Allowed })
      small.setMany(rows(0, 3))
    })
    expect(done).to.include({ code: 'E2BIG', done: 1, command: 'BPF_MAP_UPDATE_ELEM' })
  })
})

describe('writing inner maps off the event loop', () => {
  let outer: HashOfMaps<number, Inner>

  beforeEach(function () {
    requireRoot(this)
    outer = HashOfMaps.create({ name: 'outer', key: u32, maxEntries: 1000, inner: Allowed })
  })
  afterEach(() => outer.close())

  it('lets other things happen meanwhile', async () => {
    // A write that kept the event loop waiting would be over by the first turn, each time.
    const writes = 20
    let turns = 0
    for (let i = 0; i < writes; i++) {
      let waiting = true
      const written = outer.setAsync(1, [[1, i]]).finally(() => {
        waiting = false
      })
      while (waiting) {
        turns++
        await new Promise((resolve) => setImmediate(resolve))
      }
      await written
    }
    expect(turns).to.be.greaterThan(writes)
    expect(outer.snapshot()).to.deep.equal(new Map([[1, new Map([[1, writes - 1]])]]))
  })

  it('gathers what is asked for while one write waits', async () => {
    using kernel = interpose()
    const fds = openFds()
    await Promise.all(rows(0, 200).map(([key, entries]) => outer.setAsync(key, entries)))
    expect(outer.size).to.equal(200)
    expect(kernel.count(BPF_MAP_UPDATE_BATCH)).to.be.within(1, 2)
    const was = await Promise.all(Array.from({ length: 201 }, (_, key) => outer.deleteAsync(key)))
    expect(was.filter((there) => there).length).to.equal(200)
    expect(was[200]).to.equal(false)
    expect(openFds()).to.equal(fds)
  })

  it('keeps the order in which writes were asked for', async () => {
    const asked: Promise<unknown>[] = []
    for (let round = 0; round < 30; round++) {
      asked.push(outer.setAsync(1, [[0, round]]))
      if (round % 7 === 3) asked.push(outer.deleteAsync(1))
      if (round % 5 === 2) asked.push(outer.setAsync(2, [[0, round]], { only: 'replace' }).catch((error) => error.code))
    }
    const answers = await Promise.all(asked)
    expect(answers.filter((answer) => answer === 'ENOENT').length).to.equal(6)
    expect(outer.snapshot()).to.deep.equal(new Map([[1, new Map([[0, 29]])]]))
  })

  it('rejects the writes that fail, and does the others', async () => {
    using small = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Allowed })
    const fds = openFds()
    const settled = await Promise.allSettled(rows(0, 6).map(([key, entries]) => small.setAsync(key, entries)))
    expect(settled.map(({ status }) => status).join()).to.equal(
      'fulfilled,fulfilled,fulfilled,fulfilled,rejected,rejected',
    )
    for (const one of settled) if (one.status === 'rejected') expect(one.reason).to.include({ code: 'E2BIG' })
    const many = await rejectionOf(
      small.setManyAsync([
        [0, []],
        [77, []],
        [1, []],
      ]),
    )
    expect(many).to.include({ code: 'E2BIG', done: 1 })
    expect(await rejectionOf(small.setAsync(0, [], { only: 'create' }))).to.include({ code: 'EEXIST' })
    expect(openFds()).to.equal(fds)
  })

  it('survives that the maps are closed at once', async () => {
    const mine = outer.createInner()
    mine.set(1, 2)
    using other = HashOfMaps.fromId(outer.id, { key: u32, inner: Allowed })
    const fds = openFds()
    const written = [outer.setAsync(1, mine), outer.setAsync(2, [[3, 4]]), outer.deleteAsync(9)]
    mine.close()
    outer.close()
    // Files that are opened now would get the numbers of fds that were closed too early.
    const files = Array.from({ length: 8 }, () => HashMap.create({ key: u32, value: u32, maxEntries: 1 }))
    await Promise.all(written)
    for (const file of files) {
      expect(file.size).to.equal(0)
      file.close()
    }
    expect(other.snapshot()).to.deep.equal(
      new Map([
        [1, new Map([[1, 2]])],
        [2, new Map([[3, 4]])],
      ]),
    )
    // Two handles, and the BTF that the outer map has for its inner maps.
    await eventually(() => openFds() === fds - 3, 'both handles are closed once the writes are done')
  })

  it('settles what was asked for also where somebody else closes the fd meanwhile', async () => {
    const own = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Allowed })
    const { fd } = own
    using _ = interpose((command) => {
      if (command !== BPF_MAP_UPDATE_BATCH) return undefined
      own.close()
      closeSync(fd)
      return 0
    })
    const [first, last] = await Promise.allSettled([own.setAsync(1, []), own.setAsync(2, [])])
    expect(first?.status).to.equal('fulfilled')
    expect(last).to.deep.include({ status: 'rejected' }).and.to.have.nested.property('reason.code', 'EBADF')
  })

  it('refuses a wrong argument by rejecting, and makes nothing', async () => {
    const Named = HashMap.spec({ name: 'rejected', key: u32, value: u32, maxEntries: 10 })
    using outer = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Named })
    expect(await rejectionOf(outer.setAsync(-1, []))).to.be.instanceOf(RangeError)
    expect(await rejectionOf(outer.setAsync(1, 5 as never))).to.be.instanceOf(TypeError)
    expect(
      await rejectionOf(
        outer.setManyAsync([
          [1, []],
          [2, [[1, -1]]],
        ]),
      ),
    ).to.be.instanceOf(RangeError)
    expect(await rejectionOf(outer.deleteAsync(-1))).to.be.instanceOf(RangeError)
    await eventually(() => idsOfMapsNamed('rejected').length === 0, 'no inner map was left')
    expect(outer.size).to.equal(0)
    expect([await outer.setManyAsync([]), await outer.deleteManyAsync([])]).to.deep.equal([0, 0])
  })

  it('writes and deletes in arrays of maps, whose deletes know no batch', async () => {
    using slots = ArrayOfMaps.create({ maxEntries: 8, inner: ArrayMap.spec({ value: u32, maxEntries: 1 }) })
    await Promise.all([0, 3, 5].map((index) => slots.setAsync(index, [[0, index]])))
    expect(slots.snapshot()).to.deep.equal(
      new Map([
        [0, [0]],
        [3, [3]],
        [5, [5]],
      ]),
    )
    expect(await slots.deleteManyAsync([0, 1, 5])).to.equal(2)
    expect([...slots.keys()]).to.deep.equal([3])
    expect(await rejectionOf(slots.setAsync(8, []))).to.include({ code: 'E2BIG' })
  })
})
