import { expect } from 'chai'
import { ArrayMap, bpf, Program, skbContext, u32, xdpContext } from '../../lib'
import { LE } from '../../syscalls/attr-common'
import { requireLinux } from '../support/attach/require'
import { errorOf } from '../support/error'
import { requireFeature } from '../support/kernel'
import { loadXdp, PASS, packet, returning, useCounter } from './kit'

const DROP = 1

describe('program.run, on packets', () => {
  const counter = useCounter()

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
      using program = loadXdp({ code: counter.counted(returning(PASS)) })
      const { duration } = program.run({ data: packet(), repeat: 1000 })
      expect(counter.runs).to.equal(1000n)
      expect(duration).to.be.greaterThan(0)
      program.run({ data: packet() })
      expect(counter.runs).to.equal(1001n)
    })

    it('goes by what the options say at each run', () => {
      using program = loadXdp({ code: counter.counted(returning(PASS)) })
      const options = { data: packet(), repeat: 2 }
      program.run(options)
      options.repeat = 5
      program.run(options)
      expect(counter.runs).to.equal(7n)
      options.data = packet(100)
      expect(program.run(options).data).to.have.length(100)
      options.repeat = 0
      expect(() => program.run(options)).to.throw(RangeError, 'repeat')
      expect(() => program.run({ data: new Uint8Array(0) })).to.throw(RangeError)
      expect(counter.runs).to.equal(12n)
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
      expect(new DataView(after.buffer, after.byteOffset).getUint32(0, LE)).to.equal(7)
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
      using program = loadXdp({ code: counter.counted(returning(DROP)) })
      const result = program.run({ data: packet(), repeat: 500, flags: ['XDP_LIVE_FRAMES'], batchSize: 16 })
      expect(counter.runs).to.equal(500n)
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
        code: counter.counted(bpf`
          r2 = 9000
          r3 = 0
          call bpf_skb_change_tail
          r0 = 0
          exit`),
      })
      expect(program.run({ data: packet() }).data).to.have.length(9000)
      expect(counter.runs).to.equal(2n)
      expect(program.run({ data: packet(), dataOutSize: 9000 }).data).to.have.length(9000)
      expect(counter.runs).to.equal(3n)
      expect(program.run({ data: packet(), dataOutSize: 0 }).data).to.have.length(0)
      expect(counter.runs).to.equal(4n)
      const options = { data: packet() }
      program.run(options)
      expect(counter.runs).to.equal(6n)
      program.run(options)
      expect(counter.runs, 'knows how much room it takes').to.equal(7n)
      const runner = program.runner({ data: packet() })
      expect(() => runner.run()).to.throw(RangeError, 'has grown to 9000 bytes, and dataOutSize is 4160')
      expect(counter.runs).to.equal(8n)
    })

    it('says so where the packet has grown again in the second run', () => {
      using sizes = ArrayMap.create({ name: 'sizes', value: u32, maxEntries: 1 })
      using program = Program.load({
        type: 'sched_cls',
        code: counter.counted(bpf`
          r1 = ${sizes.at(0)} ll
          r2 = *(u32 *)(r1 + 0)
          r2 += 5000
          *(u32 *)(r1 + 0) = r2
          r1 = r6
          r3 = 0
          call bpf_skb_change_tail
          r0 = 0
          exit`),
      })
      expect(() => program.run({ data: packet() })).to.throw(
        RangeError,
        'has grown to 10000 bytes, and dataOutSize is 5000',
      )
      expect(counter.runs).to.equal(2n)
      sizes.set(0, 0)
      expect(program.run({ data: packet(), dataOutSize: 5000 }).data).to.have.length(5000)
    })

    it('asks the codec of the context once, however often it runs', () => {
      using program = Program.load({
        type: 'sched_cls',
        code: counter.counted(bpf`
          r2 = 9000
          r3 = 0
          call bpf_skb_change_tail
          r0 = *(u32 *)(r6 + 8)
          exit`),
      })
      const { codec, value } = skbContext({ mark: 42 })
      let written = 0
      const counting: typeof codec = {
        ...codec,
        write(view, offset, its) {
          written++
          codec.write(view, offset, its)
        },
      }
      const { retval, data } = program.run({ data: packet(), ctx: { codec: counting, value } })
      expect([retval, data.length, written, counter.runs]).to.deep.equal([42, 9000, 1, 2n])
      expect(data.subarray(0, 64)).to.deep.equal(packet())
    })

    for (const type of ['socket_filter', 'cgroup_skb', 'sched_act', 'lwt_xmit'] as const) {
      it(`runs ${type}`, function () {
        requireFeature(this, 'programType', type)
        using program = Program.load({ type, code: counter.counted(returning(1)) })
        // An IPv4 header for those that begin behind the Ethernet header.
        const data = new Uint8Array(64)
        data.set([8, 0, 0x45], 12)
        expect(program.run({ data, repeat: 3 }).retval).to.equal(1)
        expect(counter.runs).to.equal(3n)
      })
    }
  })
})
