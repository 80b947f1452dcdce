import { expect } from 'chai'
import { bpf, Program, type ProgramOptions, VerifierError } from '../../lib'
import { kernelTypeId } from '../../lib/btf/kernel'
import { BPF_PROG_LOAD } from '../../syscalls'
import { LE } from '../../syscalls/attr-common'
import { CHOOSE_ID, ENTRY_ID, functionInfo, loadFunctionBtf } from '../support/attach/function-btf'
import { requireAttach } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { kernelBtf } from '../support/btf'
import { errorOf } from '../support/error'
import { requireFeature, requireRoot } from '../support/kernel'
import { type Answer, recorded } from '../support/recording-abi'
import { fdInfo, PASS, returning } from './kit'

const EPERM = 1

/** Where BPF_PROG_LOAD was told that the program belongs. */
interface Told {
  readonly expected: number
  readonly btfId: number
  readonly fd: number
}

/** What the kernel is told; another answers in its place, as this one may be locked down. */
function told(options: Omit<ProgramOptions, 'code'>): Told {
  const refusing: Answer = (call) => (call.command === BPF_PROG_LOAD ? -EPERM : undefined)
  return recorded((recording) => {
    expect(errorOf(() => Program.load({ ...options, code: returning(0) })).code).to.equal('EPERM')
    const [sent] = recording.bpf(BPF_PROG_LOAD)
    const bytes = sent?.attr ?? new Uint8Array(0)
    const attr = new DataView(bytes.buffer)
    return { expected: attr.getUint32(68, LE), btfId: attr.getUint32(108, LE), fd: attr.getUint32(112, LE) }
  }, refusing)
}

describe('attachTo', () => {
  const stage = useStage()

  beforeEach(function () {
    requireRoot(this)
    requireFeature(this, 'kernelBtf')
  })

  it('is a kernel function for tracing programs', function () {
    const btfId = kernelBtf(this).func('security_socket_create')
    const place = { type: 'tracing', attachTo: 'security_socket_create' } as const
    expect(told({ ...place, expectedAttachType: 'trace_fentry' })).to.deep.equal({ expected: 24, btfId, fd: 0 })
    expect(told({ ...place, expectedAttachType: 'trace_fexit' })).to.deep.equal({ expected: 25, btfId, fd: 0 })
    expect(told({ ...place, expectedAttachType: 'modify_return' })).to.deep.equal({ expected: 26, btfId, fd: 0 })
  })

  it('that is misspelt is told with what is near', () => {
    const said = (options: Omit<ProgramOptions, 'code'>) =>
      errorOf(() => Program.load({ ...options, code: returning(0) })).message
    const function_ = said({ type: 'tracing', attachTo: 'do_sys_opnat2', expectedAttachType: 'trace_fentry' })
    expect(function_).to.match(/called "do_sys_opnat2" .*: did you mean .*'do_sys_openat2'.*\?$/)
    expect(said({ type: 'lsm', attachTo: 'socket_craete' })).to.match(/: did you mean 'socket_create'/)
  })

  it('is a hook for lsm programs, with or without its prefix', function () {
    const btfId = kernelBtf(this).func('bpf_lsm_socket_create')
    for (const attachTo of ['socket_create', 'bpf_lsm_socket_create']) {
      expect(told({ type: 'lsm', attachTo })).to.deep.equal({ expected: 27, btfId, fd: 0 })
    }
    const cgroup = told({ type: 'lsm', attachTo: 'socket_create', expectedAttachType: 'lsm_cgroup' })
    expect(cgroup).to.deep.equal({ expected: 43, btfId, fd: 0 })
  })

  it('is a struct and the number of its member for struct_ops programs', function () {
    const btfId = kernelBtf(this).struct('tcp_congestion_ops')
    const place = told({ type: 'struct_ops', attachTo: { struct: 'tcp_congestion_ops', member: 3 } })
    expect(place).to.deep.equal({ expected: 3, btfId, fd: 0 })
  })

  it('is whatever has an id, of a module too', () => {
    const place = told({ type: 'lsm', attachTo: { btfId: 1234, module: { fd: 77 } } })
    expect(place).to.deep.equal({ expected: 27, btfId: 1234, fd: 77 })
  })

  it('is a tracepoint for programs that are given its arguments by type', function () {
    const attachTo = 'sched_switch'
    const options = { type: 'tracing', expectedAttachType: 'trace_raw_tp', attachTo } as const
    const btfId = kernelTypeId('typedef', 'btf_trace_sched_switch')
    expect(told(options)).to.deep.equal({ expected: 23, btfId, fd: 0 })
    requireAttach(this, 'tp_btf')
    using program = Program.load({ ...options, code: returning(0) })
    expect(program.info().attachBtf?.typeId ?? btfId).to.equal(btfId)
    expect(fdInfo(program, 'prog_type')).to.equal('26')
  })

  it('is an iterator for programs that walk what the kernel has', function () {
    const options = { type: 'tracing', expectedAttachType: 'trace_iter', attachTo: 'bpf_map' } as const
    expect(told(options).btfId).to.equal(kernelBtf(this).func('bpf_iter_bpf_map'))
    requireAttach(this, 'iter')
    using program = Program.load({ ...options, code: returning(0) })
    expect(program.closed).to.equal(false)
  })

  it('says what the kernel has not got of that name, without asking it', () => {
    const wrong: readonly [Omit<ProgramOptions, 'code'>, string][] = [
      [{ type: 'lsm', attachTo: 'no_such' }, 'no LSM hook called "no_such" (its BTF has no bpf_lsm_no_such)'],
      [{ type: 'tracing', expectedAttachType: 'trace_fentry', attachTo: 'no_such' }, 'no function called "no_such"'],
      [{ type: 'tracing', expectedAttachType: 'trace_raw_tp', attachTo: 'no_such' }, 'no tracepoint called'],
      [{ type: 'tracing', expectedAttachType: 'trace_iter', attachTo: 'no_such' }, 'no iterator called'],
      [{ type: 'struct_ops', attachTo: { struct: 'no_such', member: 0 } }, 'no struct no_such'],
    ]
    recorded((recording) => {
      for (const [options, words] of wrong) {
        const load = () => Program.load({ ...options, code: returning(0) })
        expect(load).to.throw(RangeError, words)
      }
      expect(recording.calls).to.deep.equal([])
    })
  })

  it('says what the verifier does not like about the place', () => {
    // A struct is no function.
    const btfId = kernelTypeId('struct', 'task_struct') as number
    const place = { expectedAttachType: 'trace_raw_tp', attachTo: { btfId } } as const
    const error = errorOf(() => Program.load({ type: 'tracing', ...place, code: returning(0) }))
    expect(error).to.be.instanceOf(VerifierError)
    expect(error.message).to.include(`attach_btf_id ${btfId}`)
  })

  describe('a program', () => {
    /** `int entry(ctx) { return choose(ctx) }` and `int choose(ctx) { return XDP_PASS }` */
    function target(): Program {
      const btf = stage.own(loadFunctionBtf())
      const { func_info } = functionInfo(btf, { 0: ENTRY_ID, 2: CHOOSE_ID })
      const code = bpf`
          call choose
          exit
 choose:  r0 = ${PASS}
          exit`
      const functions = new Uint8Array(func_info.buffer)
      return stage.using(Program.load({ type: 'xdp', name: 'target', code, btf: { fd: btf, functions } }))
    }

    it('by its function, whose id its BTF has', () => {
      const program = target()
      const place = told({ type: 'ext', attachTo: { program, function: 'choose' } })
      expect(place).to.deep.equal({ expected: 0, btfId: CHOOSE_ID, fd: program.fd })
      const traced = told({
        type: 'tracing',
        expectedAttachType: 'trace_fentry',
        attachTo: { program, function: 'entry' },
      })
      expect(traced).to.deep.equal({ expected: 24, btfId: ENTRY_ID, fd: program.fd })
    })

    it('that has no such function, or no BTF, is refused', () => {
      const program = target()
      const replace = (by: Program, name: string) => () =>
        Program.load({ type: 'ext', attachTo: { program: by, function: name }, code: returning(1) })
      expect(replace(program, 'no_such')).to.throw(RangeError, 'no function "no_such"')
      using plain = Program.load({ type: 'xdp', code: returning(PASS) })
      expect(replace(plain, 'choose')).to.throw(RangeError, 'without BTF')
    })

    it('is replaced in a function by another', function () {
      requireAttach(this, 'freplace')
      const btf = stage.own(loadFunctionBtf())
      const functions = new Uint8Array(functionInfo(btf, { 0: CHOOSE_ID }).func_info.buffer)
      const attachTo = { program: target(), function: 'choose' }
      using program = Program.load({ type: 'ext', attachTo, code: returning(7), btf: { fd: btf, functions } })
      expect(program.info().btfId).to.be.greaterThan(0)
    })

    it('is loaded off the event loop, kept until then', async function () {
      requireAttach(this, 'freplace')
      const btf = stage.own(loadFunctionBtf())
      const functions = new Uint8Array(functionInfo(btf, { 0: CHOOSE_ID }).func_info.buffer)
      const program = target()
      const attachTo = { program, function: 'choose' }
      const loading = Program.loadAsync({ type: 'ext', attachTo, code: returning(7), btf: { fd: btf, functions } })
      program.close()
      using replacing = await loading
      expect(replacing.type).to.equal('ext')
    })
  })
})
