import { expect } from 'chai'
import { assemble, type Code, Program, VerifierError } from '../../lib'
import { BPF_PROG_LOAD } from '../../syscalls'
import { LE } from '../../syscalls/attr-common'
import { errorOf, rejectionOf } from '../support/error'
import { requireFeature, requireRoot } from '../support/kernel'
import { type Answer, type Recording, recorded, type Sent } from '../support/recording-abi'
import { loadXdp, PASS, returning } from './kit'
import { FROM_THE_START } from './refused'

const ENOSPC = 28
const FIRST = 65_536

/** A program whose log is longer than the first buffer, refused at its end. */
function longWinded(instructions = 5000): Code {
  const lines = Array.from({ length: instructions }, (_, i) => `r1 = ${i}`)
  return assemble([...lines, 'exit'].join('\n'))
}

/** log_level and log_size of each load. */
function asked({ bpf }: Recording): [level: number, size: number][] {
  return bpf(BPF_PROG_LOAD).map((call) => {
    const attr = viewOf(call)
    return [attr.getUint32(24, LE), attr.getUint32(28, LE)]
  })
}

function viewOf({ attr }: Sent): DataView {
  return new DataView((attr as Uint8Array).buffer)
}

/** A kernel whose log does not fit into less than so many bytes, and that does not say how long it is: before 6.4. */
function needingLog(bytes: number): Answer {
  return (call) => {
    if (call.command !== BPF_PROG_LOAD) return undefined
    const size = viewOf(call).getUint32(28, LE)
    return size > 0 && size < bytes ? -ENOSPC : undefined
  }
}

describe("the verifier's log", () => {
  beforeEach(function () {
    requireRoot(this)
  })

  it('is not asked for where all is well', () => {
    recorded((recording) => {
      using program = loadXdp()
      expect(program.log).to.equal('')
      expect(asked(recording)).to.deep.equal([[0, 0]])
    })
  })

  it('is asked for after a refusal, in one call where it is short', () => {
    recorded((recording) => {
      expect(errorOf(() => loadXdp({ code: assemble('exit') }))).to.be.instanceOf(VerifierError)
      expect(asked(recording)).to.deep.equal([
        [0, 0],
        [1, FIRST],
      ])
    })
  })

  it('is asked for once more where the kernel says how long it is', function () {
    requireFeature(this, 'logTrueSize')
    recorded((recording) => {
      const { log } = errorOf(() => loadXdp({ code: longWinded() })) as VerifierError
      expect(log).to.match(FROM_THE_START)
      expect(asked(recording)).to.deep.equal([
        [0, 0],
        [1, FIRST],
        [1, log.length + 1],
      ])
    })
  })

  it('is asked for with ever more room where the kernel does not say', () => {
    recorded(
      (recording) => {
        const error = errorOf(() => loadXdp({ code: longWinded() })) as VerifierError
        expect(error).to.be.instanceOf(VerifierError)
        expect(error.code).to.equal('EACCES')
        expect(error.log)
          .to.match(FROM_THE_START)
          .and.match(/R0 !read_ok/)
        expect(asked(recording).map(([, size]) => size)).to.deep.equal([0, FIRST, FIRST * 16, FIRST * 256])
      },
      needingLog(FIRST * 17),
    )
  })

  it('is given up where it has no end, and the error is that of the first refusal', () => {
    const endless: Answer = (call) => {
      if (call.command !== BPF_PROG_LOAD) return undefined
      return viewOf(call).getUint32(28, LE) === 0 ? -EPERM : -ENOSPC
    }
    recorded((recording) => {
      expect(errorOf(() => loadXdp()).code).to.equal('EPERM')
      expect(asked(recording).map(([, size]) => size)).to.include(2 ** 28)
    }, endless)
  })

  it('is the same off the event loop', async () => {
    const load = () => Program.loadAsync({ type: 'xdp', code: longWinded() })
    await recorded(async (recording) => {
      const { log } = (await rejectionOf(load())) as VerifierError
      expect(log)
        .to.match(FROM_THE_START)
        .and.match(/R0 !read_ok/)
      expect(recording.bpf(BPF_PROG_LOAD).every((call) => call.async)).to.equal(true)
    })
  })

  it('is there of a program that is accepted, where it is wanted', () => {
    recorded((recording) => {
      using program = loadXdp({ logLevel: 2 })
      expect(program.log).to.match(/^0: \(b7\) r0 = 2/m)
      expect(program.log).to.match(/processed 2 insns/)
      expect(asked(recording)).to.deep.equal([[2, FIRST]])
    })
    using more = loadXdp({ logLevel: 4 })
    expect(more.log).to.match(/verification time \d+ usec/)
    expect(more.log).to.not.include('r0 = 2')
  })

  it('makes room also for the log of a program that is accepted', () => {
    const code = assemble([...Array.from({ length: 5000 }, (_, i) => `r1 = ${i}`), `r0 = ${PASS}`, 'exit'].join('\n'))
    using program = loadXdp({ code, logLevel: 2 })
    expect(program.log).to.include('0: (b7) r1 = 0').and.include('4999: (b7) r1 = 4999')
    expect(program.run({ data: new Uint8Array(64) }).retval).to.equal(PASS)
  })

  it('is not given of a program that is taken at the second try', () => {
    let tries = 0
    recorded(
      () => {
        using program = loadXdp()
        expect([program.log, tries]).to.deep.equal(['', 2])
      },
      ({ command }) => (command === BPF_PROG_LOAD && tries++ === 0 ? -ENOMEM : undefined),
    )
  })

  it('is of no use where the kernel refuses for another reason, and the error is the first one', () => {
    const refusing: Answer = (call) => (call.command === BPF_PROG_LOAD ? -EPERM : undefined)
    recorded((recording) => {
      const error = errorOf(() => loadXdp({ code: returning(1) }))
      expect([error.name, error.code]).to.deep.equal(['KernelError', 'EPERM'])
      expect(asked(recording).map(([, size]) => size)).to.include(FIRST)
    }, refusing)
  })
})

const EPERM = 1
const ENOMEM = 12
