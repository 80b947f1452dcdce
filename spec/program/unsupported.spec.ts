import { expect } from 'chai'
import { bpf, features, Program, UnsupportedError } from '../../lib'
import { BPF_PROG_LOAD } from '../../syscalls/uapi'
import { errorOf } from '../support/error'
import { requireRoot } from '../support/kernel'
import { type Recording, recorded, type Sent } from '../support/recording-abi'

const EINVAL = -22

/** union bpf_attr of BPF_PROG_LOAD: where it has insn_cnt, insns, log_size and log_buf. */
function loadOf(attr: Uint8Array) {
  const view = new DataView(attr.buffer)
  const address = (at: number) => Number(view.getBigUint64(at, true))
  return { insns: address(8), bytes: view.getUint32(4, true) * 8, logSize: view.getUint32(28, true), log: address(32) }
}

/** A kernel that refuses programs with such an instruction, and says so. */
function without(isNew: (code: number, src: number, imm: number) => boolean, words: string) {
  return ({ command, attr }: Sent, recording: Recording) => {
    if (command !== BPF_PROG_LOAD || attr === undefined) return undefined
    const { insns, bytes, logSize, log } = loadOf(attr)
    const code = recording.bytesAt(insns, bytes)
    const view = new DataView(code.buffer, code.byteOffset, code.byteLength)
    let found = false
    for (let at = 0; at < bytes; at += 8) {
      found ||= isNew(code[at] ?? 0, (code[at + 1] ?? 0) >> 4, view.getInt32(at + 4, true))
    }
    if (!found) return undefined
    if (logSize > 0) recording.bytesAt(log, words.length).set(Buffer.from(words, 'latin1'))
    return EINVAL
  }
}

describe('programs of instructions that a kernel does not know', () => {
  before(function () {
    requireRoot(this)
  })

  const refusal = (code: ReturnType<typeof bpf>, answer: Parameters<typeof recorded>[1]) =>
    recorded(() => errorOf(() => Program.load({ type: 'xdp', name: 'newer', code })), answer) as UnsupportedError

  it('are refused with what it has not got: callbacks', () => {
    const code = bpf`
        r1 = back ll
        r0 = 0
        exit
  back: r0 = 0
        exit`
    // What Linux 5.10 says.
    const error = refusal(
      code,
      without((opcode, src) => opcode === 0x18 && src === 4, 'unrecognized bpf_ld_imm64 insn\n'),
    )
    expect(error).to.be.instanceOf(UnsupportedError)
    expect(error).to.include({ command: 'BPF_PROG_LOAD', object: "Program 'newer'", since: '5.13' })
    expect(error.message).to.match(/has no functions as arguments of helpers \(callbacks\)/)
  })

  it('are refused with what it has not got: atomic operations', () => {
    const code = bpf`
        r0 = 0
        *(u64 *)(r10 - 8) = r0
        r0 = atomic_fetch_or((u64 *)(r10 - 8), r0)
        r0 = 0
        exit`
    const error = refusal(
      code,
      without((opcode, _, imm) => opcode === 0xdb && imm !== 0, 'BPF_XADD uses reserved fields\n'),
    )
    expect(error).to.be.instanceOf(UnsupportedError)
    expect(error).to.include({ since: '5.12' })
  })

  it('are refused with what it has not got, or load', () => {
    const code = bpf`
        r0 = 255
        r0 = (s8)r0
        r0 += 1
        exit`
    const load = () => Program.load({ type: 'xdp', code })
    if (features.instructionSet('v4') === false) {
      const error = errorOf(load) as UnsupportedError
      expect(error).to.be.instanceOf(UnsupportedError)
      expect(error.feature).to.equal('programs of the instruction set v4')
      return
    }
    using program = load()
    expect(program.run({ data: new Uint8Array(14) }).retval).to.equal(0)
  })
})
