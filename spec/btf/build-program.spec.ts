import { execFileSync } from 'node:child_process'
import { expect } from 'chai'
import { bpf, HashMap, Program, u32, VerifierError } from '../../lib'
import { Btf } from '../../lib/btf'
import { programTypes } from '../../lib/btf/build/program'
import { requireRoot } from '../support/kernel'
import { requireBpftool } from './bpftool'

const helper = bpf`
  add: r0 = r1
       r0 += r2      // the sum
       exit
`

describe('BTF of programs, made of their source', () => {
  before(function () {
    requireRoot(this)
    requireBpftool(this)
  })

  const dump = (id: number) =>
    execFileSync('bpftool', ['prog', 'dump', 'xlated', 'id', `${id}`, 'linum'], { encoding: 'utf8' })

  it('lets bpftool show the lines and functions of the template', () => {
    const code = bpf`
      r1 = 1
      r2 = 2
      call ${helper}
      exit
    `
    using program = Program.load({ type: 'socket_filter', name: 'sum', code, logLevel: 1 })
    const text = dump(program.id)
    expect(text).to.match(/int sum\(void \*\s?ctx\)/)
    expect(text).to.match(/int add\((void)?\)/)
    expect(text).to.match(/; r0 \+= r2 {6}\/\/ the sum \[file:bpf line_num:3 line_col:8\]/)
    expect(text).to.match(/; r1 = 1 \[file:bpf line_num:2 line_col:7\]/)
  })

  it('is left out where there is no log: it would cost as much as a small program', () => {
    using program = Program.load({
      type: 'socket_filter',
      code: bpf`r0 = 0
      exit`,
    })
    expect(dump(program.id)).to.not.include('file:bpf')
  })

  it('shows a refusal with the lines of its source, of functions too', () => {
    using map = HashMap.create({ key: u32, value: u32, maxEntries: 1 })
    const wrong = bpf`
      bad: r1 = ${map} ll   // the map
           r0 = *(u64 *)(r3 + 0)
           exit
    `
    const code = bpf`
      call ${wrong}
      exit
    `
    try {
      Program.load({ type: 'socket_filter', code }).close()
      expect.fail('it was loaded')
    } catch (error) {
      if (!(error instanceof VerifierError)) throw error
      expect(error.log).to.match(/; r0 = \*\(u64 \*\)\(r3 \+ 0\)/)
      expect(error.message).to.match(/R3 !read_ok/)
      expect(error.instruction?.source).to.deep.include({ line: 3, text: 'r0 = *(u64 *)(r3 + 0)' })
    }
  })

  it('tells functions and lines as they are, and none where a function begins with no known line', () => {
    const line = (slot: number, text = 'exit') => ({ slot, line: 5_000_000, column: 2000, text })
    const types = programTypes({ functions: [{ name: 'a-b', offset: 0 }], lines: [line(0, `x${'y'.repeat(500)}`)] })
    if (types === undefined) throw new Error('none')
    const btf = Btf.parse(types.bytes)
    expect(btf.find('function_0', 'func')).to.have.property('linkage', 'static')
    const words = new Uint32Array(types.lines.buffer)
    expect(words[3]).to.equal(0xffff_ffff)
    expect(btf.string(words[2] as number)).to.have.length(200)
    expect(programTypes({ functions: [{ name: 'a', offset: 1 }], lines: [line(0)] })).to.equal(undefined)
    expect(programTypes({ functions: [], lines: [] })).to.equal(undefined)
  })
})
