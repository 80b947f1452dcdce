import { expect } from 'chai'
import { bpf, Program } from '../../lib'
import { BPF_PROG_TEST_RUN } from '../../syscalls'
import { rejectionOf } from '../support/error'
import { eventually, mapIds, requireFeature } from '../support/kernel'
import { recorded } from '../support/recording-abi'
import { loadXdp, marking, PASS, packet, returning, useCounter } from './kit'

describe('program.runAsync', () => {
  const counter = useCounter()

  it('gives what run gives, from the thread pool', async () => {
    using program = loadXdp({ code: counter.counted(returning(PASS)) })
    await recorded(async (recording) => {
      const result = await program.runAsync({ data: packet(), repeat: 1000 })
      expect(result).to.deep.include({ retval: PASS, data: packet(), ctx: undefined })
      expect(result.duration).to.be.greaterThan(0)
      expect(recording.bpf(BPF_PROG_TEST_RUN).map((call) => call.async)).to.deep.equal([true])
      expect(recording.bpf(BPF_PROG_TEST_RUN)[0]?.keep.some((each) => each instanceof ArrayBuffer)).to.equal(true)
    })
    expect(counter.runs).to.equal(1000n)
  })

  it('leaves the event loop alone meanwhile', async () => {
    using program = loadXdp()
    let turns = 0
    let running = true
    const turn = () => {
      turns++
      if (running) setImmediate(turn)
    }
    setImmediate(turn)
    try {
      await program.runAsync({ data: packet(), repeat: 3_000_000 })
    } finally {
      running = false
    }
    expect(turns).to.be.greaterThan(10)
  })

  it('keeps runs at the same time apart, and those on the event loop too', async () => {
    using program = marking(0)
    const first = (value: number) => Uint8Array.from({ length: 20 }, (_, i) => (i === 0 ? value : 0))
    program.run({ data: first(1) })
    const runs = [2, 3, 4, 5, 6].map((value) => program.runAsync({ data: first(value), repeat: 1 }))
    const sync = program.run({ data: first(7) })
    const results = await Promise.all(runs)
    expect([...results, sync].map(({ retval }) => retval)).to.deep.equal([2, 3, 4, 5, 6, 7])
    expect([...results, sync].map(({ data }) => data[0])).to.deep.equal(Array(6).fill(0xee))
    expect(program.run({ data: first(8) }).retval).to.equal(8)
  })

  it('takes packet, options and context as they are at the call', async () => {
    using program = marking(0)
    const data = packet(20)
    data[0] = 9
    const options = { data, repeat: 1 }
    const running = program.runAsync(options)
    data.fill(0)
    Object.assign(options, { data: undefined, repeat: 0, ctx: 'none' })
    const { retval, ctx } = await running
    expect([retval, ctx]).to.deep.equal([9, undefined])
  })

  it('gives the context that a program has written, and leaves the one that it was given', async function () {
    requireFeature(this, 'programType', 'syscall')
    using program = Program.load({
      type: 'syscall',
      code: bpf`
        r2 = 42
        *(u32 *)(r1 + 4) = r2
        r0 = 3
        exit`,
    })
    const given = new Uint32Array([41, 0])
    const { ctx, retval } = await program.runAsync({ ctx: given })
    expect([...new Uint32Array((ctx as Uint8Array).buffer), retval]).to.deep.equal([41, 42, 3])
    expect([...given]).to.deep.equal([41, 0])
  })

  it('runs it once more with more room where the packet has grown by far', async () => {
    using program = Program.load({
      type: 'sched_cls',
      code: counter.counted(bpf`
        r2 = 9000
        r3 = 0
        call bpf_skb_change_tail
        r0 = 0
        exit`),
    })
    expect((await program.runAsync({ data: packet() })).data).to.have.length(9000)
    expect(counter.runs).to.equal(2n)
  })

  it('goes on when the program is closed meanwhile, which then is gone', async () => {
    const program = loadXdp()
    const { id } = program
    const running = program.runAsync({ data: packet(), repeat: 100_000 })
    program.close()
    expect(mapIds('prog')).to.include(id)
    expect((await running).retval).to.equal(PASS)
    await eventually(() => !mapIds('prog').includes(id), 'the program is gone')
    expect((await rejectionOf(program.runAsync({ data: packet() }))).code).to.equal('ERR_EBPF_CLOSED')
  })

  it('rejects with what run throws', async () => {
    using program = Program.load({ type: 'kprobe', code: returning(0) })
    const error = await rejectionOf(program.runAsync())
    expect(error).to.include({ code: 'ENOTSUPP', object: program.description })
    expect(error.message).to.include('cannot run programs of this type by itself')
  })
})
