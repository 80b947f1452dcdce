import { execFileSync } from 'node:child_process'
import { expect } from 'chai'
import { KernelSymbols } from '../../lib/elf/kernel-symbols'
import { requireRoot } from '../support/kernel'

/** As awk reads the same file: names that are there once, of which some are in modules where there are any. */
function symbols(): (readonly [name: string, address: bigint])[] {
  const script = '{ n[$3]++; a[$3] = $1 } END { for (s in n) if (n[s] == 1 && ++c % 5000 == 0) print s, a[s] }'
  const text = execFileSync('awk', [script, '/proc/kallsyms'], { encoding: 'latin1' })
  return text
    .trim()
    .split('\n')
    .map((line) => line.split(' ') as [string, string])
    .map(([name, address]) => [name, BigInt(`0x${address}`)] as const)
}

describe('symbols of the kernel', function () {
  this.timeout(60_000)

  before(function () {
    requireRoot(this)
  })

  it('are where the kernel says, few of them as well as many', () => {
    const some = symbols()
    expect(some.length).to.be.above(12)
    const all = new KernelSymbols()
    for (const [name, address] of some) {
      expect(all.address(name), name).to.equal(address)
      expect(all.address(name), name).to.equal(address)
      expect(new KernelSymbols().address(name), name).to.equal(address)
    }
    expect(all.address('no_such_symbol')).to.equal(undefined)
    expect(new KernelSymbols().address('no_such_symbol')).to.equal(undefined)
    // What only begins so is another.
    const [long = ''] = some.map(([name]) => name).filter((name) => name.length > 8)
    expect(all.address(long.slice(0, -1))).to.equal(new KernelSymbols().address(long.slice(0, -1)))
  })

  it('that have a name in common are refused', () => {
    const script = '{ if (++n[$3] == 2 && a[$3] != $1) { print $3; exit } a[$3] = $1 }'
    const name = execFileSync('awk', [script, '/proc/kallsyms'], { encoding: 'latin1' }).trim()
    expect(name).not.to.equal('')
    const all = new KernelSymbols()
    for (let times = 0; times < 15; times++) {
      expect(() => all.address(name)).to.throw(RangeError, /^the kernel has \d+ symbols called '.*': which is meant\?$/)
      all.address(`no_such_symbol_${times}`)
    }
  })
})
