import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { features } from '../../lib/features'
import { abi } from '../../syscalls/abi'
import { mapCreate } from '../../syscalls/bpf'
import { KernelError } from '../../syscalls/errno'
import { closeFd } from '../../syscalls/fd'
import { memlockLimit } from '../../syscalls/memlock'
import { NR } from '../../syscalls/numbers'
import { hasCapability } from '../../syscalls/privilege'
import * as uapi from '../../syscalls/uapi'
import { inChild } from '../support/child'
import { pending, requireRoot } from '../support/kernel'
import { recorded } from '../support/recording-abi'
import { runInChild } from '../support/run'

/** What /proc says of the limit: soft and hard, as text. */
function inProc(): string[] {
  const line = /^Max locked memory\s+(\S+)\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))
  return [line?.[1] ?? '', line?.[2] ?? '']
}

const HASH = { map_type: uapi.BPF_MAP_TYPE_HASH, key_size: 4, value_size: 4, max_entries: 1 }

/** What a child did with a limit of 64 KiB that it may raise to 1 MiB, or further with CAP_SYS_RESOURCE. */
interface Done {
  readonly code: string
  readonly message: string
  readonly tries: number
  readonly limit: readonly string[]
  readonly again: readonly string[]
}

/**
 * In a process of its own: sets the limit, and makes a map in a kernel that refuses so many times. `raise` is whether
 * that kernel lets the limit be raised to infinity.
 */
function refusing(times: number, raise: boolean, hard = 1 << 20): Done {
  const result = inChild(
    ({ load, input }) => {
      const { times, raise, hard } = input as { times: number; raise: boolean; hard: number }
      // The words about the limit are for kernels that count.
      require('node:os').release = () => '5.10.0'
      const { abi } = load<typeof import('../../syscalls/abi')>('syscalls/abi')
      const { mapCreate } = load<typeof import('../../syscalls/bpf')>('syscalls/bpf')
      const { NR } = load<typeof import('../../syscalls/numbers')>('syscalls/numbers')
      const { recorded } = load<typeof import('../support/recording-abi')>('spec/support/recording-abi')
      const proc = () =>
        /locked memory\s+(\S+)\s+(\S+)/
          .exec(require('node:fs').readFileSync('/proc/self/limits', 'latin1'))
          ?.slice(1, 3)
      const limit = new BigUint64Array([65536n, BigInt(hard)])
      const set = abi().syscall(NR.prlimit64, 0, 8, abi().addressOf(limit.buffer), 0)
      if (set !== 0) throw new Error(`prlimit64: ${set}`)
      let left = times
      const done = { code: '', message: '', tries: 0, limit: [] as unknown, again: [] as unknown }
      recorded(
        (recording) => {
          try {
            mapCreate({ map_type: 1, key_size: 4, value_size: 4, max_entries: 1 })
          } catch (error) {
            done.code = (error as { code: string }).code
            done.message = (error as Error).message
          }
          done.tries = recording.bpf(0).length
          done.limit = proc()
          left = 0
          mapCreate({ map_type: 1, key_size: 4, value_size: 4, max_entries: 1 })
          done.again = proc()
        },
        (call, recording) => {
          if (call.command === 0 && left-- > 0) return -1
          if (call.nr !== NR.prlimit64 || call.args[2] === 0 || raise) return undefined
          const soft = new DataView(recording.bytesAt(call.args[2] ?? 0, 8).slice().buffer).getBigUint64(0, true)
          return soft === 2n ** 64n - 1n ? -1 : undefined
        },
      )
      console.log(JSON.stringify(done))
    },
    { input: { times, raise, hard } },
  )
  if (result.status !== 0) throw new Error(result.stderr)
  return JSON.parse(result.stdout) as Done
}

describe('RLIMIT_MEMLOCK', () => {
  before(function () {
    requireRoot(this)
  })

  it('is read as /proc has it', () => {
    const limit = memlockLimit()
    const shown = (bytes = 0n) => (bytes === 2n ** 64n - 1n ? 'unlimited' : `${bytes}`)
    expect([shown(limit?.soft), shown(limit?.hard)]).to.deep.equal(inProc())
  })

  it('is not looked at where nothing is refused, nor where it is for another reason', () => {
    recorded((recording) => {
      closeFd(mapCreate(HASH))
      expect(() => mapCreate({ ...HASH, max_entries: 0 })).to.throw(KernelError, /EINVAL/)
      expect(recording.calls.filter(({ nr }) => nr === NR.prlimit64)).to.have.length(0)
    })
  })

  it('is raised as far as it may be where the kernel says EPERM, and the call is made once more', () => {
    const { code, tries, limit, again } = refusing(1, false)
    expect([code, tries]).to.deep.equal(['', 2])
    expect(limit).to.deep.equal([`${1 << 20}`, `${1 << 20}`])
    expect(again, 'it stays so').to.deep.equal(limit)
  })

  it('is raised to infinity by who may', function () {
    if (hasCapability('CAP_SYS_RESOURCE') !== true) return pending(this, 'without CAP_SYS_RESOURCE nobody may')
    const { code, tries, limit } = refusing(1, true)
    expect([code, tries, limit]).to.deep.equal(['', 2, ['unlimited', 'unlimited']])
  })

  it('is put back where that did not help, and mentioned', () => {
    const { code, message, tries, limit } = refusing(2, false)
    expect([code, tries]).to.deep.equal(['EPERM', 2])
    expect(limit).to.deep.equal(['65536', `${1 << 20}`])
    expect(message).to.match(/RLIMIT_MEMLOCK \(`ulimit -l`: 1 MiB\) is too low .* CAP_SYS_RESOURCE; or needs CAP_BPF/)
  })

  it('is put back and not mentioned where infinity did not help', function () {
    if (hasCapability('CAP_SYS_RESOURCE') !== true) return pending(this, 'without CAP_SYS_RESOURCE nobody may')
    const { code, message, limit } = refusing(2, true)
    expect(code).to.equal('EPERM')
    expect(limit).to.deep.equal(['65536', `${1 << 20}`])
    expect(message).not.to.match(/MEMLOCK/)
  })

  it('that cannot be raised is said so, and nothing is tried again', () => {
    const { code, message, tries, limit } = refusing(1, false, 65536)
    expect([code, tries]).to.deep.equal(['EPERM', 1])
    expect(limit).to.deep.equal(['65536', '65536'])
    expect(message).to.match(/RLIMIT_MEMLOCK \(`ulimit -l`: 64 KiB\) is too low/)
  })

  it('is not mentioned by kernels that do not count', () => {
    if (features.memlock !== false) return
    recorded(
      () => expect(() => mapCreate(HASH)).to.throw(KernelError, /^EPERM: BPF_MAP_CREATE: needs CAP_BPF/),
      ({ command, nr }) => (command === uapi.BPF_MAP_CREATE || nr === NR.prlimit64 ? -1 : undefined),
    )
    expect(abi()).to.be.an('object')
  })

  it('of 64 KiB is enough for many maps, on a kernel that counts', async function () {
    if (features.memlock !== true) return pending(this, features.explain('memlock'))
    if (hasCapability('CAP_SYS_RESOURCE') !== true) return pending(this, 'without CAP_SYS_RESOURCE nobody may raise it')
    const { stdout, stderr } = await runInChild(`
      const { ArrayMap, u64 } = require('./lib')
      const { abi } = require('./syscalls')
      const limit = new BigUint64Array([65536n, 65536n])
      abi().syscall(${NR.prlimit64}, 0, 8, abi().addressOf(limit.buffer), 0)
      const maps = Array.from({ length: 100 }, () => ArrayMap.create({ value: u64, maxEntries: 1000 }))
      console.log(maps.length, /locked memory\\s+(\\S+)/.exec(require('fs').readFileSync('/proc/self/limits', 'latin1'))[1])`)
    expect(stderr).to.match(/^(|.*collected open.*)$/s)
    expect(stdout).to.equal('100 unlimited\n')
  })
})
