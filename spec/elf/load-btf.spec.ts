import { expect } from 'chai'
import * as kind from '../../lib/btf/format'
import { loadBtf } from '../../lib/elf/load-btf'
import { btfInfo, closeFd } from '../../syscalls'
import { Image } from '../btf/image'
import { requireRoot } from '../support/kernel'

describe('BTF of an object', () => {
  before(function () {
    requireRoot(this)
  })

  it('is loaded', () => {
    const image = new Image()
    image.add(kind.STRUCT, 'pair', 8, [], 0)
    const fd = loadBtf(image.bytes(), 'a struct')
    try {
      expect(btfInfo(fd).btf_size).to.equal(image.bytes().length)
    } finally {
      closeFd(fd)
    }
  })

  it('is refused in the words of the kernel, which names the type', () => {
    const image = new Image()
    image.add(kind.STRUCT, 'pair', 8, [], 0)
    // As GCC writes it for a struct without a name that only a pointer leads to.
    image.add(kind.FWD, '', 0)
    expect(() => loadBtf(image.bytes(), 'a declaration'))
      .to.throw(/^EINVAL: BPF_BTF_LOAD on a declaration: the kernel says of its types: \[2\] FWD .*Invalid name$/)
      .that.includes({ code: 'EINVAL', command: 'BPF_BTF_LOAD' })
  })

  it('is refused so also where it does not come to types', () => {
    const bytes = new Image().bytes()
    bytes[0] = 0
    expect(() => loadBtf(bytes, 'nothing')).to.throw(/on nothing: the kernel says of its types: Invalid magic$/)
  })
})
