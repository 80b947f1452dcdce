import { expect } from 'chai'
import {
  closeFd,
  ElementCalls,
  KernelError,
  mapAnonymous,
  mapCreate,
  mapFile,
  mapFreeze,
  PROT_READ,
  PROT_WRITE,
} from '../../syscalls'
import { LE } from '../../syscalls/attr-common'
import * as uapi from '../../syscalls/uapi'
import { inChild } from '../support/child'
import { needs, requireRoot } from '../support/kernel'
import { recorded } from '../support/recording-abi'

type Syscalls = typeof import('../../syscalls')

const PAGE = 4096
const subject = { description: 'the array' }

/** Runs in another process, where a touch of unmapped memory does no harm; gives what it printed. */
function printed(run: Parameters<typeof inChild>[0]): string[] {
  const { stdout, stderr, status, signal } = inChild(run)
  if (status !== 0) throw new Error(`the child ended with ${signal ?? status}: ${stderr}`)
  return stdout.split('\n').filter(Boolean)
}

function codeOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    if (error instanceof KernelError) return `${error.syscall} ${error.code}`
    throw error
  }
  return 'no error'
}

describe('mapped memory', () => {
  /** An array map of 4 u64, and its fd for as long as `use` takes. */
  function withArray(use: (fd: number) => void): void {
    const map_flags = uapi.BPF_F_MMAPABLE
    const fd = mapCreate({ map_type: uapi.BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: 8, max_entries: 4, map_flags })
    try {
      use(fd)
    } finally {
      closeFd(fd)
    }
  }

  it('is the memory of the map: what one side writes the other reads', function () {
    requireRoot(this)
    withArray((fd) => {
      using region = mapFile(fd, PAGE, PROT_READ | PROT_WRITE)
      const view = new DataView(region.buffer)
      const calls = new ElementCalls(fd, 4, 8, subject)
      calls.view.setUint32(calls.keyAt, 2, LE)
      calls.view.setBigUint64(calls.valueAt, 123n, LE)
      calls.update(uapi.BPF_ANY)
      expect(view.getBigUint64(16, LE)).to.equal(123n)
      view.setBigUint64(16, 456n, LE)
      expect(calls.lookup(0)).to.equal(true)
      expect(calls.view.getBigUint64(calls.valueAt, LE)).to.equal(456n)
      expect(region.buffer.byteLength).to.equal(PAGE)
    })
  })

  it('reads zero after close, and swallows what is written', function () {
    requireRoot(this)
    withArray((fd) => {
      const region = mapFile(fd, PAGE, PROT_READ | PROT_WRITE)
      const view = new DataView(region.buffer)
      view.setBigUint64(0, 7n, LE)
      expect(region.closed).to.equal(false)
      region.close()
      region.close()
      expect(region.closed).to.equal(true)
      expect(view.getBigUint64(0, LE)).to.equal(0n)
      view.setBigUint64(0, 9n, LE)
      const calls = new ElementCalls(fd, 4, 8, subject)
      // Its memory may be that of calls before.
      calls.view.setUint32(calls.keyAt, 0, LE)
      expect(calls.lookup(0)).to.equal(true)
      expect(calls.view.getBigUint64(calls.valueAt, LE), 'the map keeps what it had').to.equal(7n)
    })
  })

  it('lets go of the map with close', function () {
    requireRoot(this)
    withArray((fd) => {
      const region = mapFile(fd, PAGE, PROT_READ | PROT_WRITE)
      // The kernel does not freeze a map that is mapped writable.
      expect(codeOf(() => mapFreeze(fd))).to.equal('bpf EBUSY')
      region.close()
      expect(codeOf(() => mapFreeze(fd))).to.equal('no error')
      expect(codeOf(() => mapFile(fd, PAGE, PROT_READ | PROT_WRITE))).to.equal('mmap EPERM')
    })
  })

  it('fails with an errno, not with an address', function () {
    requireRoot(this)
    expect(codeOf(() => mapFile(1_000_000, PAGE, PROT_READ))).to.equal('mmap EBADF')
    const fd = mapCreate({ map_type: uapi.BPF_MAP_TYPE_HASH, key_size: 4, value_size: 8, max_entries: 4 })
    try {
      expect(codeOf(() => mapFile(fd, PAGE, PROT_READ))).to.equal('mmap ENOTSUPP')
    } finally {
      closeFd(fd)
    }
  })

  it('checks lengths, offsets and fds before the call', () => {
    recorded((recording) => {
      for (const bad of [0, -1, 1.5, Number.NaN, 2 ** 53]) {
        expect(() => mapAnonymous(bad), String(bad)).to.throw(RangeError)
        expect(() => mapFile(5, bad, PROT_READ), String(bad)).to.throw(RangeError)
      }
      for (const bad of [-PAGE, 1, 1.5, Number.NaN]) {
        expect(() => mapFile(5, PAGE, PROT_READ, bad), `offset ${bad}`).to.throw(RangeError)
      }
      for (const bad of [0, -1, 1.5, Number.NaN, 2 ** 32 + 5]) {
        expect(() => mapFile(bad, PAGE, PROT_READ), `fd ${bad}`).to.throw(RangeError)
      }
      expect(recording.calls).to.have.lengthOf(0)
    })
  })

  it('is unmapped where no view of it can be had', () => {
    recorded((recording) => {
      recording.abi.viewOf = () => {
        throw new Error('no view')
      }
      expect(() => mapAnonymous(PAGE)).to.throw('no view')
      const [map, unmap] = recording.calls
      expect(unmap?.args.slice(0, 2)).to.deep.equal([map?.result, PAGE])
      expect(unmap?.result).to.equal(0)
    })
  })

  it('survives stale views, in optimised code too', function () {
    needs(this, process.platform === 'linux', 'Linux')
    const lines = printed(({ load }) => {
      const { mapAnonymous } = load<Syscalls>('syscalls')
      const region = mapAnonymous(1 << 16)
      const bytes = new Uint8Array(region.buffer).fill(255)
      const sum = () => {
        let total = 0
        for (let i = 0; i < bytes.length; i++) total += bytes[i] ?? 0
        return total
      }
      for (let i = 0; i < 200; i++) sum()
      const before = sum()
      region.close()
      const after = sum()
      bytes.fill(1)
      console.log(before, after)
    })
    expect(lines).to.deep.equal([`${255 * 65536} 0`])
  })

  it('gives its addresses back when the last view is collected, and not before', function () {
    needs(this, process.platform === 'linux', 'Linux')
    const lines = printed(({ load }) => {
      const { abi, mapAnonymous } = load<Syscalls>('syscalls')
      const { readFileSync } = require('node:fs') as typeof import('node:fs')
      const isMapped = (address: number) =>
        readFileSync('/proc/self/maps', 'latin1')
          .split('\n')
          .some((line) => {
            const [from = 0, to = 0] = (line.split(' ')[0] ?? '').split('-').map((hex) => Number.parseInt(hex, 16))
            return from <= address && address < to
          })
      const turn = () => new Promise((resolve) => setTimeout(resolve, 5))
      // Large enough that nothing else is put in its place unseen, and touched, so that it is there.
      const open = (): { address: number; view: Uint8Array | undefined } => {
        const region = mapAnonymous(1 << 24)
        const view = new Uint8Array(region.buffer)
        view[0] = 1
        const address = abi().addressOf(region.buffer)
        region.close()
        return { address, view }
      }
      const main = async () => {
        const held = open()
        for (let i = 0; i < 3; i++) {
          globalThis.gc?.()
          await turn()
        }
        console.log('with a view:', isMapped(held.address), held.view?.[0])
        held.view = undefined
        for (let i = 0; i < 100 && isMapped(held.address); i++) {
          globalThis.gc?.()
          await turn()
        }
        console.log('without:', isMapped(held.address))
      }
      void main()
    })
    expect(lines).to.deep.equal(['with a view: true 0', 'without: false'])
  })

  it('is not counted twice: many regions leave nothing behind', function () {
    needs(this, process.platform === 'linux', 'Linux')
    const lines = printed(({ load }) => {
      const { mapAnonymous } = load<Syscalls>('syscalls')
      const { readFileSync } = require('node:fs') as typeof import('node:fs')
      const size = () => Number(/VmSize:\s*(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]) / 1024
      const main = async () => {
        const before = size()
        // 16 GiB of addresses in all.
        for (let i = 0; i < 8; i++) {
          for (let j = 0; j < 8; j++) mapAnonymous(1 << 28).close()
          globalThis.gc?.()
          await new Promise((resolve) => setTimeout(resolve, 1))
        }
        for (let i = 0; i < 100 && size() - before >= 2048; i++) {
          globalThis.gc?.()
          await new Promise((resolve) => setTimeout(resolve, 1))
        }
        console.log(size() - before < 2048)
      }
      void main()
    })
    expect(lines).to.deep.equal(['true'])
  })
})
