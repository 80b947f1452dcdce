import { expect } from 'chai'
import { VerifierError } from '../../lib'
import { errorOf } from '../support/error'
import { requireFeature } from '../support/kernel'
import { needsKernel, open } from './kit'

/** The refusal of one program of the fixture. */
function refusalOf(name: string): VerifierError {
  const object = open('missing')
  for (const program of Object.values(object.programs)) program.autoload = program.name === name
  const error = errorOf(() => object.load())
  expect(error).to.be.instanceOf(VerifierError)
  return error as VerifierError
}

describe('what the kernel has not got', function () {
  this.timeout(300_000)

  beforeEach(function () {
    needsKernel(this)
    requireFeature(this, 'kernelBtf')
  })

  it('does no harm where the program asks before', () => {
    using app = open('missing').load()
    expect(app.programs.guarded?.run().retval).to.equal(42)
  })

  it('is named where it is reached: a field', () => {
    const error = refusalOf('unguarded')
    expect(error.missing).to.deep.include({
      what: 'struct task_struct___odd.no_such_member',
      reason: 'struct task_struct of vmlinux has no no_such_member',
    })
    expect(error.missing?.slot).to.equal(error.instruction?.index)
    expect(error.message).to.contain(
      `instruction ${error.missing?.slot} needs struct task_struct___odd.no_such_member, which this kernel has not got: ` +
        'struct task_struct of vmlinux has no no_such_member; bpf_core_field_exists() asks before',
    )
  })

  it('is named where it is reached: a bit field, the value of an enumerator', () => {
    expect(refusalOf('unguarded_bits').missing?.what).to.match(
      /^(the [\w ]+ of )?struct task_struct___odd\.no_such_bits$/,
    )
    const error = refusalOf('unguarded_value')
    expect(error.missing?.what).to.equal('the value of enum bpf_map_type___odd::BPF_MAP_TYPE_NO_SUCH')
    expect(error.message).to.match(/from line \d+, column \d+: return bpf_core_enum_value/)
    expect(error.message).to.match(/bpf_core_enum_value_exists\(\) asks before/)
  })

  it('is named where it is reached: a function', () => {
    const error = refusalOf('unguarded_call')
    expect(error.missing?.what).to.equal('function no_such_function')
    expect(error.message).to.match(/no_such_function, which this kernel has not got: .*bpf_ksym_exists\(\) asks before/)
  })

  it('is not blamed for other refusals', () => {
    const error = refusalOf('refused')
    expect(error.missing).to.equal(undefined)
    expect(error.message).to.match(/a number is used as an address/)
  })
})
