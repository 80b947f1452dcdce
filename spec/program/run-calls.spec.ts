import { expect } from 'chai'
import { bpf, Program, type RunOptions } from '../../lib'
import { LE } from '../../syscalls/attr-common'
import { packProgTestRun } from '../../syscalls/attr-prog'
import { TestRunCalls } from '../../syscalls/test-run-calls'
import { BPF_F_TEST_RUN_ON_CPU, BPF_F_TEST_XDP_LIVE_FRAMES, BPF_PROG_TEST_RUN } from '../../syscalls/uapi'
import { requireFeature, requireRoot } from '../support/kernel'
import { type Answer, recorded } from '../support/recording-abi'
import { loadXdp, marking, packet, returning } from './kit'

describe('a run', () => {
  beforeEach(function () {
    requireRoot(this)
  })

  describe('prepared by program.runner', () => {
    it('runs again and again, on what is written to it in between', () => {
      using program = marking(1)
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

  it('has no buffer that the kernel would be told a smaller size of', () => {
    const none = { dataIn: 0, dataOut: 0, ctxIn: 0, ctxOut: 0 }
    const settings = { repeat: 0, flags: 0, cpu: 0, batchSize: 0 }
    for (const name of Object.keys(none)) {
      for (const bytes of [2 ** 32, 2 ** 32 + 14, -1, 1.5]) {
        expect(() => new TestRunCalls({ ...none, [name]: bytes }, settings)).to.throw(RangeError, name)
      }
    }
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
