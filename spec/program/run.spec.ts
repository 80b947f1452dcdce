import { expect } from 'chai'
import { ArrayMap, bpf, type Code, Program, type RunOptions, skbContext, struct, u32, u64, xdpContext } from '../../lib'
import { LE } from '../../syscalls/attr-common'
import { packProgTestRun } from '../../syscalls/attr-prog'
import { BPF_F_TEST_RUN_ON_CPU, BPF_F_TEST_XDP_LIVE_FRAMES, BPF_PROG_TEST_RUN } from '../../syscalls/uapi'
import { requireAttach, requireLinux } from '../support/attach/require'
import { errorOf } from '../support/error'
import { requireFeature, requireRoot } from '../support/kernel'
import { type Answer, recorded } from '../support/recording-abi'
import { loadXdp, PASS, returning } from './kit'

const DROP = 1

function packet(length = 64): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i & 0xff)
}

describe('program.run', () => {
  let counts: ArrayMap<bigint>

  beforeEach(function () {
    requireRoot(this)
    counts = ArrayMap.create({ name: 'counts', value: u64, maxEntries: 1 })
  })
  afterEach(() => counts?.close())

  /** counts[0] += 1; r6 = the context. How often it runs is read in the map, not in what the call says. */
  function counted(rest: Code): Code {
    return bpf`
        r6 = r1
        *(u32 *)(r10 - 4) = 0
        r1 = ${counts} ll
        r2 = r10
        r2 += -4
        call bpf_map_lookup_elem
        if r0 == 0 goto rest
        r1 = 1
        lock *(u64 *)(r0 + 0) += r1
  rest: r1 = r6
        ${rest}`
  }

  describe('of xdp programs', () => {
    it('gives what the program returned, and leaves the packet as it was', () => {
      using program = loadXdp()
      const data = packet()
      const result = program.run({ data })
      expect(result).to.deep.include({ retval: PASS, data: packet(), ctx: undefined })
      expect(result.data).to.not.equal(data)
    })

    it('gives the packet that the program has made', () => {
      using program = loadXdp({
        code: bpf`
          r2 = *(u32 *)(r1 + 0)
          r3 = *(u32 *)(r1 + 4)
          r4 = r2
          r4 += 2
          if r4 > r3 goto out
          *(u8 *)(r2 + 1) = 0x7f
    out:  r0 = 1
          exit`,
      })
      const data = packet()
      const result = program.run({ data })
      const expected = packet()
      expected[1] = 0x7f
      expect(result.data).to.deep.equal(expected)
      expect(data).to.deep.equal(packet())
    })

    it('gives a packet that has grown, or shrunk', () => {
      const moved = (delta: number) => bpf`
          r2 = ${delta}
          call bpf_xdp_adjust_head
          r0 = 2
          exit`
      using grown = loadXdp({ code: moved(-16) })
      expect(grown.run({ data: packet() }).data.subarray(16)).to.deep.equal(packet())
      using shrunk = loadXdp({ code: moved(20) })
      expect(shrunk.run({ data: packet() }).data).to.deep.equal(packet().subarray(20))
    })

    it('takes a part of a larger buffer, and a view of another kind', () => {
      using program = loadXdp()
      const large = packet(256)
      expect(program.run({ data: large.subarray(100, 120) }).data).to.deep.equal(large.slice(100, 120))
      const view = new DataView(large.buffer, 3, 40)
      expect(program.run({ data: view }).data).to.deep.equal(large.slice(3, 43))
    })

    it('runs it as often as it is told, and says how long one run takes', () => {
      using program = loadXdp({ code: counted(returning(PASS)) })
      const { duration } = program.run({ data: packet(), repeat: 1000 })
      expect(counts.get(0)).to.equal(1000n)
      expect(duration).to.be.greaterThan(0)
      program.run({ data: packet() })
      expect(counts.get(0)).to.equal(1001n)
    })

    it('goes by what the options say at each run', () => {
      using program = loadXdp({ code: counted(returning(PASS)) })
      const options = { data: packet(), repeat: 2 }
      program.run(options)
      options.repeat = 5
      program.run(options)
      expect(counts.get(0)).to.equal(7n)
      options.data = packet(100)
      expect(program.run(options).data).to.have.length(100)
      options.repeat = 0
      expect(() => program.run(options)).to.throw(RangeError, 'repeat')
      expect(() => program.run({ data: new Uint8Array(0) })).to.throw(RangeError)
      expect(counts.get(0)).to.equal(12n)
    })

    it('tells it where the packet came from', function () {
      requireLinux(this, 5, 15, 'contexts of XDP programs')
      using program = loadXdp({
        code: bpf`
          r0 = *(u32 *)(r1 + 12)
          exit`,
      })
      const { retval, ctx } = program.run({ data: packet(), ctx: xdpContext({ ingressIfindex: 1 }) })
      expect(retval).to.equal(1)
      expect(ctx).to.deep.equal({ metadata: 0, ingressIfindex: 1, rxQueueIndex: 0 })
      const error = errorOf(() => program.run({ data: packet(), ctx: xdpContext({ rxQueueIndex: 1000 }) }))
      expect(error.code).to.be.oneOf(['EINVAL', 'ENODEV'])
      const lost = errorOf(() => program.run({ data: packet(), ctx: xdpContext({ ingressIfindex: 999_999 }) }))
      expect(lost.code).to.equal('ENODEV')
      expect(lost.message).to.include('no interface of this ifindex')
    })

    it('gives it metadata in front of the packet, and what it leaves there', function () {
      requireLinux(this, 5, 15, 'contexts of XDP programs')
      using program = loadXdp({
        code: bpf`
          r2 = *(u32 *)(r1 + 8)
          r3 = *(u32 *)(r1 + 0)
          r4 = r2
          r4 += 4
          r0 = 0
          if r4 > r3 goto out
          r0 = *(u32 *)(r2 + 0)
          *(u32 *)(r2 + 0) = 7
    out:  exit`,
      })
      const data = new Uint8Array(4 + 64)
      new DataView(data.buffer).setUint32(0, 42, LE)
      const { retval, data: after, ctx } = program.run({ data, ctx: xdpContext({ metadata: 4 }) })
      expect(retval).to.equal(42)
      expect(new DataView(after.buffer).getUint32(0, LE)).to.equal(7)
      expect([after.length, ctx?.metadata]).to.deep.equal([68, 4])
    })

    it('takes a context as bytes, and gives it back as bytes', function () {
      requireLinux(this, 5, 15, 'contexts of XDP programs')
      using program = loadXdp()
      const ctx = new Uint32Array([0, 64, 0, 1, 0, 0])
      const result = program.run({ data: packet(), ctx })
      expect(new Uint32Array((result.ctx as Uint8Array).buffer)).to.deep.equal(ctx)
      expect(result.ctx?.buffer).to.not.equal(ctx.buffer)
    })

    it('lets packets really go', function () {
      requireLinux(this, 5, 18, 'runs with live frames')
      using program = loadXdp({ code: counted(returning(DROP)) })
      const result = program.run({ data: packet(), repeat: 500, flags: ['XDP_LIVE_FRAMES'], batchSize: 16 })
      expect(counts.get(0)).to.equal(500n)
      expect(result.data).to.have.length(0)
      expect(program.run({ data: packet(), repeat: 500 }).data).to.have.length(64)
      expect(program.run({ data: packet(), repeat: 500, flags: ['XDP_LIVE_FRAMES'] }).data).to.have.length(0)
    })

    it('refuses a packet that is too large, and says so', () => {
      using program = loadXdp()
      const error = errorOf(() => program.run({ data: new Uint8Array(100_000) }))
      expect(error.code).to.be.oneOf(['EINVAL', 'ENOMEM', 'E2BIG', 'EMSGSIZE'])
      expect(error).to.include({ command: 'BPF_PROG_TEST_RUN', object: program.description })
    })
  })

  describe('of programs on socket buffers', () => {
    it('gives and takes the context', () => {
      using program = Program.load({
        type: 'sched_cls',
        code: bpf`
          r0 = *(u32 *)(r1 + 8)
          r2 = 43
          *(u32 *)(r1 + 8) = r2
          r2 = *(u32 *)(r1 + 48)
          r2 += 1
          *(u32 *)(r1 + 52) = r2
          exit`,
      })
      const given = skbContext({ mark: 42, priority: 5, cb: [9, 0, 0, 0, 3] })
      const { retval, ctx } = program.run({ data: packet(), ctx: given })
      expect(retval).to.equal(42)
      expect(ctx).to.include({ mark: 43, priority: 5 })
      expect(ctx?.cb).to.deep.equal([9, 10, 0, 0, 3])
      expect(given.value.mark).to.equal(42)
    })

    it('runs it once more with more room where the packet has grown by far', () => {
      using program = Program.load({
        type: 'sched_cls',
        code: counted(bpf`
          r2 = 9000
          r3 = 0
          call bpf_skb_change_tail
          r0 = 0
          exit`),
      })
      expect(program.run({ data: packet() }).data).to.have.length(9000)
      expect(counts.get(0)).to.equal(2n)
      expect(program.run({ data: packet(), dataOutSize: 9000 }).data).to.have.length(9000)
      expect(counts.get(0)).to.equal(3n)
      expect(program.run({ data: packet(), dataOutSize: 0 }).data).to.have.length(0)
      expect(counts.get(0)).to.equal(4n)
      const options = { data: packet() }
      program.run(options)
      expect(counts.get(0)).to.equal(6n)
      program.run(options)
      expect(counts.get(0), 'knows how much room it takes').to.equal(7n)
      const runner = program.runner({ data: packet() })
      expect(() => runner.run()).to.throw(RangeError, 'has grown to 9000 bytes, and dataOutSize is 4160')
      expect(counts.get(0)).to.equal(8n)
    })

    for (const type of ['socket_filter', 'cgroup_skb', 'sched_act', 'lwt_xmit'] as const) {
      it(`runs ${type}`, function () {
        requireFeature(this, 'programType', type)
        using program = Program.load({ type, code: counted(returning(1)) })
        // An IPv4 header for those that begin behind the Ethernet header.
        const data = new Uint8Array(64)
        data.set([8, 0, 0x45], 12)
        expect(program.run({ data, repeat: 3 }).retval).to.equal(1)
        expect(counts.get(0)).to.equal(3n)
      })
    }
  })

  it('of flow_dissector programs gives the keys', function () {
    requireFeature(this, 'programType', 'flow_dissector')
    using program = Program.load({
      type: 'flow_dissector',
      code: bpf`
        r2 = *(u64 *)(r1 + 144)
        r3 = 99
        *(u16 *)(r2 + 12) = r3
        r0 = 0
        exit`,
    })
    const { retval, data } = program.run({ data: packet() })
    // BPF_OK; up to Linux 5.17 the kernel says here that it was.
    expect(retval).to.be.oneOf([0, 1])
    expect(data).to.have.length(56)
    expect(new DataView(data.buffer).getUint16(12, LE)).to.equal(99)
  })

  it('of sk_lookup programs takes a context alone', function () {
    requireLinux(this, 5, 14, 'runs of sk_lookup programs')
    using program = Program.load({ type: 'sk_lookup', code: counted(returning(1)) })
    const ctx = new Uint8Array(64)
    const view = new DataView(ctx.buffer)
    view.setUint32(8, 2, LE) // family AF_INET
    view.setUint32(12, 6, LE) // protocol TCP
    expect(program.run({ ctx, repeat: 2 }).retval).to.equal(1)
    expect(counts.get(0)).to.equal(2n)
    expect(errorOf(() => program.run()).message).to.include('needs a context (ctx)')
  })

  it('of netfilter programs', function () {
    requireFeature(this, 'programType', 'netfilter')
    using program = Program.load({ type: 'netfilter', code: counted(returning(1)) })
    const data = new Uint8Array(64)
    data.set([8, 0, 0x45], 12)
    const result = program.run({ data, repeat: 2 })
    expect([result.retval, result.data.length, counts.get(0)]).to.deep.equal([1, 0, 2n])
  })

  describe('of raw_tracepoint programs', () => {
    it('gives the arguments, on the CPU that is wanted', () => {
      using program = Program.load({
        type: 'raw_tracepoint',
        code: counted(bpf`
          r0 = *(u64 *)(r1 + 8)
          exit`),
      })
      const ctx = new BigUint64Array([1n, 77n])
      expect(program.run({ ctx }).retval).to.equal(77)
      expect(counts.get(0)).to.equal(1n)
      using where = Program.load({
        type: 'raw_tracepoint',
        code: bpf`
          call bpf_get_smp_processor_id
          exit`,
      })
      expect([0, 1, 0].map((cpu) => where.run({ cpu }).retval)).to.deep.equal([0, 1, 0])
      const error = errorOf(() => where.run({ cpu: 100_000 }))
      expect(error.code).to.equal('ENXIO')
      expect(error.message).to.include('CPU 100000 is not there')
    })

    it('wants as many arguments as the program reads', () => {
      using program = Program.load({
        type: 'raw_tracepoint',
        code: bpf`
          r0 = *(u64 *)(r1 + 24)
          exit`,
      })
      expect(errorOf(() => program.run({ ctx: new BigUint64Array(3) })).code).to.equal('EINVAL')
      expect(program.run({ ctx: new BigUint64Array([0n, 0n, 0n, 5n]) }).retval).to.equal(5)
    })
  })

  describe('of syscall programs', () => {
    const Request = struct({ question: u32, answer: u32 })
    const answering = bpf`
        r2 = *(u32 *)(r1 + 0)
        r2 += 1
        *(u32 *)(r1 + 4) = r2
        r0 = 3
        exit`

    beforeEach(function () {
      requireFeature(this, 'programType', 'syscall')
    })

    it('gives the context that it has written, and leaves the one that it was given', () => {
      using program = Program.load({ type: 'syscall', code: answering })
      const bytes = new Uint32Array([41, 0])
      const result = program.run({ ctx: bytes })
      expect(new Uint32Array((result.ctx as Uint8Array).buffer)).to.deep.equal(new Uint32Array([41, 42]))
      expect(bytes).to.deep.equal(new Uint32Array([41, 0]))
      expect(result.retval).to.equal(3)
    })

    it('reads and writes it by a codec', () => {
      using program = Program.load({ type: 'syscall', code: answering })
      const value = { question: 1, answer: 0 }
      const { ctx } = program.run({ ctx: { codec: Request, value } })
      expect(ctx?.answer).to.equal(2)
      expect(value.answer).to.equal(0)
    })

    it('holds while the codec runs the same program', () => {
      using program = Program.load({ type: 'syscall', code: answering })
      const nested: number[] = []
      const codec: typeof Request = {
        ...Request,
        write(view, offset, value) {
          Request.write(view, offset, value)
          nested.push(program.run({ ctx: { codec: Request, value: { question: 100, answer: 0 } } }).ctx?.answer ?? 0)
        },
      }
      program.run({ ctx: { codec: Request, value: { question: 1, answer: 0 } } })
      const { ctx } = program.run({ ctx: { codec, value: { question: 5, answer: 0 } } })
      expect([ctx?.answer, ...nested]).to.deep.equal([6, 101])
    })
  })

  it('of tracing programs runs the functions that are there for it', function () {
    requireAttach(this, 'fentry')
    using program = Program.load({
      type: 'tracing',
      expectedAttachType: 'trace_fentry',
      attachTo: 'bpf_fentry_test1',
      code: counted(returning(0)),
    })
    expect(program.run().retval).to.equal(0)
  })

  it('says that the kernel cannot run a type by itself', () => {
    using program = Program.load({ type: 'kprobe', code: returning(0) })
    const error = errorOf(() => program.run())
    expect(error.code).to.equal('ENOTSUPP')
    expect(error.message).to.include('cannot run programs of this type by itself')
  })

  describe('prepared by program.runner', () => {
    it('runs again and again, on what is written to it in between', () => {
      using program = loadXdp({
        code: bpf`
          r2 = *(u32 *)(r1 + 0)
          r3 = *(u32 *)(r1 + 4)
          r4 = r2
          r4 += 14
          r0 = 0
          if r4 > r3 goto out
          r0 = *(u8 *)(r2 + 0)
          *(u8 *)(r2 + 1) = 0xee
    out:  exit`,
      })
      const runner = program.runner({ data: packet(20) })
      const seen: number[] = []
      for (const value of [7, 8, 9]) {
        runner.data[0] = value
        seen.push(runner.run())
      }
      expect(seen).to.deep.equal([7, 8, 9])
      expect([...runner.dataOut.subarray(0, 3)]).to.deep.equal([9, 0xee, 2])
      expect(runner.dataOut).to.have.length(20)
      expect(runner.data[1]).to.equal(1)
      expect(runner.duration).to.be.a('number')
    })

    it('has the context too', function () {
      requireFeature(this, 'programType', 'syscall')
      using program = Program.load({
        type: 'syscall',
        code: bpf`
          r2 = *(u32 *)(r1 + 0)
          r2 += 1
          *(u32 *)(r1 + 0) = r2
          r0 = 0
          exit`,
      })
      const runner = program.runner({ ctx: new Uint32Array([5]) })
      runner.run()
      runner.run()
      expect(new DataView(runner.ctx.buffer, runner.ctx.byteOffset).getUint32(0, LE)).to.equal(7)
    })
  })

  it('sends what attr-prog.ts packs', () => {
    using program = loadXdp()
    using tracepoint = Program.load({ type: 'raw_tracepoint', code: returning(0) })
    const sentBy = (run: () => unknown, answer?: Answer) =>
      recorded((recording) => {
        run()
        const sent = recording.bpf(BPF_PROG_TEST_RUN)[0]?.attr as Uint8Array
        const attr = new DataView(sent.buffer)
        const address = (at: number) => Number(attr.getBigUint64(at, LE))
        return {
          attr: sent,
          data_in: address(16),
          data_out: address(24),
          ctx_in: address(48),
          ctx_out: address(56),
        }
      }, answer)
    const packed = (fields: Parameters<typeof packProgTestRun>[1]) => {
      const attr = new DataView(new ArrayBuffer(80))
      return new Uint8Array(attr.buffer, 0, packProgTestRun(attr, fields))
    }
    const options: RunOptions = { data: packet(20), repeat: 3, dataOutSize: 100 }
    const { attr, data_in, data_out } = sentBy(() => program.run(options))
    const sizes = { data_size_in: 20, data_size_out: 100, ctx_size_in: 0, ctx_size_out: 0 }
    const fields = { prog_fd: program.fd, data_in, data_out, ctx_in: 0, ctx_out: 0, repeat: 3, ...sizes }
    expect(attr).to.deep.equal(packed(fields))
    const onCpu = sentBy(() => tracepoint.run({ cpu: 1, ctx: new BigUint64Array(2) }))
    const its = { prog_fd: tracepoint.fd, ctx_in: onCpu.ctx_in, ctx_size_in: 16, ctx_out: 0 }
    expect(onCpu.attr).to.deep.equal(packed({ ...its, flags: BPF_F_TEST_RUN_ON_CPU, cpu: 1 }))
    const refusing: Answer = ({ command }) => (command === BPF_PROG_TEST_RUN ? -EINVAL : undefined)
    const frames: RunOptions = { data: packet(20), repeat: 2, flags: ['XDP_LIVE_FRAMES'], batchSize: 16 }
    const live = sentBy(() => expect(() => program.run(frames)).to.throw('EINVAL'), refusing)
    const theirs = { prog_fd: program.fd, data_in: live.data_in, data_size_in: 20, repeat: 2, cpu: 0, batch_size: 16 }
    expect(live.attr).to.deep.equal(packed({ ...theirs, ctx_in: 0, ctx_out: 0, flags: BPF_F_TEST_XDP_LIVE_FRAMES }))
  })
})

const EINVAL = 22
