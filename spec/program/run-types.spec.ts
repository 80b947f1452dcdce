import { expect } from 'chai'
import { bpf, KernelError, Program, struct, u32 } from '../../lib'
import { LE } from '../../syscalls/attr-common'
import { requireAttach, requireLinux } from '../support/attach/require'
import { errorOf } from '../support/error'
import { requireFeature } from '../support/kernel'
import { packet, returning, useCounter } from './kit'

describe('program.run, of other types', () => {
  const counter = useCounter()

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
    expect(new DataView(data.buffer, data.byteOffset).getUint16(12, LE)).to.equal(99)
  })

  it('of sk_lookup programs takes a context alone', function () {
    requireLinux(this, 5, 14, 'runs of sk_lookup programs')
    using program = Program.load({ type: 'sk_lookup', code: counter.counted(returning(1)) })
    const ctx = new Uint8Array(64)
    const view = new DataView(ctx.buffer)
    view.setUint32(8, 2, LE) // family AF_INET
    view.setUint32(12, 6, LE) // protocol TCP
    expect(program.run({ ctx, repeat: 2 }).retval).to.equal(1)
    expect(counter.runs).to.equal(2n)
    expect(errorOf(() => program.run()).message).to.include('needs a context (ctx)')
  })

  it('of netfilter programs', function () {
    requireFeature(this, 'programType', 'netfilter')
    using program = Program.load({ type: 'netfilter', code: counter.counted(returning(1)) })
    const data = new Uint8Array(64)
    data.set([8, 0, 0x45], 12)
    const result = program.run({ data, repeat: 2 })
    expect([result.retval, result.data.length, counter.runs]).to.deep.equal([1, 0, 2n])
  })

  describe('of raw_tracepoint programs', () => {
    it('gives the arguments, on the CPU that is wanted', () => {
      using program = Program.load({
        type: 'raw_tracepoint',
        code: counter.counted(bpf`
          r0 = *(u64 *)(r1 + 8)
          exit`),
      })
      const ctx = new BigUint64Array([1n, 77n])
      expect(program.run({ ctx }).retval).to.equal(77)
      expect(counter.runs).to.equal(1n)
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

    it('has nothing of the run before in it, where the codec writes less than all', () => {
      using program = Program.load({ type: 'syscall', code: answering })
      const before: number[] = []
      const codec: typeof Request = {
        ...Request,
        write(view, offset, { question }) {
          before.push(view.getUint32(offset + 4, LE))
          view.setUint32(offset, question, LE)
        },
      }
      for (const question of [41, 42]) program.run({ ctx: { codec, value: { question, answer: 0 } } })
      expect(before).to.deep.equal([0, 0])
    })

    it('is not that of another program, where the codec closes this one', () => {
      const program = Program.load({ type: 'syscall', code: answering })
      let other: Program | undefined
      const codec: typeof Request = {
        ...Request,
        write(view, offset, value) {
          Request.write(view, offset, value)
          const { fd } = program
          program.close()
          other = Program.load({ type: 'syscall', code: counter.counted(returning(9)) })
          expect(other.fd).to.equal(fd)
        },
      }
      try {
        const run = () => program.run({ ctx: { codec, value: { question: 1, answer: 0 } } })
        expect(errorOf(run).code).to.equal('ERR_EBPF_CLOSED')
        expect(counter.runs).to.equal(0n)
      } finally {
        other?.close()
      }
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
      code: counter.counted(returning(0)),
    })
    expect(program.run().retval).to.equal(0)
  })

  it('says that the kernel cannot run a type by itself', () => {
    using program = Program.load({ type: 'kprobe', code: returning(0) })
    const error = errorOf(() => program.run())
    expect(error.code).to.equal('ENOTSUPP')
    expect(error.message).to.include('cannot run programs of this type by itself')
  })

  describe('with bytes for a context, whatever their number, says why it cannot be:', () => {
    const WITH_CONTEXT = [
      ...(['xdp', 'sched_cls', 'sched_act', 'socket_filter', 'cgroup_skb', 'lwt_xmit', 'flow_dissector'] as const),
      ...(['sk_lookup', 'raw_tracepoint', 'syscall', 'netfilter'] as const),
    ]
    for (const type of WITH_CONTEXT) {
      it(type, function () {
        requireFeature(this, 'programType', type)
        using program = Program.load({ type, code: returning(1) })
        const data = type === 'sk_lookup' || type === 'raw_tracepoint' || type === 'syscall' ? undefined : packet()
        for (let size = 0; size <= 200; size++) {
          try {
            program.run({ ...(data && { data }), ctx: new Uint8Array(size) })
          } catch (error) {
            if (error instanceof KernelError) continue
            expect((error as Error).message, `${size} bytes`).to.match(new RegExp(`^ctx has ${size} bytes: `))
            expect(error).to.be.instanceOf(RangeError)
          }
        }
      })
    }
  })

  it('of less context than the program reads says so', function () {
    requireFeature(this, 'programType', 'syscall')
    const code = bpf`
      r0 = *(u32 *)(r1 + 0)
      exit`
    for (const type of ['syscall', 'raw_tracepoint'] as const) {
      using program = Program.load({ type, code })
      const { message } = errorOf(() => program.run({ ctx: new Uint8Array(2) }))
      expect(message, type).to.match(/the program reads more of the context than its 2 bytes$/)
    }
    // U16_MAX in bpf_prog_test_run_syscall.
    using program = Program.load({ type: 'syscall', code })
    expect(program.run({ ctx: new Uint8Array(65_535).fill(1) }).retval).to.equal(0x0101_0101)
    expect(errorOf(() => program.run({ ctx: new Uint8Array(65_536) }))).to.be.instanceOf(RangeError)
  })

  it('of tracing programs that the kernel does not run says so', function () {
    requireFeature(this, 'attach', 'iter')
    using program = Program.load({
      type: 'tracing',
      expectedAttachType: 'trace_iter',
      attachTo: 'task',
      code: returning(0),
    })
    expect(errorOf(() => program.run()).message).to.match(/cannot run programs of this attach type/)
  })

  it('of a packet that is too large says so', () => {
    using program = Program.load({ type: 'xdp', code: returning(1) })
    const { message } = errorOf(() => program.run({ data: packet(), dataOutSize: 2 ** 32 - 1 }))
    expect(message).to.equal('dataOutSize is 4294967295 bytes, and no packet has more than 16777216')
    for (const type of ['xdp', 'sched_cls'] as const) {
      using program = Program.load({ type, code: returning(1) })
      const { message } = errorOf(() => program.run({ data: new Uint8Array(100_000) }))
      expect(message).to.include('the packet is larger than the kernel takes (100000 bytes)')
    }
  })
})
