import { readlinkSync } from 'node:fs'
import { expect } from 'chai'
import { ClosedError, HashMap, KernelError, u32 } from '../../lib'
import { Handle } from '../../lib/handle/handle'
import { closeFd, duplicateFd } from '../../syscalls/fd'
import { openFds } from '../map/kit'
import { inChild } from '../support/child'
import { requireRoot } from '../support/kernel'

/** What an fd is, by /proc: undefined where it is not open. */
function whatIs(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return undefined
  }
}

describe('Handle', () => {
  let map: HashMap<number, number>

  before(function () {
    requireRoot(this)
  })
  beforeEach(() => {
    map = HashMap.create({ name: 'ports', key: u32, value: u32, maxEntries: 2 })
  })
  afterEach(() => map.close())

  const MAP = 'anon_inode:bpf-map'

  it('owns an fd until it is closed, once', () => {
    const handle = new Handle(duplicateFd(map.fd), "HashMap 'ports'")
    const { fd } = handle
    expect([handle.closed, whatIs(fd)]).to.deep.equal([false, MAP])
    handle.close()
    expect([handle.closed, whatIs(fd)]).to.deep.equal([true, undefined])
    expect(() => handle.fd).to.throw(ClosedError, "HashMap 'ports' is closed")
    expect(new ClosedError('x')).to.include({ name: 'ClosedError', code: 'ERR_EBPF_CLOSED' })
    // The number may be somebody else's by now.
    const heir = duplicateFd(map.fd)
    expect(heir).to.equal(fd)
    handle.close()
    handle[Symbol.dispose]()
    expect(whatIs(heir)).to.equal(MAP)
    closeFd(heir)
  })

  it('is closed at the end of a block, also one that throws', () => {
    let fd = -1
    expect(() => {
      using handle = new Handle(duplicateFd(map.fd), 'a map')
      fd = handle.fd
      throw new Error('mine')
    }).to.throw('mine')
    expect(whatIs(fd)).to.equal(undefined)
  })

  it('has duplicates with an end of their own', () => {
    const one = new Handle(duplicateFd(map.fd), 'a map')
    const two = one.duplicate()
    one.close()
    expect(whatIs(two.fd)).to.equal(MAP)
    two.close()
    expect(() => two.duplicate()).to.throw(ClosedError)
  })

  it('keeps its fd open for those that have a lease', () => {
    const handle = new Handle(duplicateFd(map.fd), 'a map')
    const [one, two] = [handle.retain(), handle.retain()]
    const { fd } = one
    handle.close()
    expect(() => handle.fd).to.throw(ClosedError)
    expect(() => handle.retain()).to.throw(ClosedError)
    one.release()
    one.release()
    expect(whatIs(fd)).to.equal(MAP)
    two.release()
    expect(whatIs(fd)).to.equal(undefined)
  })

  it('lets an fd go that stays open', () => {
    const handle = new Handle(duplicateFd(map.fd), 'a map')
    const fd = handle.disown()
    expect([handle.closed, whatIs(fd)]).to.deep.equal([true, MAP])
    expect(() => handle.disown()).to.throw(ClosedError)
    handle.close()
    expect(whatIs(fd)).to.equal(MAP)
    closeFd(fd)
  })

  it('says so where somebody else has closed its fd', () => {
    const handle = new Handle(duplicateFd(map.fd), 'a map')
    closeFd(handle.fd)
    expect(() => handle.close()).to.throw(KernelError, /EBADF/)
    expect(handle.closed).to.equal(true)
    handle.close()
  })

  it('is not left behind by what fails', () => {
    const fds = openFds()
    const wrongs = [
      () => HashMap.fromId(map.id, { key: u32, value: { ...u32, size: 8 } }),
      () => HashMap.create({ key: u32, value: u32, maxEntries: 0 }),
      () => HashMap.fromPin('/nowhere', { key: u32, value: u32 }),
    ]
    for (const wrong of wrongs) expect(wrong).to.throw()
    expect(openFds()).to.equal(fds)
  })
})

describe('a handle that nobody closes', function () {
  this.timeout(300_000)

  before(function () {
    requireRoot(this)
  })

  /** A process that loses handles: what it said, and the warnings that it got. */
  function lose(env: Record<string, string> = {}) {
    const child = inChild(
      ({ load }) => {
        const { HashMap: Table, u32: word } = load('lib') as typeof import('../../lib')
        const { readdirSync, readlinkSync } = require('node:fs') as typeof import('node:fs')
        const isMap = (fd: string) => {
          try {
            return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:bpf-map'
          } catch {
            return false // The fd by which the folder itself was read.
          }
        }
        const openMaps = () => readdirSync('/proc/self/fd').filter(isMap).length
        const spec = Table.spec({ name: 'lost', key: word, value: word, maxEntries: 2 })
        const warnings: { name: string; code?: string; message: string }[] = []
        process.on('warning', (warning) => {
          const { name, message } = warning
          warnings.push({ name, message, code: (warning as { code?: string }).code as string })
        })
        spec.create().close()
        function loseThem() {
          const map = spec.create()
          map.set(1, 1)
          const closed = spec.create()
          closed.close()
          for (const _ of spec.fromId(map.id)) break
          const kept = spec.create()
          ;(globalThis as { kept?: unknown }).kept = kept
        }
        loseThem()
        let rounds = 0
        const look = () => {
          ;(globalThis as { gc?: () => void }).gc?.()
          const open = openMaps()
          // Some more turns, for warnings that should not come.
          if (open > 1 ? rounds++ < 200 : rounds++ < 20) setTimeout(look, 2)
          else console.log(JSON.stringify({ warnings, open }))
        }
        setTimeout(look, 2)
      },
      { env, built: true },
    )
    expect(child.status, child.stderr).to.equal(0)
    return JSON.parse(child.stdout) as { warnings: { name: string; code: string; message: string }[]; open: number }
  }

  it('is closed when it is collected, with one warning each', () => {
    const { warnings, open } = lose()
    // The one that is still referred to.
    expect(open).to.equal(1)
    expect(warnings).to.have.length(2)
    for (const { name, code, message } of warnings) {
      expect([name, code]).to.deep.equal(['EbpfLeakWarning', 'EBPF_LEAK'])
      expect(message).to.match(
        /^HashMap#\d+(?: 'lost')? \(fd \d+\) was collected open; close it, or declare it with "using": EBPF_TRACE_HANDLES=1 shows where it was opened$/,
      )
    }
  })

  it('says where it was opened under EBPF_TRACE_HANDLES=1', () => {
    const { warnings } = lose({ EBPF_TRACE_HANDLES: '1' })
    expect(warnings).to.have.length(2)
    for (const { message } of warnings) {
      expect(message).to.match(/it was opened at\n {4}at .*spec\.[jt]s/)
      expect(message).to.match(/at loseThem /)
    }
  })
})
