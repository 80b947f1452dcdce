import { closeSync, openSync, readFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect } from 'chai'
import * as sys from '../../syscalls'
import { errnoName, KernelError } from '../../syscalls'
import { LE } from '../../syscalls/attr-common'
import { throwKernelError } from '../../syscalls/errno'
import * as uapi from '../../syscalls/uapi'
import { inChild } from '../support/child'
import { needs, pending, requireFeature, requireRoot, useBpffs } from '../support/kernel'
import { refused, returning } from '../support/programs'
import { recorded } from '../support/recording-abi'

type Syscalls = typeof import('../../syscalls')

function refusal(call: () => unknown): KernelError {
  try {
    call()
  } catch (error) {
    if (error instanceof KernelError) return error
    throw error
  }
  throw new Error('the kernel did not refuse')
}

describe('errno names', () => {
  it('are those of the system', () => {
    expect([1, 2, 7, 12, 16, 17, 22, 28].map(errnoName)).to.deep.equal(
      'EPERM ENOENT E2BIG ENOMEM EBUSY EEXIST EINVAL ENOSPC'.split(' '),
    )
    expect(errnoName(constants.errno.EBADF)).to.equal('EBADF')
  })

  it('know what node does not: the kernel’s own 524, and EBADFD', function () {
    needs(this, process.platform === 'linux', 'Linux')
    expect(Object.values(constants.errno)).not.to.include(524)
    expect([errnoName(524), errnoName(77)]).to.deep.equal(['ENOTSUPP', 'EBADFD'])
  })

  it('of two names are the one that the kernel uses', function () {
    needs(this, process.platform === 'linux', 'Linux')
    const { EAGAIN, EWOULDBLOCK, EOPNOTSUPP, ENOTSUP } = constants.errno
    expect([EAGAIN, EOPNOTSUPP]).to.deep.equal([EWOULDBLOCK, ENOTSUP])
    expect([EAGAIN, EOPNOTSUPP].map(errnoName)).to.deep.equal(['EAGAIN', 'EOPNOTSUPP'])
  })

  it('of what has none are the number', () => {
    expect(errnoName(999)).to.equal('E999')
  })

  it('agree with the kernel’s header', function () {
    const paths = ['errno-base.h', 'errno.h'].map((name) => `/usr/include/asm-generic/${name}`)
    let header = ''
    try {
      header = paths.map((path) => readFileSync(path, 'latin1')).join('')
    } catch {
      pending(this, `no ${paths.join(' and ')}`)
    }
    // As on x86, arm and riscv; the aliases that are defined by another name are not numbers.
    const names = [...header.matchAll(/^#define\s+(E\w+)\s+(\d+)/gm)]
    expect(names.length).to.be.greaterThan(100)
    for (const [, name, number] of names) {
      const ours = errnoName(Number(number))
      // A number that node has no name for is told as a number, never as another name.
      expect([name, `E${number}`], `${name} ${number}`).to.include(ours)
    }
  })
})

describe('KernelError', () => {
  const subject: sys.Subject = { description: "HashMap#12 'ports'" }

  it('has the shape of a system error of node', () => {
    const error = refusal(() => throwKernelError(22, { command: 'BPF_MAP_GET_NEXT_KEY', subject }))
    expect(error).to.be.instanceOf(Error)
    expect(error.toJSON()).to.deep.equal({
      name: 'KernelError',
      code: 'EINVAL',
      errno: -22,
      syscall: 'bpf',
      command: 'BPF_MAP_GET_NEXT_KEY',
      object: "HashMap#12 'ports'",
      hint: undefined,
      done: undefined,
    })
    expect(error.message).to.equal("EINVAL: BPF_MAP_GET_NEXT_KEY on HashMap#12 'ports': invalid argument")
    expect(error.stack?.split('\n')[0]).to.equal(`KernelError: ${error.message}`)
    expect(inspect(error)).to.include("code: 'EINVAL'")
  })

  it('is printed with each thing once, and has all of them as JSON', () => {
    const subject = { description: "HashMap#12 'ports'", hint: () => 'the map is full' }
    const error = new KernelError(7, { command: 'BPF_MAP_UPDATE_ELEM', subject })
    const shown = inspect(error)
    for (const once of ['the map is full', 'HashMap#12', 'BPF_MAP_UPDATE_ELEM']) {
      expect(shown.split(once), once).to.have.length(2)
    }
    expect(shown).to.include("code: 'E2BIG'").and.to.not.include('undefined')
    expect(error).to.include({ object: "HashMap#12 'ports'", hint: 'the map is full', done: undefined })
    expect(JSON.parse(JSON.stringify(error))).to.deep.equal({
      ...{ name: 'KernelError', code: 'E2BIG', errno: -7, syscall: 'bpf', command: 'BPF_MAP_UPDATE_ELEM' },
      ...{ object: "HashMap#12 'ports'", hint: 'the map is full' },
    })
  })

  it('begins its stack where the call was made', () => {
    function caller(): void {
      throwKernelError(22, { command: 'BPF_MAP_CREATE' })
    }
    const error = refusal(caller)
    expect(error.stack?.split('\n')[1]).to.include('caller')
  })

  it('names the system call where it is another', () => {
    const error = refusal(() => throwKernelError(9, { syscall: 'mmap', command: 'mmap' }))
    expect([error.syscall, error.code, error.object]).to.deep.equal(['mmap', 'EBADF', undefined])
    expect(error.message).to.equal('EBADF: mmap: bad file descriptor')
  })

  it('has words of its own for what libc has none for', () => {
    const text = (errno: number) => new KernelError(errno, { command: 'BPF_PROG_QUERY' }).message
    expect(text(524)).to.equal('ENOTSUPP: BPF_PROG_QUERY: operation is not supported')
    expect(text(77)).to.equal('EBADFD: BPF_PROG_QUERY: file descriptor in bad state')
    expect(text(999)).to.equal('E999: BPF_PROG_QUERY: the kernel refused')
  })

  it('prefers the hint of the object to the general one', () => {
    const knowing: sys.Subject = {
      description: 'the map',
      hint: (command, code) => (code === 'EPERM' ? `${command}: frozen` : undefined),
    }
    const about = { command: 'BPF_MAP_UPDATE_ELEM', subject: knowing }
    expect(new KernelError(1, about).hint).to.equal('BPF_MAP_UPDATE_ELEM: frozen')
    expect(new KernelError(7, about).hint).to.equal('the map is full, or the index is past its end')
    expect(new KernelError(1, about).message).to.equal(
      'EPERM: BPF_MAP_UPDATE_ELEM on the map: BPF_MAP_UPDATE_ELEM: frozen',
    )
  })

  it('tells how many entries were done', () => {
    const error = new KernelError(7, { command: 'BPF_MAP_UPDATE_BATCH', subject })
    const many = error.withDone(3)
    expect([error.done, many.done]).to.deep.equal([undefined, 3])
    expect(many.message).to.equal("E2BIG: BPF_MAP_UPDATE_BATCH on HashMap#12 'ports' (3 done before): the map is full")
    expect([many.code, many.errno, many.object]).to.deep.equal([error.code, error.errno, error.object])
    // Where it happened does not change by being counted.
    expect(many.stack?.split('\n').slice(1)).to.deep.equal(error.stack?.split('\n').slice(1))
    expect(many.stack?.split('\n')[0]).to.equal(`KernelError: ${many.message}`)
    expect(new KernelError(7, { command: 'BPF_MAP_UPDATE_BATCH', done: 0 }).message).to.include('(0 done before)')
  })

  it('is made for a look-up that fails, and for none that finds nothing', () => {
    const calls = new sys.ElementCalls(77, 4, 4, subject)
    expect(calls.view.byteLength).to.be.greaterThan(0)
    recorded(
      () => {
        const one = new sys.ElementCalls(77, 4, 4, subject)
        expect([one.lookup(0), one.delete(), one.lookupAndDelete(0)]).to.deep.equal([false, false, false])
      },
      () => -2,
    )
    recorded(
      () =>
        expect(refusal(() => new sys.ElementCalls(77, 4, 4, subject).lookup(0)).command).to.equal(
          'BPF_MAP_LOOKUP_ELEM',
        ),
      () => -22,
    )
  })
})

/** include/uapi/linux/if_link.h */
const XDP_FLAGS_SKB_MODE = 1 << 1

describe('hints for what the kernel really refuses', () => {
  const bpffs = useBpffs()
  const open: number[] = []
  const own = (fd: number) => {
    open.push(fd)
    return fd
  }
  const fields = { map_type: uapi.BPF_MAP_TYPE_HASH, key_size: 4, value_size: 4, max_entries: 2 }
  const map = (more: Partial<sys.MapCreateFields> = {}) => own(sys.mapCreate({ ...fields, ...more }))
  const program = (prog_type: number) =>
    own(
      sys.progLoad({ prog_type, insns: returning(2), license: 'GPL', expected_attach_type: prog_type === 6 ? 37 : 0 }),
    )
  const file = () => sys.duplicateFd(0)
  const elements = (fd: number, key = 1) => {
    const calls = new sys.ElementCalls(fd, 4, 4, { description: 'the map' })
    calls.view.setUint32(calls.keyAt, key, LE)
    return calls
  }

  before(function () {
    requireRoot(this)
  })
  afterEach(() => {
    for (const fd of open.splice(0)) sys.closeFd(fd)
  })

  const NO_DEVICE = 'a network device that there is not'

  const CASES: [what: string, code: string, hint: RegExp, run: () => unknown][] = [
    [
      'a map of no entries',
      'EINVAL',
      /does not know this map type, or not this combination/,
      () => map({ max_entries: 0 }),
    ],
    ['a map that is too large', 'E2BIG', /would be too large/, () => map({ max_entries: 0xffffffff })],
    [
      'an LRU map without preallocation',
      'ENOTSUPP',
      /does not go with one of the flags/,
      () => map({ map_type: uapi.BPF_MAP_TYPE_LRU_HASH, map_flags: uapi.BPF_F_NO_PREALLOC }),
    ],
    [
      'a template that is not open',
      'EBADF',
      /one of the fds given .* is not open/,
      () => map({ map_type: uapi.BPF_MAP_TYPE_HASH_OF_MAPS, inner_map_fd: 1_000_000 }),
    ],
    [
      'an entry that exists',
      'EEXIST',
      /an entry with this key exists/,
      () => {
        const calls = elements(map())
        calls.update(uapi.BPF_NOEXIST)
        calls.update(uapi.BPF_NOEXIST)
      },
    ],
    ['an entry that does not', 'ENOENT', /no entry with this key/, () => elements(map()).update(uapi.BPF_EXIST)],
    [
      'one entry too many',
      'E2BIG',
      /the map is full/,
      () => {
        const fd = map()
        for (let key = 0; key < 3; key++) elements(fd, key).update(uapi.BPF_ANY)
      },
    ],
    [
      'a write to a frozen map',
      'EPERM',
      /the map is frozen, or the handle was opened read-only/,
      () => {
        const fd = map()
        sys.mapFreeze(fd)
        elements(fd).update(uapi.BPF_ANY)
      },
    ],
    [
      'a look-up through a write-only fd',
      'EPERM',
      /opened write-only/,
      () => elements(map({ map_flags: uapi.BPF_F_WRONLY })).lookup(0),
    ],
    [
      'a deletion from an array',
      'EINVAL',
      /can be overwritten, not deleted/,
      () => elements(map({ map_type: uapi.BPF_MAP_TYPE_ARRAY })).delete(),
    ],
    [
      'an id as an inner map',
      'EBADF',
      /an id is not one/,
      () => {
        const inner = map()
        const calls = elements(map({ map_type: uapi.BPF_MAP_TYPE_HASH_OF_MAPS, inner_map_fd: inner }))
        calls.view.setUint32(calls.valueAt, 1_000_000, LE)
        calls.update(uapi.BPF_ANY)
      },
    ],
    [
      'a freeze of what is mapped writable',
      'EBUSY',
      /close that mapping first/,
      () => {
        const fd = map({ map_type: uapi.BPF_MAP_TYPE_ARRAY, map_flags: uapi.BPF_F_MMAPABLE })
        using region = sys.mapFile(fd, 4096, sys.PROT_READ | sys.PROT_WRITE)
        expect(region.closed).to.equal(false)
        sys.mapFreeze(fd)
      },
    ],
    ['an id of nothing', 'ENOENT', /no map has this id/, () => own(sys.mapOpenById(0x7ffffff0))],
    ['a pin of nothing', 'ENOENT', /nothing is pinned/, () => own(sys.objGet(join(bpffs.path, 'nothing')))],
    [
      'a pin outside of a bpf file system',
      'EPERM',
      /not on a bpf file system: mount one/,
      () => sys.objPin(join(tmpdir(), `ebpf-ts-${process.pid}`), map()),
    ],
    [
      'a pin in no folder',
      'ENOENT',
      /folder of the path does not exist.* mount -t bpf bpf/,
      () => sys.objPin('/no/such/folder/x', map()),
    ],
    [
      'a pin of a taken name',
      'EEXIST',
      /something is pinned at this path/,
      () => {
        const path = join(bpffs.path, 'taken')
        sys.objPin(path, map())
        sys.objPin(path, map())
      },
    ],
    ['a pin with a dot', 'EPERM', /the name has a dot/, () => sys.objPin(join(bpffs.path, 'a.b'), map())],
    ['a pin of a file', 'EINVAL', /no map, program or link/, () => sys.objPin(join(bpffs.path, 'file'), own(file()))],
    ['what is no pin', 'EACCES', /the path is no pin/, () => own(sys.objGet('/etc/passwd'))],
    [
      'a program that the verifier does not accept',
      'EACCES',
      /its log .* says why/,
      () => own(sys.progLoad({ prog_type: 1, insns: refused(), license: 'GPL' })),
    ],
    ['a test run of a tracepoint', 'ENOTSUPP', /programs of this type/, () => sys.progTestRun({ prog_fd: program(5) })],
    [
      'a raw tracepoint that there is not',
      'ENOENT',
      /no raw tracepoint of this name/,
      () => own(sys.rawTracepointOpen({ prog_fd: program(17), name: 'no_such' })),
    ],
    [
      'a link that cannot be detached',
      'EOPNOTSUPP',
      /cannot be detached before/,
      () => sys.linkDetach(own(sys.rawTracepointOpen({ prog_fd: program(17), name: 'sys_enter' }))),
    ],
    [
      'a second program for one network device',
      'EBUSY',
      /something is attached there already/,
      () => {
        const fields = { prog_fd: program(6), target_ifindex: 1, attach_type: uapi.BPF_XDP, flags: XDP_FLAGS_SKB_MODE }
        for (let i = 0; i < 2; i++) own(sys.linkCreate(fields))
      },
    ],
    [
      NO_DEVICE,
      'ENODEV',
      /no network device of this index/,
      () => own(sys.linkCreate({ prog_fd: program(3), target_ifindex: 0x7fffffff, attach_type: uapi.BPF_TCX_INGRESS })),
    ],
    ['an info of no fd', 'EBADFD', /not open, or is no BPF object/, () => sys.mapInfo(1_000_000)],
    [
      'an info of a file',
      'EINVAL',
      /no BPF object/,
      () => {
        const file = openSync('/dev/null', 'r')
        try {
          sys.mapInfo(file)
        } finally {
          closeSync(file)
        }
      },
    ],
  ]

  for (const [what, code, hint, run] of CASES) {
    it(`${what}: ${code}`, function () {
      if (what === NO_DEVICE) requireFeature(this, 'attach', 'tcx')
      const error = refusal(run)
      expect(error.code, error.message).to.equal(code)
      expect(error.hint ?? error.message).to.match(hint)
      expect(error.message).to.include(error.hint)
    })
  }

  it('a missing capability, by name', () => {
    const lines = (run: Parameters<typeof inChild>[0]) => {
      const { stdout, stderr, status } = inChild(run)
      if (status !== 0) throw new Error(stderr)
      return stdout.split('\n').filter(Boolean)
    }
    const told = lines(({ load }) => {
      const sys = load<Syscalls>('syscalls')
      // What is loaded when it is needed has to be readable for root alone.
      sys.abi()
      process.setgid?.(65534)
      process.setuid?.(65534)
      for (const call of [() => sys.mapNextId(0), () => sys.mapOpenById(1), () => sys.progNextId(0)]) {
        try {
          call()
          console.log('taken')
        } catch (error) {
          console.log((error as Error).message)
        }
      }
    })
    expect(told).to.have.lengthOf(3)
    for (const line of told) {
      expect(line).to.match(/^EPERM: .*needs CAP_SYS_ADMIN.*this process lacks CAP_BPF and CAP_SYS_ADMIN/)
    }
  })
})
