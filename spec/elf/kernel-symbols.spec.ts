import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { KernelSymbols } from '../../lib/elf/kernel-symbols'
import { requireRoot } from '../support/kernel'

/** The addresses of each name, read line by line. */
function lines(): ReadonlyMap<string, ReadonlySet<bigint>> {
  const all = new Map<string, Set<bigint>>()
  for (const line of readFileSync('/proc/kallsyms', 'latin1').trimEnd().split('\n')) {
    const [address, , name = ''] = line.split(/[ \t]/)
    const before = all.get(name) ?? new Set()
    all.set(name, before.add(BigInt(`0x${address}`)))
  }
  return all
}

describe('symbols of the kernel', function () {
  this.timeout(300_000)

  before(function () {
    requireRoot(this)
  })

  it('are where the kernel says, few of them as well as many', () => {
    // Not those at 0, as what each CPU has of its own is in some kernels: all are where addresses are not told.
    const single = [...lines()].filter(([, all]) => all.size === 1 && !all.has(0n))
    const some = single.filter((_, i) => i % 5000 === 0).map(([name, [address]]) => [name, address] as const)
    expect(some.length).to.be.above(12)
    const all = new KernelSymbols()
    for (const [name, address] of some) {
      expect(all.address(name), name).to.equal(address)
      expect(all.address(name), name).to.equal(address)
    }
    const few = new KernelSymbols()
    for (const [name, address] of some.slice(-5)) expect(few.address(name), name).to.equal(address)
    expect(all.address('no_such_symbol')).to.equal(undefined)
    expect(few.address('no_such_symbol')).to.equal(undefined)
    // What only begins so is another.
    const [long = ''] = some.map(([name]) => name).filter((name) => name.length > 8)
    expect(all.address(long.slice(0, -1))).to.equal(few.address(long.slice(0, -1)))
  })

  it('that have a name in common are refused', () => {
    const [name = ''] = [...lines()].find(([, { size }]) => size > 1) ?? []
    expect(name).not.to.equal('')
    const all = new KernelSymbols()
    for (let times = 0; times < 15; times++) {
      expect(() => all.address(name)).to.throw(RangeError, /^the kernel has \d+ symbols called '.*': which is meant\?$/)
      all.address(`no_such_symbol_${times}`)
    }
  })
})
