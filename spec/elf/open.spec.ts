import { join, resolve } from 'node:path'
import { expect } from 'chai'
import { disassemble } from '../../lib'
import { BpfObject } from '../../lib/elf'
import { ElfError } from '../../lib/elf-file/error'
import { errorOf } from '../support/error'
import { recorded } from '../support/recording-abi'
import { bytesOf, fixture, needsFixtures, open } from './kit'

describe('BpfObject.open', () => {
  beforeEach(function () {
    needsFixtures(this)
  })

  it('makes no system call', () => {
    const bytes = bytesOf('values')
    recorded((recording) => {
      BpfObject.open(bytes)
      expect(recording.calls).to.deep.equal([])
    })
  })

  it('reads a file and its bytes alike', () => {
    const [one, other] = [open('maps'), BpfObject.open(bytesOf('maps'), { name: 'x' })]
    expect(other.path).to.equal('x')
    expect(one.path).to.equal(fixture('maps'))
    expect({ ...one.maps }).to.deep.equal({ ...other.maps })
    expect({ ...one.programs }).to.deep.equal({ ...other.programs })
  })

  it('tells license and version', () => {
    expect(open('functions')).to.include({ license: 'GPL', version: 0x60100 })
    expect(open('uid-syscalls')).to.include({ license: 'Dual MIT/GPL', version: 0 })
  })

  it('describes programs by their sections; static functions are none', () => {
    const { programs } = open('functions')
    expect(Object.keys(programs)).to.have.members(['sum', 'each', 'across', 'optional'])
    expect(programs.sum).to.deep.include({ section: 'xdp', type: 'xdp', expectedAttachType: 'xdp', autoload: true })
    expect(programs.across).to.deep.include({ section: 'tc', type: 'sched_cls', expectedAttachType: undefined })
    expect(programs.optional).to.deep.include({ section: '?xdp', type: 'xdp', autoload: false })
    expect(open('uid-syscalls').programs.uid_syscalls).to.include({
      kind: 'tracepoint',
      target: 'raw_syscalls/sys_enter',
      type: 'tracepoint',
    })
  })

  it('puts the functions that a program calls behind it, each once', () => {
    const { programs } = open('functions')
    const text = disassemble(programs.sum?.code as Uint8Array)
    expect(text.match(/^.*exit$/gm)).to.have.length(4)
    const targets = [...text.matchAll(/call .*/g)].map(([call]) => call)
    expect(targets).to.have.length(4)
    // Nothing of other programs: one callee of three instructions or so.
    expect(programs.across?.code.length).to.be.below(programs.sum?.code.length as number)
  })

  it('describes maps of BTF with all that they say', () => {
    const { maps } = open('maps')
    const of = (name: string) => {
      const { type, keySize, valueSize, maxEntries, flags } = maps[name] as NonNullable<(typeof maps)[string]>
      return [type, keySize, valueSize, maxEntries, flags]
    }
    expect(of('connections')).to.deep.equal(['HASH', 8, 8, 16, ['NO_PREALLOC']])
    expect(of('by_size')).to.deep.equal(['LRU_HASH', 6, 12, 8, []])
    expect(of('seen')).to.deep.equal(['BLOOM_FILTER', 0, 4, 100, []])
    expect(maps.seen?.mapExtra).to.equal(3n)
    expect(of('near_by')).to.deep.equal(['ARRAY', 4, 4, 1, []])
    expect(maps.near_by?.numaNode).to.equal(0)
    expect(of('stacks')).to.deep.equal(['STACK_TRACE', 4, 80, 8, []])
    expect(open('pinned').maps.pinned_array?.pinning).to.equal('by-name')
  })

  it('has, of variables of one name that were linked together, the one that all files see', () => {
    const { globals } = open('same')
    expect([globals.state?.value, globals.seen?.value]).to.deep.equal([-5, 0n])
    expect([globals.state?.codec.name, globals.seen?.codec.name]).to.deep.equal(['i32', 'u64'])
  })

  it('describes inner maps, and what the source puts into slots', () => {
    const { maps } = open('values')
    expect(maps.by_index?.inner).to.deep.include({ type: 'ARRAY', keySize: 4, valueSize: 4, maxEntries: 2 })
    expect(maps.by_index?.values).to.deep.equal(['first', undefined, 'second'])
    expect(maps.by_key?.values).to.deep.equal([undefined, 'second', undefined, 'first'])
    expect(maps.programs?.values).to.deep.equal(['five', undefined, 'six'])
    expect(maps.programs?.inner).to.equal(undefined)
    const devmaps = open('devmaps').maps
    expect(devmaps.outer_map?.values).to.deep.equal(['inner_map1', 'inner_map2'])
    expect(devmaps.outer_map?.inner).to.include({ type: 'DEVMAP', maxEntries: 10 })
  })

  it('describes maps of plain words: of libbpf before 1.0, and of iproute2', () => {
    const { maps, programs } = open('tutorial')
    expect(maps.outer_map).to.include({ type: 'HASH_OF_MAPS', keySize: 4, maxEntries: 8, inner: undefined })
    expect(maps.hits).to.include({ type: 'ARRAY', valueSize: 8, maxEntries: 2 })
    expect(programs.test_func).to.include({ kind: 'classifier', target: 'test_func', type: 'sched_cls' })
    const iproute2 = open('iproute2').maps
    expect(iproute2.map_outer?.inner).to.equal(iproute2.map_inner)
    expect(iproute2.map_outer?.values).to.deep.equal(['map_inner'])
  })

  it('describes variables by name, with what they begin with', () => {
    const { globals, maps } = open('globals')
    expect(globals.limit).to.include({ section: '.rodata', constant: true, size: 4, offset: 0 })
    const values = Object.entries(globals).map(([name, { value }]) => [name, value])
    expect(Object.fromEntries(values)).to.deep.include({
      ...{ limit: 5, sign: -3, greeting: 'hello', packets: 0n, bytes: 1000n, enabled: true, hidden: -7 },
      ...{ range: { from: 80, to: 443, hits: 0 }, mode: 'ON', before: [0, 0, 0], custom: 11, fixed: 12, zeros: 0 },
    })
    expect(globals.custom).to.include({ section: '.data.custom', constant: false })
    expect(globals.zeros).to.include({ section: '.bss.more', constant: false })
    expect(globals.hidden).to.include({ section: '.data', size: 4 })
    expect(maps['.rodata']).to.deep.include({ type: 'ARRAY', maxEntries: 1, flags: ['RDONLY_PROG', 'MMAPABLE'] })
  })

  it('refuses what is no object for BPF, and says why', () => {
    const refused = (change: (bytes: Uint8Array, view: DataView) => void) => {
      const bytes = bytesOf('maps')
      change(bytes, new DataView(bytes.buffer))
      return errorOf(() => BpfObject.open(bytes)).message
    }
    expect(refused((bytes) => bytes.fill(0, 0, 4))).to.match(/no ELF file/)
    expect(refused((_, view) => view.setUint16(16, 2, true))).to.match(/no object file: its type is 2/)
    expect(refused((_, view) => view.setUint16(18, 62, true))).to.match(/no object for BPF: its machine is 62/)
    expect(errorOf(() => BpfObject.open('/dev/null'))).to.be.instanceOf(ElfError)
    expect(errorOf(() => BpfObject.open(7 as never))).to.be.instanceOf(TypeError)
    const slip = errorOf(() => BpfObject.open(new Uint8Array(), { nmae: 'x' } as never))
    expect(slip.message).to.equal("no option is called 'nmae': did you mean 'name'?")
    expect(errorOf(() => BpfObject.open(new Uint8Array(0))).message).to.match(/begins with nothing/)
  })

  it('says how source is compiled, and where a file was looked for', () => {
    const source = join(__dirname, '../fixtures/maps.bpf.c')
    const error = errorOf(() => BpfObject.open(source))
    expect(error).to.be.instanceOf(ElfError)
    expect(error.message).to.include(': it is source, which  clang -O2 -g -target bpf ')
    expect(error.message).to.include(` -c ${source} -o ${source.replace(/c$/, 'o')}  compiles`)

    const missing = errorOf(() => BpfObject.open('no/such.bpf.o'))
    expect(missing).to.include({ code: 'ENOENT', syscall: 'open', path: 'no/such.bpf.o' })
    const message = `ENOENT: no such file or directory, open 'no/such.bpf.o': there is no ${resolve('no/such.bpf.o')}`
    expect(missing.message).to.equal(message)
    expect(missing.stack).to.include(message)
    expect(errorOf(() => BpfObject.open('/no/such.bpf.o')).message).to.match(/open '\/no\/such.bpf.o'$/)
  })
})
