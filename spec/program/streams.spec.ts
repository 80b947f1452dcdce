import { expect } from 'chai'
import { ArrayMap, bpf, bytes, type Code, Program, UnsupportedError } from '../../lib'
import { kernelTypeId } from '../../lib/btf/kernel'
import { LE } from '../../syscalls/attr-common'
import { BPF_PROG_STREAM_READ_BY_FD } from '../../syscalls/uapi'
import { errorOf } from '../support/error'
import { pending, requireFeature, requireRoot } from '../support/kernel'
import { type Answer, recorded } from '../support/recording-abi'
import { loadXdp } from './kit'

const ENOMEM = 12
const EINVAL = 22
const STDOUT = 1
const STDERR = 2

describe("program.readStream, of the kernel's own streams", () => {
  let format: ArrayMap<Uint8Array>

  before(function () {
    requireRoot(this)
    requireFeature(this, 'programStreams')
    const text = Buffer.alloc(16)
    text.write('%llu and %llu;')
    format = ArrayMap.create({ name: 'format', value: bytes(text.length), maxEntries: 1, flags: ['RDONLY_PROG'] })
    format.set(0, text)
    format.freeze()
    using probe = load(STDOUT)
    // The page that the text is put on is taken without waiting for it: not all kernels find one.
    if ((probe.run().retval | 0) === -ENOMEM) pending(this, 'a kernel that has a page for what programs print')
  })
  after(() => format?.close())

  /** Prints '7 and 8;' to the stream. */
  function printing(stream: number): Code {
    // Linux 6.18 has the second name alone.
    const btfId = kernelTypeId('func', 'bpf_stream_vprintk') ?? kernelTypeId('func', 'bpf_stream_vprintk_impl')
    return bpf`
      *(u64 *)(r10 - 16) = 7
      *(u64 *)(r10 - 8) = 8
      r1 = ${stream}
      r2 = ${format.at(0)} ll
      r3 = r10
      r3 += -16
      r4 = 16
      r5 = 0
      call ${{ btfId: btfId as number }}`
  }

  function load(stream: number): Program {
    const code = bpf`
      ${printing(stream)}
      exit`
    return Program.load({ type: 'syscall', name: 'printing', code })
  }

  it('gives what has been printed, once', () => {
    using program = load(STDOUT)
    expect(program.readStream('stdout')).to.equal('')
    program.run()
    program.run()
    expect(program.readStream('stdout')).to.equal('7 and 8;7 and 8;')
    expect(program.readStream('stdout')).to.equal('')
    program.run()
    using other = Program.fromId(program.id)
    expect(other.readStream('stdout'), 'by another handle').to.equal('7 and 8;')
    expect(program.readStream('stdout')).to.equal('')
  })

  it('keeps the two apart', () => {
    using program = load(STDERR)
    program.run()
    expect(program.readStream('stdout')).to.equal('')
    expect(program.readStream('stderr')).to.equal('7 and 8;')
  })

  it('gives all that the kernel keeps, at once', () => {
    using program = load(STDOUT)
    let runs = 0
    while ((program.run().retval | 0) === 0) runs++
    expect(runs).to.be.greaterThan(10_000)
    expect(program.readStream('stdout')).to.equal('7 and 8;'.repeat(runs))
    expect(program.run().retval | 0, 'there is room again').to.equal(0)
  })

  it('has what the kernel reports of a loop that takes too long', function () {
    if (process.arch !== 'x64') pending(this, 'a processor on which the kernel looks at the time of such loops')
    using program = Program.load({
      type: 'syscall',
      name: 'turning',
      code: bpf`
        r0 = 0
  top:  may_goto out
        goto top
  out:  exit`,
    })
    program.run()
    expect(program.readStream('stderr')).to.match(/ERROR: Timeout detected for may_goto instruction[\s\S]*bpf_prog_/)
  })
})

describe('program.readStream', () => {
  beforeEach(function () {
    requireRoot(this)
  })

  /** A kernel that has this text in one of the streams. */
  function holding(stream: number, text: string): Answer {
    return ({ command, attr }, recording) => {
      if (command !== BPF_PROG_STREAM_READ_BY_FD) return undefined
      const view = new DataView((attr as Uint8Array).buffer)
      if (view.getUint32(12, LE) !== stream) return 0
      const room = view.getUint32(8, LE)
      return Buffer.from(text).copy(recording.bytesAt(Number(view.getBigUint64(0, LE)), room))
    }
  }

  it('asks for the stream by its name, and with room for all of it', () => {
    using program = loadXdp()
    const text = `größer\n${'x'.repeat(99_000)}`
    const read = (stream: number) =>
      recorded(() => [program.readStream('stdout'), program.readStream('stderr')], holding(stream, text))
    expect(read(STDOUT)).to.deep.equal([text, ''])
    expect(read(STDERR)).to.deep.equal(['', text])
  })

  it('says so where the kernel has no streams', () => {
    using program = loadXdp()
    const answer: Answer = ({ command }) => (command === BPF_PROG_STREAM_READ_BY_FD ? -EINVAL : undefined)
    const error = recorded(() => errorOf(() => program.readStream('stdout')), answer)
    expect(error).to.be.instanceOf(UnsupportedError)
    expect(error.message).to.include(`BPF_PROG_STREAM_READ_BY_FD on ${program.description}`)
    expect(error.message).to.include('has no streams that programs print to')
  })

  it('refuses a stream that is none, and asks no kernel', () => {
    using program = loadXdp()
    recorded(({ calls }) => {
      expect(() => program.readStream('stdou' as 'stdout')).to.throw(TypeError, "did you mean 'stdout'?")
      expect(() => program.readStream(1 as never)).to.throw(TypeError, 'no stream of a program is called 1')
      program.close()
      expect(errorOf(() => program.readStream('stdout')).code).to.equal('ERR_EBPF_CLOSED')
      expect(calls.filter(({ command }) => command === BPF_PROG_STREAM_READ_BY_FD)).to.deep.equal([])
    })
  })
})
