import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { Btf, BtfError } from '../../lib/btf'
import { KERNEL_BTF } from '../../lib/btf/kernel'
import { fromNamedObject, kernelObjects } from '../../lib/btf/source'
import { btfInfo, closeFd, KernelError, tryBtfLoad } from '../../syscalls'
import { BPF_BTF_GET_NEXT_ID } from '../../syscalls/uapi'
import { inChild } from '../support/child'
import { errorOf } from '../support/error'
import { eventually, linuxBefore, mapIds, pending, requireFeature, requireRoot } from '../support/kernel'
import { recorded } from '../support/recording-abi'
import { everyKind } from './image'

const EINVAL = 22
const EPERM = 1

/** The running kernel's own byte order. */
const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1

/** Of a process without sysfs. */
const NO_SYSFS = `
  const fs = require('node:fs')
  for (const name of ['readFileSync', 'readdirSync', 'existsSync']) {
    const real = fs[name]
    fs[name] = (path, ...rest) => real(String(path).replace('/sys/kernel/btf', '/nowhere'), ...rest)
  }`

describe('a BTF object', function () {
  this.timeout(300_000)

  before(function () {
    requireRoot(this)
    requireFeature(this, 'kernelBtf')
  })

  it('gives back what was loaded, by its id', function () {
    const bytes = everyKind({ littleEndian: LITTLE }).bytes()
    const { fd, errno } = tryBtfLoad({ btf: bytes })
    if (errno === EINVAL && linuxBefore(6, 15)) pending(this, 'kernels before Linux 6.15 do not take all of it')
    expect(errno).to.equal(0)
    let id: number
    try {
      id = btfInfo(fd).id
      const btf = Btf.fromId(id)
      expect([btf.objectId, btf.name, btf.base]).to.deep.equal([id, `BTF#${id}`, undefined])
      expect(Buffer.compare(btf.bytes, bytes)).to.equal(0)
      expect([...btf.types()]).to.deep.equal([...Btf.parse(bytes).types()])
    } finally {
      closeFd(fd)
    }
    return eventually(() => !mapIds('btf').includes(id), 'the BTF is gone').then(() => {
      const error = errorOf(() => Btf.fromId(id))
      expect(error).to.be.instanceOf(BtfError).with.property('code', 'ENOENT')
      expect(error.message).to.equal(`BTF#${id}: there is no BTF of that id (any more)`)
    })
  })

  it("may be the kernel's own, or a module's", function () {
    if (linuxBefore(5, 11)) pending(this, 'the kernel shows its own BTF from Linux 5.11 on')
    const objects = [...kernelObjects()]
    const vmlinux = objects.find(({ name }) => name === 'vmlinux')?.id as number
    expect(mapIds('btf')).to.include(vmlinux)
    const btf = Btf.fromId(vmlinux)
    expect([btf.name, btf.objectId, btf.size]).to.deep.equal(['vmlinux', vmlinux, Btf.kernel().size])
    expect(Buffer.compare(btf.bytes, readFileSync(KERNEL_BTF))).to.equal(0)
    expect(Buffer.compare(fromNamedObject('vmlinux')?.bytes as Uint8Array, btf.bytes)).to.equal(0)
    for (const { name, error } of Btf.modules()) {
      expect(error, name).to.equal(undefined)
      const id = objects.find((object) => object.name === name)?.id as number
      const [byId, byName] = [Btf.fromId(id), Btf.module(name)]
      expect([byId.name, byId.objectId, byId.base?.name]).to.deep.equal([name, id, 'vmlinux'])
      expect(Buffer.compare(byId.bytes, byName.bytes)).to.equal(0)
    }
    expect(fromNamedObject('no_such_module')).to.equal(undefined)
  })

  it('takes the place of sysfs where that is not mounted, for who may ask', function () {
    if (linuxBefore(5, 11)) pending(this, 'the kernel shows its own BTF from Linux 5.11 on')
    const told = inChild(
      ({ load }) => {
        const { Btf } = load<typeof import('../../lib/btf')>('lib/btf')
        const { kernelTypeId } = load<typeof import('../../lib/btf/kernel')>('lib/btf/kernel')
        const { setAbi, abi } = load<typeof import('../../syscalls/abi')>('syscalls/abi')
        const refusing = { ...abi(), syscall: () => -1 }
        const before = setAbi(refusing)
        const refused = [() => Btf.kernel(), () => Btf.module('nf_tables'), () => Btf.modules()].map((use) => {
          try {
            return use()
          } catch (error) {
            return `${error}`
          }
        })
        refused.push(`${kernelTypeId('struct', 'task_struct')}`)
        setAbi(before)
        const kernel = Btf.kernel()
        const modules = Btf.modules()
          .map(({ name, btf }) => [name, btf?.size])
          .sort()
        const same = kernel.require('task_struct', 'struct').id === kernelTypeId('struct', 'task_struct')
        console.log(JSON.stringify({ refused, size: kernel.size, modules, same }))
      },
      { prelude: NO_SYSFS },
    )
    expect(told.stderr).to.equal('')
    const { refused, ...found } = JSON.parse(told.stdout) as { refused: string[] }
    const modules = Btf.modules()
      .map(({ name, btf }) => [name, btf?.size])
      .sort()
    expect(found).to.deep.equal({ size: Btf.kernel().size, modules, same: true })
    expect(refused[0]).to.match(
      /^BtfError: vmlinux: the kernel does not describe its own types: Linux does from 5\.4 on/,
    )
    expect(refused[1]).to.equal('BtfError: nf_tables: no module of that name is loaded and has BTF')
    expect(refused[2]).to.match(/^KernelError: EPERM: BPF_BTF_GET_NEXT_ID/)
    expect(refused[3]).to.equal('undefined')
  })

  it('may vanish while it is looked for, or be refused', () => {
    const none = recorded(
      () => fromNamedObject('vmlinux'),
      ({ command }) => (command === BPF_BTF_GET_NEXT_ID ? -EPERM : undefined),
    )
    expect(none).to.equal(undefined)
    const other = errorOf(() =>
      recorded(
        () => fromNamedObject('vmlinux'),
        ({ command }) => (command === BPF_BTF_GET_NEXT_ID ? -12 : undefined),
      ),
    )
    expect(other).to.be.instanceOf(KernelError).with.property('code', 'ENOMEM')
    for (const id of [0, -1, 1.5, 2 ** 32, '1' as unknown as number]) {
      expect(() => Btf.fromId(id), `${id}`).to.throw(RangeError, `id must be that of BTF, not ${id}`)
    }
  })
})
