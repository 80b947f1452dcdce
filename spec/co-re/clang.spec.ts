import { expect } from 'chai'
import { relocator } from '../../lib/co-re'
import { answerAt, type CompiledObject, compiledObject, expectationsOf, fixturePath, needsFixtures } from './kit'

/** How many bytes loads and stores have afterwards; 8 in the others. */
const WIDTHS: Readonly<Record<string, number>> = {
  ...{
    load_first: 4,
    load_deep: 4,
    load_shrinks: 4,
    load_byte_grows: 4,
    load_same: 4,
    load_element: 1,
    store_first: 4,
  },
}

describe('relocations that clang makes', () => {
  let local: CompiledObject
  let target: CompiledObject
  let expected: Map<string, bigint | undefined>

  before(function () {
    needsFixtures(this)
    local = compiledObject(fixturePath('local.bpf.o'))
    target = compiledObject(fixturePath('target.o'))
    expected = expectationsOf(target)
  })

  it('each program becomes what clang itself says of the types of the target', () => {
    const apply = relocator(local.btf, [target.btf])
    const seen = new Set<string>()
    for (const { section, records } of local.relocations) {
      const name = section.replace('is/', '')
      if (!expected.has(name)) continue
      seen.add(name)
      expect(records, name).to.have.length(1)
      const [relocation = { offset: -1 }] = records
      const before = local.sections.get(section) as Buffer
      const { insns, poisoned } = apply(before, records)
      const after = Buffer.from(insns)
      const wanted = expected.get(name)
      if (wanted === undefined) {
        expect(poisoned, name).to.have.length(1)
        expect(poisoned[0]?.slot, name).to.equal(relocation.offset / 8)
        const slots = before[relocation.offset] === 0x18 ? 2 : 1
        const poison = Buffer.from('850000001023ad0b', 'hex')
        for (let i = 0; i < slots; i++) {
          const from = relocation.offset + i * 8
          expect(after.subarray(from, from + 8), name).to.deep.equal(poison)
        }
        continue
      }
      expect(poisoned, name).to.deep.equal([])
      const { value, width } = answerAt(after, relocation.offset)
      expect(value, name).to.equal(wanted)
      if (width !== undefined) expect(width, name).to.equal(WIDTHS[name] ?? 8)
    }
    expect([...seen].sort()).to.deep.equal([...expected.keys()].sort())
  })
})
