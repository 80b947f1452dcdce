import { expect } from 'chai'
import { HashMap, HashOfMaps, u32 } from '../../lib'
import { type Abi, abi, setAbi } from '../../syscalls/abi'
import { NR } from '../../syscalls/numbers'
import { BPF_MAP_GET_FD_BY_ID } from '../../syscalls/uapi'
import { errorOf } from '../support/error'
import { requireRoot } from '../support/kernel'

const Inner = HashMap.spec({ key: u32, value: u32, maxEntries: 4 })

/** Runs something just before the kernel is asked to open an id: the moment in which an entry may be replaced. */
function beforeOpening(run: () => void) {
  const libc = abi()
  let busy = false
  const between: Abi = {
    ...libc,
    syscall(nr, a, ...rest) {
      if (nr === NR.bpf && a === BPF_MAP_GET_FD_BY_ID && !busy) {
        busy = true
        run()
        busy = false
      }
      return libc.syscall(nr, a, ...rest)
    },
  }
  setAbi(between)
  return { [Symbol.dispose]: () => void setAbi(libc) }
}

describe('an entry that is replaced between reading its id and opening it', () => {
  let outer: HashOfMaps<number, HashMap<number, number>>
  let other: HashOfMaps<number, HashMap<number, number>>

  beforeEach(function () {
    requireRoot(this)
    outer = HashOfMaps.create({ key: u32, maxEntries: 4, inner: Inner })
    outer.set(1, [[0, 1]])
    other = HashOfMaps.fromId(outer.id, { key: u32, inner: Inner })
  })
  afterEach(() => {
    outer.close()
    other.close()
  })

  it('is looked up again', () => {
    let times = 0
    using _ = beforeOpening(() => {
      if (++times <= 3) other.set(1, [[0, times + 1]])
    })
    expect(outer.use(1, (inner) => inner.get(0))).to.equal(4)
    expect(times).to.equal(4)
  })

  it('is absent where it was deleted', () => {
    using _ = beforeOpening(() => other.delete(1))
    expect(outer.open(1)).to.equal(undefined)
  })

  it('is given by inners() as it then is, or passed over', () => {
    {
      let times = 0
      using _ = beforeOpening(() => {
        if (++times === 1) other.set(1, [[0, 9]])
      })
      expect(outer.snapshot()).to.deep.equal(new Map([[1, new Map([[0, 9]])]]))
    }
    using _ = beforeOpening(() => other.delete(1))
    expect(outer.snapshot()).to.deep.equal(new Map())
  })

  it('ends with an error where that never stops', () => {
    let times = 0
    using _ = beforeOpening(() => {
      other.set(1, [[0, times++]])
    })
    const error = errorOf(() => outer.open(1))
    expect(error.message).to.match(/the entry 1 was replaced 64 times, each time between reading its id and opening it/)
    expect(times).to.equal(64)
  })
})
