import { expect } from 'chai'
import { ArrayMap, bpf, Program, type ProgramCode, type ProgramOptions, u32, VerifierError } from '../../lib'
import { Handle } from '../../lib/handle/handle'
import { BPF_PROG_LOAD, closeFd, duplicateFd } from '../../syscalls'
import { NR } from '../../syscalls/numbers'
import { openFds } from '../map/kit'
import { rejectionOf } from '../support/error'
import { eventually, mapIds, requireRoot } from '../support/kernel'
import { type Answer, recorded } from '../support/recording-abi'
import { named, packet, returning } from './kit'

const EBADF = 9
const EAGAIN = 11

/** A kernel that has to be asked twice: the second time it looks at the caller's memory as it is then. */
function askedTwice(): Answer {
  let first = true
  return ({ command }) => {
    if (command !== BPF_PROG_LOAD || !first) return undefined
    first = false
    return -EAGAIN
  }
}

describe('Program.loadAsync', () => {
  beforeEach(function () {
    requireRoot(this)
  })

  it('loads off the event loop', async () => {
    let id = 0
    await recorded(async (recording) => {
      using program = await Program.loadAsync({ type: 'xdp', name: 'later', code: returning(1) })
      id = program.id
      expect(mapIds('prog')).to.include(id)
      expect(program.run({ data: new Uint8Array(64) }).retval).to.equal(1)
      expect(recording.bpf(BPF_PROG_LOAD).map((call) => call.async)).to.deep.equal([true])
    })
    await eventually(() => !mapIds('prog').includes(id), 'the program is gone')
  })

  it('rejects with what load throws', async () => {
    const error = await rejectionOf(Program.loadAsync({ type: 'xdp', code: bpf`exit` }))
    expect(error).to.be.instanceOf(VerifierError)
    expect((error as VerifierError).log).to.include('R0 !read_ok')
    expect(await rejectionOf(Program.loadAsync({} as ProgramOptions))).to.be.instanceOf(TypeError)
  })

  it('keeps the maps that the program names until it is loaded', async () => {
    const map = ArrayMap.create({ name: 'soon_closed', value: u32, maxEntries: 1 })
    const { id } = map
    const code = bpf`
      r1 = ${map} ll
      r0 = 2
      exit`
    const loading = Program.loadAsync({ type: 'xdp', code })
    map.close()
    // What is opened now would have the fd of the map.
    using other = ArrayMap.create({ name: 'other', value: u32, maxEntries: 1 })
    using program = await loading
    expect(program.info().mapIds).to.deep.equal([id])
    expect(other.id).to.not.equal(id)
  })

  it('loads what it was given, whatever becomes of the memory that it was in', async () => {
    const retvalOf = async (use: (code: Uint8Array) => unknown, code = returning(7).bytes()) =>
      recorded(async () => {
        const loading = Program.loadAsync({ type: 'xdp', code })
        use(code)
        using program = await loading
        return program.run({ data: packet() }).retval
      }, askedTwice())
    expect(await retvalOf((code) => code.set(returning(8).bytes()))).to.equal(7)
    expect(await retvalOf((code) => code.fill(0), Buffer.from(returning(7).bytes()))).to.equal(7)
    expect(await retvalOf((code) => structuredClone(code.buffer, { transfer: [code.buffer as ArrayBuffer] }))).to.equal(
      7,
    )
  })

  it('has a log of what it was given, too', async () => {
    const code = bpf`exit`.bytes()
    const loading = Program.loadAsync({ type: 'xdp', code })
    structuredClone(code.buffer, { transfer: [code.buffer as ArrayBuffer] })
    const error = await rejectionOf(loading)
    expect(error).to.be.instanceOf(VerifierError)
    expect((error as VerifierError).instruction).to.deep.equal({ index: 0, text: 'exit', source: undefined })
  })

  it('keeps everything open that has an fd in it', async () => {
    const closed: string[] = []
    /** What is closed at once by its owner, and tells when that comes to be. */
    const soonClosed = (what: string, use: (handle: Handle) => Partial<ProgramOptions>) => {
      const handle = new Handle(duplicateFd(map.fd), what)
      const { fd } = handle
      const options = use(handle)
      const answer: Answer = ({ nr, args, command }) => {
        if (nr === NR.close && args[0] === fd) closed.push(what)
        // Of no interest here: whether the kernel takes it.
        if (command === BPF_PROG_LOAD) closed.push(`${what}, asked`)
        return command === BPF_PROG_LOAD ? -EBADF : undefined
      }
      return recorded(async () => {
        const loading = Program.loadAsync({ type: 'xdp', code: returning(2), ...options })
        handle.close()
        await rejectionOf(loading)
      }, answer)
    }
    using map = ArrayMap.create({ name: 'kept', value: u32, maxEntries: 1 })
    const inTheText = (value: object) => ({
      code: bpf`
        r1 = ${value as never} ll
        r0 = 2
        exit`,
    })
    const owner = (handle: Handle) => ({ handle, fd: handle.fd })
    await soonClosed('a map', (handle) => inTheText(owner(handle)))
    await soonClosed('a value', (handle) => inTheText({ map: owner(handle), offset: 0 }))
    await soonClosed("a module's variable", (handle) => inTheText({ btfId: 5, module: owner(handle) }))
    await soonClosed("a module's function", (handle) => ({
      code: bpf`
        call ${{ btfId: 5, module: owner(handle) }}
        exit`,
    }))
    await soonClosed('BTF', (handle) => ({ btf: { fd: handle } }))
    await soonClosed('a place', (handle) => ({ fdArray: [owner(handle)] }))
    await soonClosed('a token', (handle) => ({ token: owner(handle) }))
    const target = (handle: Handle) => ({ btfId: 5, module: owner(handle) })
    await soonClosed('a target', (handle) => ({ type: 'lsm', attachTo: target(handle) }))
    // Twice: without a log, and with one.
    const kinds = [
      'a map',
      'a value',
      "a module's variable",
      "a module's function",
      'BTF',
      'a place',
      'a token',
      'a target',
    ]
    expect(closed).to.deep.equal(kinds.flatMap((what) => [`${what}, asked`, `${what}, asked`, what]))
  })

  it('lets go of what it has kept when something of it is closed already', async () => {
    const open = new Handle(duplicateFd(0), 'open')
    const shut = new Handle(duplicateFd(0), 'shut')
    const { fd } = open
    shut.close()
    const code: ProgramCode = {
      bytes: () => returning(2).bytes(),
      maps: [{ fd, handle: open } as never, { fd, handle: shut } as never],
    }
    const fds = openFds()
    expect((await rejectionOf(Program.loadAsync({ type: 'xdp', code }))).code).to.equal('ERR_EBPF_CLOSED')
    open.close()
    expect(openFds()).to.equal(fds - 1)
  })

  it('leaves no program behind where a map that it kept cannot be closed', async () => {
    const map = ArrayMap.create({ name: 'stolen', value: u32, maxEntries: 1 })
    const { fd } = map
    const code = bpf`
      r1 = ${map} ll
      r0 = 2
      exit`
    const answer: Answer = ({ nr, args }) => (nr === NR.close && args[0] === fd ? -EBADF : undefined)
    try {
      const error = await recorded(async () => {
        const loading = Program.loadAsync({ type: 'xdp', name: 'nobodys', code })
        map.close()
        return rejectionOf(loading)
      }, answer)
      expect(error).to.include({ code: 'EBADF', syscall: 'close' })
    } finally {
      closeFd(fd)
    }
    await eventually(() => named('nobodys').length === 0, 'the program is gone')
  })
})
