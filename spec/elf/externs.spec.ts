import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { release, version } from 'node:os'
import { expect } from 'chai'
import { BpfObject, Btf } from '../../lib'
import { ElfFile } from '../../lib/elf-file/file'
import { memorySource } from '../../lib/elf-file/source'
import { errorOf } from '../support/error'
import { linuxBefore, needs, requireFeature } from '../support/kernel'
import { bytesOf, needsKernel, open, PACKET } from './kit'

/** Whether the kernel has a function or variable, as bpftool reads its BTF. */
const btfHas = (text: string) =>
  execFileSync('sh', ['-c', `bpftool btf dump file /sys/kernel/btf/vmlinux | grep -c "${text}" || true`], {
    encoding: 'utf8',
  }).trim() !== '0'

/** The object, of which one program is loaded. */
function only(wanted: string): BpfObject {
  const object = open('externs')
  for (const program of Object.values(object.programs)) program.autoload = program.name === wanted
  return object
}

describe('what an object has from the kernel', function () {
  this.timeout(300_000)

  beforeEach(function () {
    needsKernel(this)
  })

  it('is its configuration, by the types of the object', () => {
    const object = only('config')
    // As the kernel's own file has it; what the file does not have is given here.
    const config = { CONFIG_HZ: 250, CONFIG_BPF_SYSCALL: 'y', CONFIG_NET: 'm', CONFIG_DEFAULT_HOSTNAME: '"(none)"' }
    using app = object.load({ kconfig: config })
    expect(app.programs.config?.run({ data: PACKET }).retval).to.equal(1)
    const [major = 0, minor = 0] = release().split('.').map(Number)
    const told = app.globals.version?.value as number
    expect(told >> 8).to.equal(major * 256 + minor)
    // Debian's releases have no sublevel of their own; that of KERNEL_VERSION stops at 255.
    const [, sublevel] = /Debian \d+\.\d+\.(\d+)/.exec(version()) ?? []
    if (sublevel !== undefined) expect(told & 0xff).to.equal(Math.min(Number(sublevel), 255))
    expect(app.globals.has_cookie?.value).to.equal(!linuxBefore(5, 15))
    const wrapped = /^[0-9a-f]+ T __(x64|arm64)_sys_getpid$/m.test(readFileSync('/proc/kallsyms', 'latin1'))
    expect(app.globals.has_wrapper?.value).to.equal(Number(wrapped))
    expect(app.globals.has_no_such?.value).to.equal(0)
    expect(app.globals.hz?.value).to.equal(250)
    expect(app.globals.has_syscall?.value).to.equal(true)
    expect(app.globals.net?.value).to.equal(2)
    expect(app.globals.missing?.value).to.equal(0n)
    expect(app.globals.first?.value).to.equal('('.charCodeAt(0))
    const error = errorOf(() => object.load({ kconfig: { ...config, CONFIG_HZ: '"fast"' } }))
    expect(error.message).to.match(/CONFIG_HZ is "fast", which does not fit/)
  })

  it('is refused where one of its options would fill all memory, before there is room made for it', () => {
    const bytes = bytesOf('externs')
    const object = BpfObject.open(bytes)
    const btf = object.btf as Btf
    const option = btf.require('CONFIG_DEFAULT_HOSTNAME', 'var')
    const elf = new ElfFile(memorySource(bytes))
    const section = elf.sections.find((each) => elf.nameOf(each) === '.BTF')?.offset as number
    // struct btf_array behind struct btf_type: its last word is how many there are.
    const length = section + (btf.places[option.type - 1] as number) + 20
    new DataView(bytes.buffer).setUint32(length, 0x7fff_0000, true)
    const large = BpfObject.open(bytes)
    for (const program of Object.values(large.programs)) program.autoload = program.name === 'config'
    const memory = process.memoryUsage().arrayBuffers
    const config = { CONFIG_HZ: 250, CONFIG_BPF_SYSCALL: 'y', CONFIG_NET: 'm' }
    const given = errorOf(() => large.load({ kconfig: { ...config, CONFIG_DEFAULT_HOSTNAME: '"x"' } }))
    expect(given).to.be.instanceOf(RangeError)
    expect(given.message).to.match(/^CONFIG_DEFAULT_HOSTNAME has 2147418112 bytes in the object/)
    expect(process.memoryUsage().arrayBuffers - memory).to.be.below(2 ** 28)
  })

  it('is the running kernel’s configuration where nothing is given', function () {
    let text = ''
    try {
      text = execFileSync('zcat', ['/proc/config.gz'], { encoding: 'latin1', stdio: ['ignore', 'pipe', 'ignore'] })
    } catch {
      needs(this, false, '/proc/config.gz')
    }
    const object = only('config')
    using app = object.load()
    app.programs.config?.run({ data: PACKET })
    expect(app.globals.hz?.value).to.equal(Number(/^CONFIG_HZ=(\d+)$/m.exec(text)?.[1]))
    expect(app.globals.has_syscall?.value).to.equal(/^CONFIG_BPF_SYSCALL=y$/m.test(text))
  })

  describe('its configuration', () => {
    const config = { CONFIG_DEFAULT_HOSTNAME: '"(none)"', CONFIG_NO_SUCH_NUMBER: 7, LINUX_HAS_NO_SUCH_FEATURE: 1 }

    it('is text as long as it is where the object does not say; an option that is nowhere is off', function () {
      needs(this, existsSync('/proc/config.gz'), '/proc/config.gz')
      using app = open('options').load({ kconfig: config })
      expect(app.programs.config?.run({ data: PACKET }).retval).to.equal(2)
      const { text, number, on, row, feature } = app.globals
      const shown = Buffer.from((text?.value ?? []) as number[])
      expect(shown.toString('latin1', 0, 3)).to.equal('(no')
      expect([number?.value, on?.value, row?.value, feature?.value]).to.deep.equal([7, false, 0, 1])
    })

    it('has no numbers that are off', function () {
      needs(this, existsSync('/proc/config.gz'), '/proc/config.gz')
      const load = (kconfig: Readonly<Record<string, number | string>>) => () => open('options').load({ kconfig })
      const { CONFIG_NO_SUCH_NUMBER: _number, ...others } = config
      expect(load(others)).to.throw(
        RangeError,
        /needs CONFIG_NO_SUCH_NUMBER, and this kernel's configuration has it not/,
      )
      const { LINUX_HAS_NO_SUCH_FEATURE: _feature, ...options } = config
      expect(load(options)).to.throw(RangeError, /needs LINUX_HAS_NO_SUCH_FEATURE, which is not known here/)
      expect(load({ ...config, CONFIG_NO_SUCH_NUMBER: 'y' })).to.throw(
        RangeError,
        /is y, which.*want bool, char or enum/,
      )
      expect(load({ ...config, CONFIG_NO_SUCH_SWITCH: 7 })).to.throw(RangeError, /is 7, which.*numbers want integers/)
      expect(load({ ...config, CONFIG_NO_SUCH_ROW: 7 })).to.throw(RangeError, /is 7, which.*only those of char/)
    })
  })

  it('is not what another object has, which is told by name, and is in the way of no program that does without', () => {
    const declared = (wanted: string) => {
      const object = open('declared')
      for (const program of Object.values(object.programs)) program.autoload = program.name === wanted
      return object
    }
    using app = declared('passes').load()
    expect(app.programs.passes?.run({ data: PACKET }).retval).to.equal(2)
    for (const [program, name] of [
      ['asks', 'allowed'],
      ['counts', 'elsewhere'],
      ['compares', 'limits'],
    ] as const) {
      const error = errorOf(() => declared(program).load())
      expect(error.message).to.contain(
        `program '${program}' refers to '${name}', which the object has not got: bpftool gen object links it`,
      )
    }
  })

  it('is its symbols; weak ones that are not there are 0', () => {
    using app = only('symbols').load()
    expect(app.programs.symbols?.run({ data: PACKET }).retval).to.equal(1)
    expect(app.globals.nothing?.value).to.equal(0n)
    const line = readFileSync('/proc/kallsyms', 'latin1').match(/^([0-9a-f]+) . schedule$/m)
    expect(app.globals.task?.value).to.equal(BigInt(`0x${line?.[1]}`))
  })

  it('is its variables, by their types', function () {
    needs(this, btfHas("VAR 'bpf_prog_active'"), "a variable bpf_prog_active in the kernel's BTF")
    const error = /\bbpf_prog_active$/m.test(readFileSync('/proc/kallsyms', 'latin1'))
      ? undefined
      : errorOf(() => only('per_cpu').load())
    if (error !== undefined) {
      // Without CONFIG_KALLSYMS_ALL the kernel does not find its own variables: it says so by the name that it was given.
      expect(error.message).to.match(/address for kernel symbol 'bpf_prog_active'/)
      return
    }
    using app = only('per_cpu').load()
    app.programs.per_cpu?.run({ data: PACKET })
    expect(app.globals.active?.value).to.be.at.least(0)
  })

  it('is its functions, of which weak ones may be missing', function () {
    requireFeature(this, 'programType', 'syscall')
    needs(this, btfHas("FUNC 'bpf_task_acquire'"), 'the kernel’s function bpf_task_acquire (Linux 6.2)')
    const object = only('functions')
    using app = object.load()
    expect(app.programs.functions?.run().retval).to.equal(1)
    expect(app.globals.found?.value).to.equal(1)
  })

  it('is the layout of its types (CO-RE)', function () {
    requireFeature(this, 'programType', 'syscall')
    using app = open('core').load()
    expect(app.programs.read?.run().retval).to.equal(1)
    expect(app.globals.read_tgid?.value).to.be.above(0)
    expect(app.globals.read_tgid?.value).to.equal(app.globals.told_tgid?.value)
    expect(app.globals.has_member?.value).to.equal(0)
    expect(app.globals.size?.value).to.equal(Btf.kernel().require('task_struct', 'struct').size)
  })
})
