import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { Btf, BtfError, type BtfStruct, type BtfUnion } from '../../lib/btf'
import * as kind from '../../lib/btf/format'
import { KERNEL_BTF } from '../../lib/btf/kernel'
import { errorOf } from '../support/error'
import { requireFeature } from '../support/kernel'
import { requireBpftool } from './bpftool'
import { compile, requireClang, sectionOf } from './compile'
import { withFolder } from './folder'
import { Image } from './image'

describe('sizes and alignments', function () {
  this.timeout(120_000)

  it("are those of clang, for all structs and unions of the kernel's", function () {
    requireFeature(this, 'kernelBtf')
    requireBpftool(this)
    requireClang(this)
    const btf = Btf.kernel()
    const types = [...btf.types('struct'), ...btf.types('union')].filter((type) => isSayable(btf, type))
    const words = withFolder((folder) => {
      const header = execFileSync('bpftool', ['btf', 'dump', 'file', KERNEL_BTF, 'format', 'c'], { maxBuffer: 1 << 28 })
      writeFileSync(join(folder, 'vmlinux.h'), header)
      const asked = types.map(({ kind, name }) => `sizeof(${kind} ${name}), _Alignof(${kind} ${name}),`)
      const source = `#include "vmlinux.h"\nunsigned int asked[] __attribute__((section("asked"))) = {\n${asked.join('\n')}\n};\n`
      const section = sectionOf(compile(source, folder), 'asked')
      return new Uint32Array(section.buffer.slice(section.byteOffset, section.byteOffset + section.length))
    })
    const wrong: string[] = []
    types.forEach(({ id, name }, i) => {
      const [mine, its] = [
        [btf.sizeOf(id), btf.alignOf(id)],
        [words[2 * i], words[2 * i + 1]],
      ]
      if (`${mine}` !== `${its}`) wrong.push(`${name} (type ${id}): size and alignment are ${its}, not ${mine}`)
    })
    expect(wrong).to.deep.equal([])
    expect(types.length).to.be.above(1000)
    if (this.test !== undefined) this.test.title += ` (${types.length})`
  })
})

/** Of several of one name, bpftool renames all but the first, and leaves out what came from elsewhere. */
function isSayable(btf: Btf, { id, name, kind }: BtfStruct | BtfUnion): boolean {
  return name !== '' && btf.findAll(name, kind)[0]?.id === id
}
