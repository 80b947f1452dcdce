import { expect } from 'chai'
import {
  ArrayMap,
  type Attachment,
  attachCgroup,
  attachIterator,
  attachKprobe,
  attachKprobeMulti,
  attachNetfilter,
  attachNetns,
  attachPerfEvent,
  attachRawTracepoint,
  attachReuseport,
  attachSocket,
  attachSockmap,
  attachTc,
  attachTcx,
  attachTracepoint,
  attachTracing,
  attachUprobe,
  attachUprobeMulti,
  attachXdp,
  bpf,
  type HasFd,
  type Program,
  type ProgramOptions,
  SockMap,
  UnsupportedError,
  u32,
} from '../../lib'
import { NR } from '../../syscalls/numbers'
import { BPF_LINK_CREATE } from '../../syscalls/uapi'
import { openFds } from '../map/kit'
import { withoutEventLinks } from '../support/attach/links'
import { ownCgroupFolder, runs } from '../support/attach/network'
import { libc as libraryPath } from '../support/attach/probes'
import { useStage } from '../support/attach/stage'
import { eventually, mapIds, pending } from '../support/kernel'
import { tc, useNamespace } from '../support/link/namespace'
import { AF_INET, bind, open, sharePort } from '../support/link/sockets'
import { type Answer, recorded, type Sent } from '../support/recording-abi'
import { useTracefs } from '../support/tracefs'

/** What any system call may end with, and what one means that an older kernel does not know. */
const CODES = { EMFILE: -24, ENOMEM: -12, EINVAL: -22 }

/** A function of every kernel that can be probed. */
const HOOK = 'security_socket_create'

const nothing = bpf`
  r0 = 0
  exit`

/** What a hook is attached to: made for each of its specs. */
interface Targets {
  readonly cgroup: string
  readonly map: HasFd
  readonly sockmap: HasFd
  readonly socket: number
  readonly grouped: number
}

interface Way {
  readonly program: Partial<ProgramOptions> & Pick<ProgramOptions, 'type'>
  readonly attach: (program: Program, targets: Targets) => Attachment
  /** What stands for an older kernel, besides what is made to fail. */
  readonly kernel?: Answer
}

const uprobes = { type: 'kprobe', expectedAttachType: 'trace_uprobe_multi' } as const
const kprobes = { type: 'kprobe', expectedAttachType: 'trace_kprobe_multi' } as const
const sockets = { type: 'cgroup_sock', expectedAttachType: 'cgroup_inet_sock_create' } as const
const entries = { type: 'tracing', expectedAttachType: 'trace_iter', attachTo: 'bpf_map_elem' } as const
const samples = { software: 'cpu-clock', frequency: 1 } as const

/** A kernel from before links of the kind. */
const withoutLinks: Answer = ({ command }) => (command === BPF_LINK_CREATE ? CODES.EINVAL : undefined)

const WAYS: Readonly<Record<string, Way>> = {
  attachXdp: { program: { type: 'xdp' }, attach: (program) => attachXdp(program, 'lo') },
  attachTcx: { program: { type: 'sched_cls' }, attach: (program) => attachTcx(program, 'lo', 'ingress') },
  attachTc: { program: { type: 'sched_cls' }, attach: (program) => attachTc(program, 'lo', 'ingress') },
  attachCgroup: { program: sockets, attach: (program, { cgroup }) => attachCgroup(program, cgroup) },
  'attachCgroup, alone': {
    program: sockets,
    attach: (program, { cgroup }) => attachCgroup(program, cgroup, { mode: 'exclusive' }),
  },
  attachNetns: { program: { type: 'sk_lookup' }, attach: (program) => attachNetns(program) },
  attachNetfilter: {
    program: { type: 'netfilter' },
    attach: (program) => attachNetfilter(program, { family: 'ipv4', hook: 'input', priority: 5 }),
  },
  attachSocket: { program: { type: 'socket_filter' }, attach: (program, { socket }) => attachSocket(program, socket) },
  attachReuseport: {
    program: { type: 'socket_filter' },
    attach: (program, { grouped }) => attachReuseport(program, grouped),
  },
  attachSockmap: { program: { type: 'sk_msg' }, attach: (program, { sockmap }) => attachSockmap(program, sockmap) },
  'attachSockmap, without links': {
    program: { type: 'sk_msg' },
    attach: (program, { sockmap }) => attachSockmap(program, sockmap),
    kernel: withoutLinks,
  },
  attachTracepoint: {
    program: { type: 'tracepoint' },
    attach: (program) => attachTracepoint(program, 'raw_syscalls', 'sys_enter'),
  },
  'attachTracepoint, without links': {
    program: { type: 'tracepoint' },
    attach: (program) => attachTracepoint(program, 'raw_syscalls', 'sys_enter'),
    kernel: withoutEventLinks,
  },
  attachRawTracepoint: {
    program: { type: 'raw_tracepoint' },
    attach: (program) => attachRawTracepoint(program, 'sys_enter'),
  },
  attachTracing: {
    program: { type: 'tracing', expectedAttachType: 'trace_raw_tp', attachTo: 'sys_enter' },
    attach: (program) => attachTracing(program),
  },
  'attachTracing, without links': {
    program: { type: 'tracing', expectedAttachType: 'trace_raw_tp', attachTo: 'sys_enter' },
    attach: (program) => attachTracing(program),
    kernel: withoutLinks,
  },
  attachKprobe: { program: { type: 'kprobe' }, attach: (program) => attachKprobe(program, HOOK) },
  attachKprobeMulti: { program: kprobes, attach: (program) => attachKprobeMulti(program, [HOOK]) },
  attachUprobe: {
    program: { type: 'kprobe' },
    attach: (program) => attachUprobe(program, libraryPath(), 'getppid'),
  },
  attachUprobeMulti: { program: uprobes, attach: (program) => attachUprobeMulti(program, libraryPath(), ['getppid']) },
  attachPerfEvent: { program: { type: 'perf_event' }, attach: (program) => attachPerfEvent(program, samples) },
  'attachPerfEvent, without links': {
    program: { type: 'perf_event' },
    attach: (program) => attachPerfEvent(program, samples),
    kernel: withoutEventLinks,
  },
  attachIterator: { program: entries, attach: (program, { map }) => attachIterator(program, { map }) },
}

describe('an attachment that fails, whichever of its system calls does', () => {
  useNamespace()
  useTracefs()
  const stage = useStage()

  function targets(context: Mocha.Context): Targets {
    const [socket, grouped] = [open(stage, AF_INET), open(stage, AF_INET)]
    sharePort(grouped)
    bind(grouped, '127.0.0.1')
    const map = stage.using(ArrayMap.create({ value: u32, maxEntries: 1 }))
    const sockmap = stage.using(SockMap.create({ maxEntries: 1 }))
    return { cgroup: ownCgroupFolder(context, stage), map, sockmap, socket, grouped }
  }

  for (const [name, { program: options, attach, kernel }] of Object.entries(WAYS)) {
    it(`${name}: leaves nothing`, async function () {
      const all = targets(this)
      let program: Program
      try {
        program = stage.program({ name: 'leftover', code: nothing, ...options } as ProgramOptions)
      } catch (error) {
        if (error instanceof UnsupportedError) return pending(this, error.message)
        throw error
      }
      /** Attaches with what `answer` says in the kernel's place. */
      const attempt = (answer: Answer): Attachment | Error =>
        recorded(
          () => {
            try {
              return attach(program, all)
            } catch (error) {
              return error as Error
            }
          },
          (call, recording) => answer(call, recording) ?? kernel?.(call, recording),
        )
      const whole = attempt(() => undefined)
      if (whole instanceof UnsupportedError) return pending(this, whole.message)
      if (whole instanceof Error) throw whole
      whole.close()
      const clsact = () => (runs('tc', '-V') ? tc('qdisc', 'show', 'dev', 'lo') : '')
      const [fds, disciplines] = [openFds(), clsact()]
      let failures = 0
      for (const [code, errno] of Object.entries(CODES)) {
        for (let n = 0; ; n++) {
          let calls = 0
          const failing = ({ nr }: Sent) => (nr !== NR.close && calls++ === n ? errno : undefined)
          const result = attempt(failing)
          if (result instanceof Error) {
            failures++
            expect(result, code)
              .to.have.property('name')
              .that.matches(/^(Kernel|Unsupported)Error$/)
          } else {
            result.close()
          }
          expect(openFds(), `${code} of call ${n}: ${result}`).to.equal(fds)
          if (calls <= n) break
        }
      }
      expect(failures).to.be.greaterThan(1)
      expect(clsact()).to.equal(disciplines)
      // Whatever still had the program would keep it.
      const { id } = program
      program.close()
      await eventually(() => !mapIds('prog').includes(id), 'nothing has the program any more')
    })
  }
})
