import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import {
  attachKprobe,
  attachKprobeMulti,
  attachKretprobe,
  attachUprobe,
  attachUprobeMulti,
  attachUretprobe,
  type EventAttachment,
  UnsupportedError,
} from '../../lib'
import { readFunctions } from '../../lib/elf-file/symbols'
import { taskFdQuery } from '../../syscalls/bpf-link'
import * as uapi from '../../syscalls/uapi'
import { HookCode } from '../support/attach/hook-code'
import { asLink, bpftoolLink, failing, linkExists, withoutEventLinks } from '../support/attach/links'
import { libc, registers } from '../support/attach/probes'
import { requireAttach } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { AF_INET6, openSocket } from '../support/attach/trigger'
import { hasFeature, pending, requireFeature, requireRoot } from '../support/kernel'
import { recorded } from '../support/recording-abi'
import { useTracefs } from '../support/tracefs'

const HOOK = 'security_socket_create'
/** Another function that socket(2) comes by: a socket gets its security label. */
const LATER_HOOK = 'security_socket_post_create'

/** Node calls getppid() of libc each time, and getuid(). */
const parent = () => process.ppid
const user = () => process.getuid?.()

describe('probes', () => {
  const stage = useStage()
  useTracefs()

  before(function () {
    requireRoot(this)
  })

  /** Counts, and writes down the function's first argument, or what it returned: a field of struct pt_regs. */
  const seeing = (offset: number) => {
    const { fd } = stage.counters
    const code = new HookCode().onlyProcess().add(0x79, 7, 6, offset).add(0xbc, 7, 7).record(fd, 1, 7).count(fd).end()
    return stage.program({ type: 'kprobe', name: 'seeing', code })
  }
  const counting = () => new HookCode().onlyProcess().count(stage.counters.fd).end()
  const byCookie = () => new HookCode().onlyProcess().countByCookie(stage.counters.fd).end()
  const counts = (...slots: number[]) => slots.map((i) => stage.count(i))

  describe('attachKprobe', () => {
    it('runs the program before a function of the kernel', async function () {
      requireAttach(this, 'kprobe')
      const program = seeing(registers(this).argument)
      const probe = stage.using(attachKprobe(program, HOOK))
      openSocket()
      openSocket(AF_INET6)
      expect(counts(0, 1)).to.deep.equal([2, AF_INET6])
      expect(probe).to.include({ type: 'perf_event', programId: program.id })
      expect(probe.description).to.include(`kprobe ${HOOK}`)
      await stage.detach(probe, openSocket)
    })

    it('return, and attachKretprobe: after it, with what it returned', async function () {
      requireAttach(this, 'kprobe')
      stage.counters.set(1, 77n)
      const program = seeing(registers(this).result)
      const probe = stage.using(attachKprobe(program, HOOK, { return: true }))
      const same = stage.using(attachKretprobe(program, HOOK))
      openSocket()
      expect(counts(0, 1)).to.deep.equal([2, 0])
      same.close()
      openSocket()
      expect(stage.count()).to.equal(3)
      await stage.detach(probe, openSocket)
    })

    it('offset: at an instruction of the function, with a cookie', async function () {
      requireAttach(this, 'kprobe')
      requireFeature(this, 'bpfCookie')
      const program = stage.program({ type: 'kprobe', code: byCookie() })
      // Where instructions begin, the kernel knows: at each other offset it says EILSEQ.
      const starts: number[] = []
      for (let offset = 5; offset < 48; offset++) {
        try {
          attachKprobe(program, HOOK, { offset, cookie: 2 }).close()
          starts.push(offset)
        } catch (error) {
          expect(error).to.have.property('code').that.is.oneOf(['EILSEQ', 'EINVAL'])
        }
      }
      expect(starts).to.not.be.empty
      const offset = starts[0] as number
      const probe = asLink(stage.using(attachKprobe(program, HOOK, { offset, cookie: 2 })))
      expect(probe.description).to.include(`kprobe ${HOOK}+${offset}`)
      openSocket()
      expect(counts(0, 2)).to.deep.equal([0, 1])
      await stage.detach(probe, openSocket, 2)
    })

    it('refuses a function that there is not, and names what is near', function () {
      requireAttach(this, 'kprobe')
      const program = stage.program({ type: 'kprobe', code: counting() })
      const error = failing(() => attachKprobe(program, 'security_socket_creat'))
      expect(error).to.include({ name: 'KernelError', code: 'ENOENT', syscall: 'perf_event_open' })
      expect(error.message).to.include(
        "on kprobe security_socket_creat: the kernel has no function 'security_socket_creat': did you mean 'security_socket_create'?",
      )
    })

    it('where the kernel has no kprobes, says so', function () {
      if (hasFeature('attach', 'kprobe') !== false) pending(this, 'this kernel has kprobes')
      const program = stage.program({ type: 'kprobe', code: counting() })
      const error = failing(() => attachKprobe(program, HOOK))
      expect(error).to.be.instanceOf(UnsupportedError).and.to.include({ code: 'ENOENT', since: '4.17' })
      expect(error.message).to.match(/has no attachments by kprobe/)
    })

    it('refuses wrong arguments before the kernel is asked', () => {
      const program = stage.program({ type: 'kprobe', code: counting() })
      const other = stage.program({ type: 'tracepoint', code: new HookCode().end() })
      const multi = hasFeature('attach', 'uprobe_multi') === true
      const loadedForMany = multi
        ? stage.program({ type: 'kprobe', expectedAttachType: 'trace_uprobe_multi', code: counting() })
        : undefined
      recorded((recording) => {
        expect(failing(() => attachKprobe(other, HOOK)).message).to.include('takes a program of type kprobe')
        const both = { return: true, offset: 4 }
        expect(failing(() => attachKprobe(program, HOOK, both)).message).to.include('exclude each other')
        expect(failing(() => attachKprobe(program, 'a b'))).to.be.instanceOf(RangeError)
        expect(failing(() => attachKprobe(program, 4 as never))).to.be.instanceOf(TypeError)
        expect(failing(() => attachKprobe(program, HOOK, { offset: -1 }))).to.be.instanceOf(RangeError)
        if (loadedForMany !== undefined) {
          const error = failing(() => attachKprobe(loadedForMany, HOOK))
          expect(error.message).to.include('was loaded for trace_uprobe_multi')
        }
        // Of programs, at the most.
        const commands = new Set(recording.calls.map(({ command }) => command))
        expect([...commands].filter((command) => command !== uapi.BPF_OBJ_GET_INFO_BY_FD)).to.deep.equal([])
      })
    })
  })

  describe('attachUprobe', () => {
    it('runs the program before a function of a library', async function () {
      requireAttach(this, 'uprobe')
      const program = stage.program({ type: 'kprobe', code: counting() })
      const probe = stage.using(attachUprobe(program, libc(), 'getppid'))
      parent()
      parent()
      user()
      expect(stage.count()).to.equal(2)
      if (hasFeature('bpfCookie') === true) {
        const told = bpftoolLink(asLink(probe).id)
        if (told !== undefined) expect(told).to.include({ type: 'perf_event', prog_id: program.id })
      }
      await stage.detach(probe, parent)
    })

    it('return, and attachUretprobe: after it, with what it returned', async function () {
      requireAttach(this, 'uprobe')
      const program = seeing(registers(this).result)
      const probe = stage.using(attachUprobe(program, libc(), 'getppid', { return: true }))
      const same = stage.using(attachUretprobe(program, libc(), 'getppid', { pid: process.pid }))
      const ppid = parent()
      expect(counts(0, 1)).to.deep.equal([2, ppid])
      same.close()
      parent()
      expect(stage.count()).to.equal(3)
      await stage.detach(probe, parent)
    })

    it('offset: of an instruction in the file; pid: one process, and not another', async function () {
      requireAttach(this, 'uprobe')
      const path = libc()
      const offset = readFunctions(path).offsetOf('getppid')
      const program = stage.program({ type: 'kprobe', code: counting() })
      const own = stage.using(attachUprobe(program, path, offset, { pid: process.pid }))
      parent()
      expect(stage.count()).to.equal(1)
      await stage.detach(own, parent)
      // The one that has started this one does not run this code in this process.
      const other = stage.using(attachUprobe(program, path, offset, { pid: process.ppid }))
      const before = stage.count()
      parent()
      expect(stage.count()).to.equal(before)
      other.close()
    })

    it('cookie: one program, several functions', async function () {
      requireAttach(this, 'uprobe')
      requireFeature(this, 'bpfCookie')
      const program = stage.program({ type: 'kprobe', code: byCookie() })
      const first = stage.using(attachUprobe(program, libc(), 'getppid', { cookie: 2 }))
      const second = stage.using(attachUprobe(program, libc(), 'getuid', { cookie: 3n }))
      parent()
      user()
      user()
      expect(counts(0, 2, 3)).to.deep.equal([0, 1, 2])
      await stage.detach(first, parent, 2)
      await stage.detach(second, user, 3)
    })

    it('without links to events, the event owns the program', async function () {
      requireAttach(this, 'uprobe')
      const run = async () => {
        const program = stage.program({ type: 'kprobe', code: counting() })
        const event = stage.using(attachUprobe(program, libc(), 'getppid')) as EventAttachment
        parent()
        expect(stage.count()).to.equal(1)
        expect(event.info()).to.include({ type: 'perf_event', kind: 'uprobe', programId: program.id })
        expect(taskFdQuery(process.pid, event.fd)).to.include({
          progId: program.id,
          fdType: uapi.BPF_FD_TYPE_UPROBE,
          name: libc(),
          probeOffset: BigInt(readFunctions(libc()).offsetOf('getppid')),
        })
        await stage.detach(event, parent)
      }
      await (hasFeature('bpfCookie') === true ? recorded(run, withoutEventLinks) : run())
    })

    it('refuses what cannot be probed, and says why', function () {
      requireAttach(this, 'uprobe')
      const program = stage.program({ type: 'kprobe', code: counting() })
      const error = (path: string, where: string | number, options = {}) =>
        failing(() => attachUprobe(program, path, where, options))
      const slip = error(libc(), 'getpid_')
      expect(slip).to.include({ name: 'ElfError', code: 'ENOENT' })
      expect(slip.message).to.include("no function 'getpid_': did you mean 'getpid'?")
      const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-'))
      try {
        const text = join(folder, 'text')
        writeFileSync(text, '#!/bin/sh\n')
        expect(error(text, 'main').message).to.include(`${text} at offset 0 (0x0): no ELF file: it begins with 23 21`)
        expect(error(text, 4096)).to.include({ code: 'EINVAL', syscall: 'perf_event_open' })
        expect(error(text, 4096).message).to.include(`offset 4096 is beyond the end of ${text}, which has 10 bytes`)
        expect(error(folder, 0).message).to.include(`${folder} is no regular file`)
        expect(error(folder, 'main').message).to.include('it is no regular file')
        const none = join(folder, 'none')
        expect(error(none, 'main')).to.include({ code: 'ENOENT' })
        expect(error(none, 0).message).to.include(`there is no file ${none}`)
      } finally {
        rmSync(folder, { recursive: true })
      }
      // Above the highest that a process can have (PID_MAX_LIMIT).
      expect(error(libc(), 'getppid', { pid: 2 ** 23 })).to.include({ code: 'ESRCH' })
      // The last would be -1, which stands for all.
      for (const pid of [0, -1, 1.5, 2 ** 31, 2 ** 32 - 1]) {
        expect(error(libc(), 'getppid', { pid }).message).to.match(/cannot be pid: integers from 1 to 2147483647 can$/)
      }
      expect(error('', 'getppid')).to.be.instanceOf(RangeError)
      expect(error(libc(), -1)).to.be.instanceOf(RangeError)
      expect(error(libc(), undefined as never)).to.be.instanceOf(TypeError)
    })
  })

  describe('attachKprobeMulti', () => {
    const load = (code = byCookie()) =>
      stage.program({ type: 'kprobe', name: 'many', expectedAttachType: 'trace_kprobe_multi', code })

    it('one link for several functions, each with its cookie', async function () {
      requireAttach(this, 'kprobe_multi')
      const link = stage.using(attachKprobeMulti(load(), [HOOK, LATER_HOOK], { cookies: [2, 3n] }))
      openSocket()
      openSocket()
      expect(counts(0, 1, 2, 3)).to.deep.equal([0, 0, 2, 2])
      expect(link.info()).to.include({ type: 'kprobe_multi', atReturn: false })
      expect(link.description).to.include('kprobe_multi of 2 functions')
      await stage.detach(link, openSocket, 2)
      expect(linkExists(link.id)).to.equal(false)
    })

    it('return: after them; a pattern: all that it is for', async function () {
      requireAttach(this, 'kprobe_multi')
      const link = stage.using(
        attachKprobeMulti(load(counting()), /^security_socket_(post_)?create$/g, { return: true }),
      )
      openSocket()
      expect(stage.count()).to.equal(2)
      expect(link.info()).to.include({ type: 'kprobe_multi', atReturn: true })
      await stage.detach(link, openSocket)
    })

    it('session: at both ends', async function () {
      requireAttach(this, 'kprobe_session')
      const code = counting()
      const program = stage.program({ type: 'kprobe', expectedAttachType: 'trace_kprobe_session', code })
      const link = stage.using(attachKprobeMulti(program, [HOOK]))
      openSocket()
      expect(stage.count()).to.equal(2)
      await stage.detach(link, openSocket)
      // By its fd alone the library does not know what it is for.
      const same = stage.using(attachKprobeMulti(program.fd, [HOOK], { session: true }))
      const before = stage.count()
      openSocket()
      expect(stage.count()).to.equal(before + 2)
      same.close()
    })

    it('refuses functions that there are not, and names what is near', function () {
      requireAttach(this, 'kprobe_multi')
      const program = load()
      const error = failing(() => attachKprobeMulti(program, [HOOK, 'security_socket_creat', 'zzzzzz']))
      expect(error.code).to.be.oneOf(['ESRCH', 'ENOENT'])
      expect(error.message).to.include("did you mean 'security_socket_create'?")
      expect(error.message).to.include('1 more of the names are unknown')
      expect(failing(() => attachKprobeMulti(program, /^zzzzzz$/)).message).to.match(/is for none of the functions/)
    })

    it('where the kernel has none, says so', function () {
      if (hasFeature('attach', 'kprobe_multi') !== false) pending(this, 'this kernel has kprobe_multi')
      const program = stage.program({ type: 'kprobe', code: counting() })
      const error = failing(() => attachKprobeMulti(program, [HOOK]))
      expect(error).to.be.instanceOf(UnsupportedError).and.to.include({ since: '5.18' })
    })

    it('refuses wrong arguments before the kernel is asked', () => {
      const program = stage.program({ type: 'kprobe', code: counting() })
      const error = (...args: unknown[]) =>
        failing(() => (attachKprobeMulti as (...args: unknown[]) => unknown)(program, ...args))
      expect(error([])).to.be.instanceOf(RangeError)
      expect(error('name')).to.be.instanceOf(TypeError)
      expect(error([4])).to.be.instanceOf(TypeError)
      expect(error([HOOK], { cookies: [1, 2] }).message).to.equal('2 cookies for 1 functions')
      expect(error([HOOK], { cookies: [-1] })).to.be.instanceOf(RangeError)
      expect(error([HOOK], { session: true, return: true })).to.be.instanceOf(TypeError)
      if (hasFeature('attach', 'uprobe_multi') !== true) return
      const other = stage.program({ type: 'kprobe', expectedAttachType: 'trace_uprobe_multi', code: counting() })
      const wrong = failing(() => attachKprobeMulti(other, [HOOK]))
      expect(wrong).to.be.instanceOf(TypeError)
      expect(wrong.message).to.include('was loaded for trace_uprobe_multi')
    })
  })

  describe('attachUprobeMulti', () => {
    const load = (code = byCookie()) =>
      stage.program({ type: 'kprobe', name: 'many', expectedAttachType: 'trace_uprobe_multi', code })

    it('one link for several functions, by name or offset, each with its cookie', async function () {
      requireAttach(this, 'uprobe_multi')
      const path = libc()
      const functions = ['getppid', readFunctions(path).offsetOf('getuid')]
      const link = stage.using(attachUprobeMulti(load(), path, functions, { cookies: [2, 3], pid: process.pid }))
      parent()
      user()
      user()
      expect(counts(0, 1, 2, 3)).to.deep.equal([0, 0, 1, 2])
      const info = link.info()
      expect(info).to.include({ type: 'uprobe_multi', path, atReturn: false })
      await stage.detach(link, parent, 2)
      expect(linkExists(link.id)).to.equal(false)
    })

    it('return: after them; a pattern: all that it is for', async function () {
      requireAttach(this, 'uprobe_multi')
      const link = stage.using(attachUprobeMulti(load(counting()), libc(), /^get(ppid|uid)$/, { return: true }))
      parent()
      user()
      expect(stage.count()).to.equal(2)
      expect(link.info()).to.include({ type: 'uprobe_multi', atReturn: true })
      await stage.detach(link, parent)
    })

    it('session: at both ends', async function () {
      requireAttach(this, 'uprobe_session')
      const code = counting()
      const program = stage.program({ type: 'kprobe', expectedAttachType: 'trace_uprobe_session', code })
      const link = stage.using(attachUprobeMulti(program, libc(), ['getppid']))
      parent()
      expect(stage.count()).to.equal(2)
      await stage.detach(link, parent)
    })

    it('refuses what there is not, and a program that was not loaded for it', function () {
      requireAttach(this, 'uprobe_multi')
      const program = load()
      const error = (path: string, functions: readonly (string | number)[] | RegExp, options = {}) =>
        failing(() => attachUprobeMulti(program, path, functions, options))
      expect(error(libc(), ['getppid', 'getpid_'])).to.include({ name: 'ElfError', code: 'ENOENT' })
      expect(error(libc(), /^zzzzzz$/).message).to.include('is for none of the functions of')
      expect(error('/none', [0]).message).to.include('there is no file /none')
      expect(error(tmpdir(), [0])).to.include({ code: 'EBADF' })
      // Of a program that tells what it was loaded for, it is the offset that is wrong.
      const beyond = error(libc(), [2 ** 40])
      expect(beyond).to.include({ code: 'EINVAL' })
      expect(beyond.message).to.match(/: offset 1099511627776 is beyond the end of \S+, which has \d+ bytes$/)
      expect(error(libc(), ['getppid'], { pid: 2 ** 32 - 1 })).to.be.instanceOf(RangeError)
      expect(error(libc(), [])).to.be.instanceOf(RangeError)
      expect(error(libc(), /./, { cookies: [1] })).to.be.instanceOf(TypeError)
      const single = stage.program({ type: 'kprobe', code: counting() })
      const wrong = failing(() => attachUprobeMulti(single, libc(), ['getppid']))
      expect(wrong).to.include({ code: 'EINVAL' })
      expect(wrong.message).to.include("was not loaded with expectedAttachType 'trace_uprobe_multi'")
    })
  })
})
