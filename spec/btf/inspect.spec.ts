import { inspect } from 'node:util'
import { expect } from 'chai'
import { Btf } from '../../lib/btf'
import { everyKind, Image } from './image'

describe('BTF that is printed', () => {
  it('is its name and how many types it has', () => {
    const { size } = Btf.parse(everyKind().bytes())
    const btf = Btf.parse(everyKind().bytes(), { name: 'x.btf' })
    expect(inspect(btf)).to.equal(`Btf x.btf, ${size} types`)
    expect(String(btf)).to.equal(inspect(btf))
    expect(inspect({ btf })).to.equal(`{ btf: Btf x.btf, ${size} types }`)
  })

  it('has numbers that can be read', () => {
    for (const [count, text] of [
      [0, '0 types'],
      [1, '1 type'],
      [999, '999 types'],
      [1000, '1,000 types'],
      [126_610, '126,610 types'],
    ] as const) {
      const image = new Image()
      for (let i = 0; i < count; i++) image.ptr(0)
      expect(String(Btf.parse(image.bytes()))).to.equal(`Btf BTF, ${text}`)
    }
  })

  it('says what it goes on from', () => {
    const base = Btf.parse(everyKind().bytes(), { name: 'vmlinux' })
    const image = new Image({ base: { types: base.size, stringBytes: everyKind().stringBytes } })
    image.typedef('', 1)
    expect(inspect(Btf.parse(image.bytes(), { base, name: 'nf' }))).to.equal('Btf nf, 1 type behind those of vmlinux')
  })

  it('is printed whatever its types are, which are not looked at', () => {
    const image = new Image()
    image.ptr(4711)
    image.add(1, 999_999, 0, [0xffff_ffff])
    const btf = Btf.parse(image.bytes())
    expect(() => [...btf.types()]).to.throw()
    expect(inspect(btf)).to.equal('Btf BTF, 2 types')
  })
})
