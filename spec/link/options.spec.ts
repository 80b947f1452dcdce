import { expect } from 'chai'
import * as lib from '../../lib'

/** Nothing of these is looked at before the options are. */
const program = {} as lib.Program
const options = (given: object) => given as never

/** Functions that attach, with an option that each has, mistyped as somebody in a hurry does it. */
const SLIPS: readonly (readonly [name: string, attach: (given: never) => unknown, option: string, slip: string])[] = [
  ['attachXdp', (given) => lib.attachXdp(program, 'lo', given), 'mode', 'moed'],
  ['attachTc', (given) => lib.attachTc(program, 'lo', 'ingress', given), 'priority', 'prioritiy'],
  ['attachTcx', (given) => lib.attachTcx(program, 'lo', 'ingress', given), 'place', 'plase'],
  ['attachNetkit', (given) => lib.attachNetkit(program, 'lo', 'peer', given), 'expectedRevision', 'expectedRevison'],
  ['attachCgroup', (given) => lib.attachCgroup(program, '/sys/fs/cgroup', given), 'hook', 'hooks'],
  ['attachTracepoint', (given) => lib.attachTracepoint(program, 'sched', 'sched_switch', given), 'cookie', 'cookies'],
  ['attachRawTracepoint', (given) => lib.attachRawTracepoint(program, 'sys_enter', given), 'cookie', 'coookie'],
  ['attachTracing', (given) => lib.attachTracing(program, given), 'cookie', 'cokie'],
  ['attachLsm', (given) => lib.attachLsm(program, given), 'cookie', 'cookei'],
  ['attachFreplace', (given) => lib.attachFreplace(program, given), 'function', 'funtion'],
  ['attachKprobe', (given) => lib.attachKprobe(program, 'do_nothing', given), 'offset', 'ofset'],
  ['attachKretprobe', (given) => lib.attachKretprobe(program, 'do_nothing', given), 'cookie', 'cooky'],
  ['attachKprobeMulti', (given) => lib.attachKprobeMulti(program, ['do_nothing'], given), 'session', 'sesion'],
  ['attachUprobe', (given) => lib.attachUprobe(program, '/bin/true', 0, given), 'semaphore', 'semafore'],
  ['attachUretprobe', (given) => lib.attachUretprobe(program, '/bin/true', 0, given), 'pid', 'pdi'],
  ['attachUprobeMulti', (given) => lib.attachUprobeMulti(program, '/bin/true', [0], given), 'cookies', 'cookie'],
  ['attachUsdt', (given) => lib.attachUsdt(program, '/bin/true', 'a', 'b', given), 'pid', 'pids'],
  ['attachNetfilter', (given) => lib.attachNetfilter(program, given), 'family', 'familiy'],
  ['attachPerfEvent', (given) => lib.attachPerfEvent(program, given), 'frequency', 'freqency'],
  ['attached', (given) => lib.attached('cgroup_inet_ingress', '/sys/fs/cgroup', given), 'effective', 'efective'],
]

describe('options of what attaches', () => {
  for (const [name, attach, option, slip] of SLIPS) {
    it(`are refused where nobody knows them, with the one that was meant: ${name}`, () => {
      expect(() => attach(options({ [slip]: 1 }))).to.throw(
        TypeError,
        `no option is called '${slip}': did you mean '${option}'?`,
      )
      expect(() => attach(7 as never)).to.throw(TypeError, /not by number|is told by/)
      expect(() => attach(null as never)).to.throw(TypeError, /not by null|is told by/)
    })
  }

  const hook = { family: 'ipv4', hook: 'input', priority: 0 }
  for (const [name, attach, option] of [
    ['attachKprobe', (given) => lib.attachKprobe(program, 'do_nothing', given), 'return'],
    ['attachKprobeMulti', (given) => lib.attachKprobeMulti(program, ['do_nothing'], given), 'return'],
    ['attachKprobeMulti', (given) => lib.attachKprobeMulti(program, ['do_nothing'], given), 'session'],
    ['attachUprobe', (given) => lib.attachUprobe(program, '/bin/true', 0, given), 'return'],
    ['attachUprobeMulti', (given) => lib.attachUprobeMulti(program, '/bin/true', [0], given), 'return'],
    ['attachNetfilter', (given: object) => lib.attachNetfilter(program, options({ ...hook, ...given })), 'defrag'],
    ['attached', (given) => lib.attached('cgroup_device', '/sys/fs/cgroup', given), 'effective'],
  ] as const satisfies readonly (readonly [string, (given: never) => unknown, string])[]) {
    it(`are true or false where they are one of the two: ${option} of ${name}`, () => {
      for (const value of ['yes', 'no', 1, null]) {
        expect(() => attach(options({ [option]: value }))).to.throw(
          TypeError,
          `${option} must be true or false, not ${value === null ? 'null' : typeof value}`,
        )
      }
    })
  }

  it('a semaphore is where a u16 can be', () => {
    const attach = (semaphore: number) => () => lib.attachUprobe(program, '/bin/true', 0, { semaphore })
    expect(attach(5)).to.throw(RangeError, '5 cannot be semaphore: it is a u16, at an even offset')
    expect(attach(-2)).to.throw(RangeError, 'semaphore')
  })
})
