import { readdirSync, readFileSync, statSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import {
  ArrayMap,
  attachIterator,
  bpf,
  bytes,
  ClosedError,
  type Code,
  HashMap,
  IteratorLink,
  type IteratorTarget,
  u32,
  u64,
} from '../../lib'
import { openFds } from '../map/kit'
import { bpftoolLink, failing, linkExists } from '../support/attach/links'
import { ownCgroup } from '../support/attach/network'
import { requireAttach } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { kernelBtf } from '../support/btf'
import { rejectionOf } from '../support/error'
import { eventually, mapIds, pending, withBpffs } from '../support/kernel'

describe('attachIterator', () => {
  const stage = useStage()

  beforeEach(function () {
    requireAttach(this, 'iter')
  })

  /** Where a field of one of the kernel's structs stands, in bytes. */
  function offsetOf(context: Mocha.Context, struct: string, field: string): number {
    const btf = kernelBtf(context)
    const found = btf.field(btf.struct(struct), field)
    if (found === undefined) throw new Error(`struct ${struct} has no ${field}`)
    return found.bitOffset / 8
  }

  /** A line for each object: the number in r2, that `number` puts there; r1 is the object, which may be none at the end. */
  const printing = (number: Code, at = 8) => bpf`
      r6 = r1
      r1 = *(u64 *)(r6 + ${at})
      if r1 == 0 goto out
      ${number}
      *(u64 *)(r10 - 16) = r2
      r1 = "%llu\n" ll
      *(u64 *)(r10 - 8) = r1
      r1 = *(u64 *)(r6 + 0)
      r1 = *(u64 *)(r1 + 0)
      r2 = r10
      r2 += -8
      r3 = 6
      r4 = r10
      r4 += -16
      r5 = 8
      call bpf_seq_printf
 out: r0 = 0
      exit
`

  const load = (attachTo: string, code: Code) =>
    stage.program({ type: 'tracing', name: 'walk', expectedAttachType: 'trace_iter', attachTo, code })

  const attach = (attachTo: string, code: Code, target?: IteratorTarget): IteratorLink =>
    stage.using(attachIterator(load(attachTo, code), target))

  const numbers = (told: string) => told.split('\n').filter(Boolean).map(Number)

  /** The ids of all maps. */
  const maps = (context: Mocha.Context) =>
    attach('bpf_map', printing(bpf`r2 = *(u32 *)(r1 + ${offsetOf(context, 'bpf_map', 'id')})`))

  /** key * 1000 + value of each entry: the key's address is at 16, the value's at 24 (struct bpf_iter__bpf_map_elem). */
  const ENTRIES = printing(
    bpf`
      r2 = *(u32 *)(r1 + 0)
      r2 *= 1000
      r1 = *(u64 *)(r6 + 24)
      if r1 == 0 goto out
      r1 = *(u32 *)(r1 + 0)
      r2 += r1`,
    16,
  )

  it('runs the program for each object when it is read, each time anew', function () {
    const link = maps(this)
    expect(link).to.be.instanceOf(IteratorLink)
    expect(link.info()).to.include({ type: 'iter', target: 'bpf_map' })
    expect(link.description).to.equal(`Link#${link.id} iter bpf_map`)
    const fds = openFds()
    const { id } = stage.counters
    const first = numbers(link.read())
    expect(first).to.include(id)
    // Maps come and go: those that were there before and are after were there all the time.
    const lasting = mapIds().filter((id) => first.includes(id))
    expect(numbers(link.read())).to.include.members(lasting.filter((id) => mapIds().includes(id)))
    const more = HashMap.create({ key: u32, value: u32, maxEntries: 1 })
    const with_ = numbers(link.read())
    const { id: gone } = more
    more.close()
    expect(with_).to.include(gone)
    expect(openFds()).to.equal(fds + 1)
    const told = bpftoolLink(link.id)
    if (told !== undefined) expect(told).to.include({ type: 'iter', target_name: 'bpf_map' })
    link.close()
    expect(linkExists(link.id)).to.equal(false)
    expect(() => link.read()).to.throw(ClosedError)
  })

  it('map: its entries alone; what is longer than one read comes whole, by read() and as a stream', async () => {
    const map = stage.using(ArrayMap.create({ value: u32, maxEntries: 20_000 }))
    map.setMany(Array.from({ length: 20_000 }, (_, i) => [i, i % 7]))
    const link = attach('bpf_map_elem', ENTRIES, { map })
    expect(link.info()).to.include({ type: 'iter', target: 'bpf_map_elem', mapId: map.id })
    const expected = Array.from({ length: 20_000 }, (_, i) => i * 1000 + (i % 7))
    const fds = openFds()
    const told = link.read()
    expect(told.length).to.be.greaterThan(32768 * 2)
    expect(numbers(told)).to.deep.equal(expected)
    const chunks: Buffer[] = []
    for await (const chunk of link.stream()) chunks.push(chunk as Buffer)
    expect(chunks.length).to.be.greaterThan(1)
    expect(Buffer.concat(chunks).toString()).to.equal(told)
    expect(await text(link.stream({ encoding: 'utf8' }))).to.equal(told)
    // It has an fd of its own: the link's end is not its end.
    const late = link.stream()
    link.close()
    expect(await text(late)).to.equal(told)
    await eventually(() => openFds() === fds - 1, 'the fds of the streams are closed')
  })

  it('a stream that is left before its end leaves nothing open', async () => {
    const map = stage.using(ArrayMap.create({ value: u32, maxEntries: 20_000 }))
    const link = attach('bpf_map_elem', ENTRIES, { map })
    const fds = openFds()
    for await (const chunk of link.stream()) {
      expect((chunk as Buffer).length).to.be.greaterThan(0)
      break
    }
    const unread = link.stream()
    unread.destroy()
    const busy = link.stream().resume()
    busy.destroy()
    await eventually(() => openFds() === fds, 'the fds of the streams are closed')
  })

  it('pinned, it is a file that anybody reads', async function () {
    const link = maps(this)
    const { id } = stage.counters
    await withBpffs((path) => {
      link.pin(`${path}/maps`)
      link.close()
      expect(numbers(readFileSync(`${path}/maps`, 'latin1'))).to.include(id)
    })
  })

  it('says that the program writes too much for one object', async () => {
    const wide = stage.using(ArrayMap.create({ value: bytes(40_000), maxEntries: 1 }))
    const entry = stage.using(HashMap.create({ key: u32, value: u32, maxEntries: 1 }))
    entry.set(1, 1)
    const code = bpf`
      r6 = r1
      r1 = *(u64 *)(r6 + 16)
      if r1 == 0 goto out
      r1 = *(u64 *)(r6 + 0)
      r1 = *(u64 *)(r1 + 0)
      r2 = ${wide.at(0)} ll
      r3 = 40000
      call bpf_seq_write
 out: r0 = 0
      exit
`
    const link = attach('bpf_map_elem', code, { map: entry })
    const error = failing(() => link.read())
    expect(error).to.include({ name: 'KernelError', code: 'E2BIG', syscall: 'read' })
    expect(error.message).to.include('writes more than 32 KiB for one object')
    const fds = openFds()
    expect(await rejectionOf(text(link.stream()))).to.include({ name: 'KernelError', code: 'E2BIG' })
    await eventually(() => openFds() === fds, 'the fd of the stream is closed')
  })

  it('pid: the threads of one process; thread: one', async function () {
    requireTargets(this)
    const worker = new Worker('setInterval(() => {}, 1000)', { eval: true })
    try {
      const number = bpf`r2 = *(u32 *)(r1 + ${offsetOf(this, 'task_struct', 'pid')})`
      const threads = readdirSync('/proc/self/task').map(Number)
      const own = numbers(attach('task', printing(number), { pid: process.pid }).read())
      // Threads come and go, too.
      expect(own).to.include(process.pid)
      expect(own.length).to.be.greaterThan(4)
      expect(own.filter((id) => threads.includes(id)).length).to.be.greaterThan(4)
      expect(numbers(attach('task', printing(number)).read()).length).to.be.greaterThan(own.length)
      const link = attach('task', printing(number), { thread: process.pid })
      expect(numbers(link.read())).to.deep.equal([process.pid])
      expect(link.info()).to.include({ type: 'iter', target: 'task', threadId: process.pid })
    } finally {
      await worker.terminate()
    }
  })

  it('cgroup: it and those below it', function () {
    requireTargets(this)
    const fd = ownCgroup(this, stage)
    // struct kernfs_node's id is what user space sees as the folder's inode.
    const number = bpf`
      r1 = *(u64 *)(r1 + ${offsetOf(this, 'cgroup', 'kn')})
      r2 = *(u64 *)(r1 + ${offsetOf(this, 'kernfs_node', 'id')})`
    const inode = statSync(`/proc/self/fd/${fd}`).ino
    const link = attach('cgroup', printing(number), { cgroup: fd, order: 'self' })
    expect(numbers(link.read())).to.deep.equal([inode])
    const up = numbers(attach('cgroup', printing(number), { cgroup: { fd }, order: 'ancestors-up' }).read())
    expect(up[0]).to.equal(inode)
    expect(up.length).to.be.greaterThan(1)
    const below = numbers(attach('cgroup', printing(number), { cgroup: fd }).read())
    expect(below).to.deep.equal([inode])
  })

  /** Tasks and cgroups as targets came together, with fields that older kernels do not know. */
  function requireTargets(context: Mocha.Context): void {
    try {
      attach('task', printing(bpf`r2 = 0`), { pid: process.pid })
    } catch (error) {
      expect(error).to.include({ code: 'E2BIG' })
      expect((error as Error).message).to.include('came with Linux 6.1')
      pending(context, 'iterators take no processes here')
    }
  }

  it('refuses a target that the kernel would not look at, or take for another', function () {
    requireTargets(this)
    const map = stage.using(HashMap.create({ key: u32, value: u32, maxEntries: 1 }))
    const cgroup = ownCgroup(this, stage)
    const code = bpf`
      r0 = 0
      exit`
    const targets: Record<string, IteratorTarget> = {
      map: { map },
      cgroup: { cgroup },
      pid: { pid: process.pid },
      // The number of the map's fd.
      thread: { thread: map.fd },
    }
    const before = mapIds('link')
    for (const [name, taken] of [
      ['bpf_map', []],
      ['bpf_map_elem', ['map']],
      ['task', ['pid', 'thread']],
      ['cgroup', ['cgroup']],
    ] as const) {
      const program = load(name, code)
      for (const [kind, target] of Object.entries(targets)) {
        if (taken.some((each) => each === kind)) continue
        const fds = openFds()
        const error = failing(() => attachIterator(program, target))
        const what = `${name} with ${kind}: ${error.message}`
        if (error instanceof TypeError) {
          expect(error.message, what).to.match(new RegExp(`goes through '${name}', which takes no \\{ ${kind} \\}$`))
        } else {
          expect(error, what)
            .to.have.property('code')
            .that.matches(/^(EBADF|EINVAL|ESRCH)$/)
        }
        expect(openFds(), what).to.equal(fds)
      }
    }
    expect(mapIds('link').filter((id) => !before.includes(id))).to.deep.equal([])
  })

  it('a stream in no encoding leaves nothing open', function () {
    const link = maps(this)
    const fds = openFds()
    const error = failing(() => link.stream({ encoding: 'nosuch' as BufferEncoding }))
    expect(error).to.be.instanceOf(TypeError)
    expect(error.message).to.contain('"nosuch"')
    expect(failing(() => link.stream({ encodng: 'utf8' } as never)).message).to.equal(
      "no option is called 'encodng': did you mean 'encoding'?",
    )
    expect(openFds()).to.equal(fds)
  })

  it('tells of a program that asks for the same object for ever', async () => {
    const again = bpf`
      r0 = 1
      exit`
    stage.using(HashMap.create({ key: u32, value: u32, maxEntries: 1 }))
    const link = attach('bpf_map', again)
    for (const error of [failing(() => link.read()), await rejectionOf(text(link.stream()))]) {
      expect(error).to.include({ code: 'EAGAIN' })
      expect(error.message).to.include('by returning 1 the program asks for the same object once more')
    }
  })

  it('has nothing to read of a process that is not there', function () {
    requireTargets(this)
    const link = attach('task', printing(bpf`r2 = 0`), { pid: 0x7fffffff })
    expect(link.read()).to.equal('')
  })

  it('refuses what it cannot go through, and says why', () => {
    const elements = load('bpf_map_elem', ENTRIES)
    const error = (target?: unknown) => failing(() => attachIterator(elements, target as IteratorTarget))
    expect(error()).to.include({ code: 'EBADF' })
    expect(error().message).to.include('this iterator goes through a map')
    const queue = stage.using(HashMap.create({ key: u32, value: u64, maxEntries: 1 }))
    expect(error({ map: elements.fd })).to.be.instanceOf(TypeError)
    expect(error({ map: 0 })).to.be.instanceOf(RangeError)
    expect(error({ pid: 0 })).to.be.instanceOf(RangeError)
    expect(error({ cgroup: '/proc' })).to.be.instanceOf(RangeError)
    expect(error({ cgroup: '/', order: 'sideways' }).message).to.include('no order of cgroups is called')
    expect(error('map')).to.be.instanceOf(TypeError)
    expect(error({ pid: 2 ** 32 - 1 })).to.be.instanceOf(RangeError)
    // What is passed over would leave an iterator that goes through more than was asked.
    const unclear = [
      {},
      { task: 1 },
      { pid: 1, thread: 1 },
      { pid: 1, order: 'self-only' },
      { cgroup: '/', oder: 'self' },
    ]
    for (const slip of unclear) {
      expect(error(slip).message).to.equal(
        'the target of an iterator is { map }, { cgroup }, { pid } or { thread }; a cgroup may have an order',
      )
    }
    expect(error({ pid: undefined }).message).to.equal('pid must be a number, not undefined')
    expect(failing(() => attachIterator(queue.fd)).message).to.include('is a bpf-map, not a bpf-prog')
    const other = stage.program({
      type: 'tracing',
      expectedAttachType: 'trace_raw_tp',
      attachTo: 'sys_enter',
      code: bpf`
      r0 = 0
      exit
    `,
    })
    expect(failing(() => attachIterator(other)).message).to.include('was loaded for trace_raw_tp')
  })
})
