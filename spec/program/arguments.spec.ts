import { expect } from 'chai'
import { bpf, Program, type ProgramOptions, skbContext, xdpContext } from '../../lib'
import { errorOf, rejectionOf } from '../support/error'
import { requireRoot } from '../support/kernel'
import { recorded } from '../support/recording-abi'
import { loadXdp, returning } from './kit'

/** The error of a call that makes no system call. */
function unasked(run: () => unknown): Error {
  return recorded((recording) => {
    const error = errorOf(run)
    expect(recording.calls, 'system calls').to.deep.equal([])
    return error
  })
}

type Wrong = readonly [what: string, options: unknown, kind: typeof TypeError | typeof RangeError, words: string]

const ok = { type: 'xdp', code: returning(2) } as const

const WRONG: readonly Wrong[] = [
  ['no options', undefined, TypeError, 'a program is loaded by'],
  ['no type', { code: returning(2) }, TypeError, 'no program type is called undefined'],
  ['a type that is none', { ...ok, type: 'xpd' }, TypeError, "did you mean 'xdp'?"],
  ['a type by its old name', { ...ok, type: 'tc' }, TypeError, "'tc': did you mean 'sched_cls'?"],
  ['a type by its section', { ...ok, type: 'tp' }, TypeError, "'tp': did you mean 'tracepoint'?"],
  [
    'an attach type for a type',
    { ...ok, type: 'fexit' },
    TypeError,
    "'fexit': did you mean 'tracing', with expectedAttachType: 'trace_fexit'?",
  ],
  [
    'an attach type without its prefix',
    { ...ok, type: 'tracing', attachTo: 'vfs_read', expectedAttachType: 'fentry' },
    TypeError,
    "no attach type is called 'fentry': did you mean 'trace_fentry'?",
  ],
  ['a type that is like none', { ...ok, type: 'qqqq' }, TypeError, "'qqqq': There are socket_filter, kprobe, "],
  ["the kernel's own name", { ...ok, type: 'BPF_PROG_TYPE_XDP' }, TypeError, 'no program type'],
  [
    'an attach type that is none',
    { ...ok, expectedAttachType: 'xdp_devmaps' },
    TypeError,
    "did you mean 'xdp_devmap'?",
  ],
  ['a flag that is none', { ...ok, flags: ['SLEEPY'] }, TypeError, 'no program flag is called'],
  ['an option that is none', { ...ok, prog_flags: [] }, TypeError, "no option is called 'prog_flags'"],
  ['an option misspelt', { ...ok, loglevel: 1 }, TypeError, "'loglevel': did you mean 'logLevel'?"],
  ['the macro of a flag', { ...ok, flags: ['BPF_F_SLEEPABLE'] }, TypeError, 'write SLEEPABLE, without BPF_F_'],
  ['the macro of a type', { ...ok, type: 'BPF_PROG_TYPE_XDP' }, TypeError, 'write xdp, without BPF_PROG_TYPE_'],
  ['flags as a number', { ...ok, flags: 16 }, TypeError, 'a list of names'],
  ['no code', { type: 'xdp' }, TypeError, 'code is'],
  ['code as text', { ...ok, code: 'exit' }, TypeError, 'code is'],
  ['code of no bytes', { ...ok, code: new Uint8Array(0) }, RangeError, 'code is empty'],
  ['code of an empty template', { ...ok, code: bpf`` }, RangeError, 'code is empty'],
  [
    'code of another thread',
    { ...ok, code: new Uint8Array(new SharedArrayBuffer(16)) },
    TypeError,
    'code must not be shared',
  ],
  ['half an instruction', { ...ok, code: new Uint8Array(12) }, RangeError, 'no whole number of instructions'],
  ['too much code', { ...ok, code: new Uint8Array(8_000_008) }, RangeError, 'up to 1000000'],
  ['a long name', { ...ok, name: 'sixteen_letters_' }, RangeError, 'up to 15'],
  ['a name with a dash', { ...ok, name: 'a-b' }, RangeError, 'A-Z a-z 0-9 _ .'],
  ['a name that is no text', { ...ok, name: 7 }, TypeError, 'name must be a string'],
  ['no license', { ...ok, license: '' }, RangeError, 'license'],
  ['a license with a NUL', { ...ok, license: 'GPL\0' }, RangeError, 'license'],
  ['a long license', { ...ok, license: 'G'.repeat(128) }, RangeError, 'license'],
  ['a log level', { ...ok, logLevel: 16 }, RangeError, 'logLevel'],
  ['a log level in words', { ...ok, logLevel: 'much' }, TypeError, 'logLevel'],
  ['an interface 0', { ...ok, ifindex: 0 }, RangeError, 'ifindex'],
  ['a token of standard input', { ...ok, token: 0 }, RangeError, 'token'],
  ['an fd array of numbers that are none', { ...ok, fdArray: [3, -1] }, RangeError, 'fdArray[1]'],
  ['BTF without an fd', { ...ok, btf: {} }, TypeError, 'btf.fd'],
  ['no BTF', { ...ok, btf: null }, TypeError, 'btf is {'],
  ['function records cut short', { ...ok, btf: { fd: 5, functions: new Uint8Array(9) } }, RangeError, 'btf.functions'],
  ['function records of none', { ...ok, btf: { fd: 5, functions: new Uint8Array(0) } }, RangeError, 'btf.functions'],
  ['line records in words', { ...ok, btf: { fd: 5, lines: 'all' } }, TypeError, 'btf.lines must be a Uint8Array'],
  ['half a relocation', { ...ok, btf: { fd: 5, relocations: new Uint8Array(8) } }, RangeError, 'btf.relocations'],
  ['attachTo where it is of no use', { ...ok, attachTo: 'vfs_read' }, TypeError, 'take no attachTo'],
  ['no expected attach type', { ...ok, type: 'cgroup_sock_addr' }, TypeError, "such as 'cgroup_inet4_connect'"],
  ['tracing of nothing', { ...ok, type: 'tracing', expectedAttachType: 'trace_fentry' }, TypeError, 'attachTo'],
  ['tracing of no kind', { ...ok, type: 'tracing', attachTo: 'vfs_read' }, TypeError, 'expectedAttachType'],
  ['lsm of nothing', { ...ok, type: 'lsm' }, TypeError, "'socket_create'"],
  ['ext of a name', { ...ok, type: 'ext', attachTo: 'main' }, TypeError, '{ program, function }'],
  ['ext of no fd', { ...ok, type: 'ext', attachTo: { program: {}, function: 'main' } }, TypeError, 'attachTo.program'],
  ['struct_ops of a name', { ...ok, type: 'struct_ops', attachTo: 'tcp_congestion_ops' }, TypeError, 'member'],
  ['a BTF id of 0', { ...ok, type: 'lsm', attachTo: { btfId: 0 } }, RangeError, 'attachTo.btfId'],
]

describe('arguments that are wrong', () => {
  for (const [what, options, kind, words] of WRONG) {
    it(`Program.load refuses ${what}, and asks no kernel`, () => {
      const error = unasked(() => Program.load(options as ProgramOptions))
      expect(error).to.be.instanceOf(kind)
      expect(error.message).to.include(words)
    })
  }

  it('Program.load tells a label that is nowhere', () => {
    const code = bpf`
      goto nowhere
      exit`
    expect(unasked(() => loadXdp({ code })).message).to.include('there is no label nowhere')
  })

  it('Program has no public constructor', () => {
    const Constructor = Program as unknown as new () => Program
    expect(() => new Constructor()).to.throw(TypeError, 'Program.load')
  })

  it('Program.fromId and fromFd refuse what is no id and no fd', () => {
    for (const id of [0, -1, 1.5, 2 ** 32]) expect(unasked(() => Program.fromId(id))).to.be.instanceOf(RangeError)
    for (const fd of [0, -1, 2 ** 31]) expect(unasked(() => Program.fromFd(fd))).to.be.instanceOf(RangeError)
    expect(unasked(() => Program.fromId('7' as unknown as number))).to.be.instanceOf(TypeError)
  })

  it('Program.fromId says that there is no program of an id', function () {
    requireRoot(this)
    expect(errorOf(() => Program.fromId(99_999_999)).message).to.include('no program has this id')
  })

  describe('of a run', () => {
    let xdp: Program
    let tracepoint: Program

    before(function () {
      requireRoot(this)
      xdp = loadXdp()
      tracepoint = Program.load({ type: 'raw_tracepoint', code: returning(0) })
    })
    after(() => {
      xdp?.close()
      tracepoint?.close()
    })

    const packet = new Uint8Array(64)
    type WrongRun = readonly [what: string, on: 'xdp' | 'tracepoint', options: object, kind: unknown, words: string]
    const RUNS: readonly WrongRun[] = [
      ['no packet', 'xdp', {}, TypeError, 'data is missing'],
      ['a packet without a header', 'xdp', { data: packet.subarray(51) }, RangeError, 'from 14 bytes on'],
      ['a packet of numbers', 'xdp', { data: [1, 2] }, TypeError, 'data must be a Uint8Array'],
      ['no rounds', 'xdp', { data: packet, repeat: 0 }, RangeError, 'repeat'],
      ['half a round', 'xdp', { data: packet, repeat: 1.5 }, RangeError, 'repeat'],
      ['a CPU of its own', 'xdp', { data: packet, cpu: 0 }, TypeError, 'no cpu'],
      ['a flag that is none', 'xdp', { data: packet, flags: ['LIVE'] }, TypeError, 'no flag of a run'],
      ['no options', 'xdp', null as never, TypeError, 'a program is run by'],
      ['an option misspelt', 'xdp', { data: packet, repaet: 5 }, TypeError, "'repaet': did you mean 'repeat'?"],
      ['packets together that stay', 'xdp', { data: packet, batchSize: 4 }, TypeError, 'batchSize goes with'],
      [
        'too many packets together',
        'xdp',
        { data: packet, flags: ['XDP_LIVE_FRAMES'], batchSize: 257 },
        RangeError,
        '257 cannot be batchSize',
      ],
      [
        'a flag for socket buffers',
        'xdp',
        { data: packet, flags: ['SKB_CHECKSUM_COMPLETE'] },
        TypeError,
        'programs of type xdp are not run with the flag SKB_CHECKSUM_COMPLETE',
      ],
      ['frames', 'tracepoint', { flags: ['XDP_LIVE_FRAMES'] }, TypeError, 'not run with the flag XDP_LIVE_FRAMES'],
      ['room below zero', 'xdp', { data: packet, dataOutSize: -1 }, RangeError, 'dataOutSize'],
      ['a context of text', 'xdp', { data: packet, ctx: 'lo' }, TypeError, 'ctx is a Uint8Array'],
      ['a context beyond all', 'xdp', { data: packet, ctx: new Uint8Array(4097) }, RangeError, 'up to 4096'],
      [
        '3 bytes of metadata',
        'xdp',
        { data: packet, ctx: xdpContext({ metadata: 3 }) },
        RangeError,
        'metadata: 3 bytes',
      ],
      [
        'much metadata',
        'xdp',
        { data: packet, ctx: xdpContext({ metadata: 256 }) },
        RangeError,
        'multiple of 4 up to 252',
      ],
      [
        'an interface by its name',
        'xdp',
        { data: packet, ctx: xdpContext({ ingressIfindex: 'lo' as never }) },
        TypeError,
        'ingressIfindex: ',
      ],
      ['a size below 0', 'xdp', { data: packet, ctx: skbContext({ gsoSize: -1 }) }, RangeError, 'gsoSize: -1'],
      [
        'a context that ends before its struct is told',
        'xdp',
        { data: packet, ctx: new Uint8Array(5) },
        RangeError,
        'ctx has 5 bytes: of struct xdp_md, which has 24, programs of type xdp are given 8 at least',
      ],
      ['a packet', 'tracepoint', { data: packet }, TypeError, 'given no packet'],
      ['rounds', 'tracepoint', { repeat: 2 }, TypeError, 'no repeat'],
      ['13 arguments', 'tracepoint', { ctx: new BigUint64Array(13) }, RangeError, 'up to 96'],
      ['a CPU below zero', 'tracepoint', { cpu: -1 }, RangeError, 'cpu'],
    ]
    for (const [what, on, options, kind, words] of RUNS) {
      it(`${on === 'xdp' ? 'an' : 'a'} ${on} program refuses ${what}, and asks no kernel`, () => {
        const program = on === 'xdp' ? xdp : tracepoint
        for (const run of [() => program.run(options), () => program.runner(options)]) {
          const error = unasked(run)
          expect(error).to.be.instanceOf(kind as typeof TypeError)
          expect(error.message).to.include(words)
        }
      })

      it(`nor does it off the event loop: ${what}`, async () => {
        const program = on === 'xdp' ? xdp : tracepoint
        await recorded(async ({ calls }) => {
          const error = await rejectionOf(program.runAsync(options))
          expect(error).to.be.instanceOf(kind as typeof TypeError)
          expect(error.message).to.include(words)
          expect(calls).to.deep.equal([])
        })
      })
    }

    it('the fields of a context are those that it has', () => {
      expect(() => skbContext({ marc: 3 } as object)).to.throw(
        TypeError,
        "no field is called 'marc': did you mean 'mark'?",
      )
      expect(() => xdpContext({ metadta: 4 } as object)).to.throw(TypeError, "did you mean 'metadata'?")
      expect(() => xdpContext({ datta: 3 } as object)).to.throw(TypeError, "no field is called 'datta'")
      expect(() => skbContext(3 as never)).to.throw(TypeError, 'fields are told by an object, { mark, priority, ')
    })

    it('a closed program says so', () => {
      const program = loadXdp()
      const runner = program.runner({ data: packet })
      program.close()
      program.close()
      for (const use of [
        () => program.run({ data: packet }),
        () => runner.run(),
        () => program.info(),
        () => program.fd,
      ]) {
        const error = unasked(use)
        expect((error as Error & { code?: string }).code).to.equal('ERR_EBPF_CLOSED')
      }
      expect(`${program}`).to.equal('Program')
    })
  })
})
