import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { Btf, VerifierError } from '../../lib'
import { errorOf } from '../support/error'
import { needs, requireFeature } from '../support/kernel'
import { needsKernel, open } from './kit'

/** The object, of which one program is loaded. */
function only(wanted: string) {
  const object = open('typed')
  for (const program of Object.values(object.programs)) program.autoload = program.name === wanted
  return object
}

describe('what an object declares of the kernel', function () {
  this.timeout(300_000)

  beforeEach(function () {
    needsKernel(this)
    requireFeature(this, 'kernelBtf')
  })

  function needsRunqueues(context: Mocha.Context): void {
    needs(context, Btf.kernel().find('runqueues', 'var') !== undefined, "a variable runqueues in the kernel's BTF")
  }

  function needsFunction(context: Mocha.Context): void {
    requireFeature(context, 'programType', 'syscall')
    needs(
      context,
      Btf.kernel().find('bpf_task_acquire', 'func') !== undefined,
      'the kernel’s function bpf_task_acquire',
    )
  }

  it('is taken where it is that: a variable', function () {
    needsRunqueues(this)
    const known = /\brunqueues$/m.test(readFileSync('/proc/kallsyms', 'latin1'))
    for (const name of ['as_it_is', 'declared']) {
      const load = () => only(name).load()
      if (!known) {
        // Without CONFIG_KALLSYMS_ALL the kernel does not find its own variables: it was asked for the right one.
        expect(errorOf(load).message).to.match(/address for kernel symbol 'runqueues'/)
        continue
      }
      using app = load()
      expect(app.programs[name]?.run().retval).to.equal(1)
      expect(app.globals.at?.value).not.to.equal(0n)
    }
  })

  it('is refused where it is something else, also where it is weak: a variable, with both types', function () {
    needsRunqueues(this)
    for (const [name, variable] of [
      ['as_int', 'runqueues___int'],
      ['weak_int', 'runqueues___weak'],
    ] as const) {
      const error = errorOf(() => only(name).load())
      expect(error).to.be.instanceOf(RangeError)
      expect(error.message).to.contain(
        `typed.bpf.o declares 'const int ${variable}', and in this kernel it is 'struct rq runqueues'`,
      )
    }
  })

  it('is 0 where it is weak and not there', () => {
    using app = only('weak').load()
    expect(app.programs.weak?.run().retval).to.equal(1)
  })

  it('is taken where it is that: a function, whose parameters may be declared and no more', function () {
    needsFunction(this)
    using app = only('function').load()
    expect(app.programs.function?.run().retval).to.equal(1)
  })

  it('is refused where it has other parameters: a function', function () {
    needsFunction(this)
    const error = errorOf(() => only('function_of_two').load())
    expect(error).to.be.instanceOf(RangeError)
    expect(error.message).to.match(
      /declares 'int bpf_task_acquire___two\(struct task_struct \*\w*, int ?\w*\)', and in this kernel it is 'struct task_struct \*bpf_task_acquire\(struct task_struct \*p\)'/,
    )
  })

  it('is no function of the kernel where it is weak and has other parameters', function () {
    needsFunction(this)
    using app = only('weak_function').load()
    expect(app.programs.weak_function?.run().retval).to.equal(1)
    const error = errorOf(() => only('weak_unguarded').load()) as VerifierError
    expect(error).to.be.instanceOf(VerifierError)
    expect(error.missing?.reason).to.match(/in this kernel it is 'struct task_struct \*bpf_task_acquire\(/)
  })
})
