import { join } from 'node:path'
import { expect } from 'chai'
import { ArrayMap, bpf, enableStats, KernelError, Program, programs, u32, VerifierError } from '../../lib'
import { BPF_PROG_LOAD } from '../../syscalls'
import { NR } from '../../syscalls/numbers'
import { openFds } from '../map/kit'
import { errorOf } from '../support/error'
import { eventually, useBpffs } from '../support/kernel'
import { recorded } from '../support/recording-abi'
import { named, PASS, packet } from './kit'

const EMFILE = 24

/** More system calls than anything here makes. */
const MANY = 200

describe('a program whose verifier is broken off each time', () => {
  it('is not said to be refused, and is not verified again for a log', () => {
    const EAGAIN = 11
    recorded(
      (recording) => {
        const error = errorOf(() => Program.load({ type: 'xdp', code: bpf`r0 = 2\nexit` }))
        expect(error).to.be.instanceOf(KernelError).and.not.instanceOf(VerifierError)
        expect(error.message).to.match(/^EAGAIN: BPF_PROG_LOAD .*signals have broken the verifier off/)
        expect(new Set(recording.bpf(BPF_PROG_LOAD).map(({ attr }) => attr?.[24])).size).to.equal(1)
      },
      ({ command }) => (command === BPF_PROG_LOAD ? -EAGAIN : undefined),
    )
  })
})

describe('whatever system call fails', () => {
  const bpffs = useBpffs()
  let map: ArrayMap<number>
  let program: Program

  before(() => {
    map = ArrayMap.create({ name: 'failing', value: u32, maxEntries: 1 })
    program = Program.load({ type: 'sched_cls', name: 'failing_one', code: growing() })
  })
  after(() => {
    program?.close()
    map?.close()
  })

  const growing = () => bpf`
    r2 = 9000
    r3 = 0
    call bpf_skb_change_tail
    r1 = ${map} ll
    r0 = ${PASS}
    exit`

  const close = (it: { close(): void }) => it.close()

  /** What makes several calls, each of which may be the one that fails. */
  const OPERATIONS: readonly [what: string, run: () => unknown][] = [
    ['load', () => close(Program.load({ type: 'xdp', name: 'failing_two', code: bpf`r0 = 1\nexit` }))],
    [
      'load, with a log',
      () => close(Program.load({ type: 'xdp', name: 'failing_two', code: bpf`r0 = 1\nexit`, logLevel: 2 })),
    ],
    [
      'loadAsync',
      async () => close(await Program.loadAsync({ type: 'xdp', name: 'failing_two', code: bpf`r0 = 1\nexit` })),
    ],
    ['fromId', () => close(Program.fromId(program.id))],
    ['info', () => program.info()],
    ['instructions', () => program.instructions()],
    ['maps', () => Array.from(program.maps(), (each) => each.id)],
    ['run', () => program.run({ data: packet() })],
    ['runAsync', () => program.runAsync({ data: packet() })],
    ['a runner', () => program.runner({ data: packet(), dataOutSize: 9000 }).run()],
    ['bindMap', () => program.bindMap(map)],
    ['enableStats', () => close(enableStats())],
    [
      'pin, fromPin, unpin',
      () => {
        const path = join(bpffs.path, 'failing')
        try {
          program.pin(path)
          close(Program.fromPin(path))
        } finally {
          program.unpin(path)
        }
      },
    ],
    [
      'a walk',
      () => {
        for (const each of programs()) if (each.id === program.id) break
      },
    ],
  ]

  for (const [what, run] of OPERATIONS) {
    it(`${what} leaves nothing open, nor a program`, async function () {
      this.timeout(300_000)
      const fds = openFds()
      let hits = 0
      for (let nth = 0; nth < MANY; nth++) {
        let calls = 0
        let isHit = false
        const error = await recorded(
          async () => {
            try {
              await run()
              return undefined
            } catch (error) {
              return error as Error & { code?: string }
            }
          },
          ({ nr }) => {
            // What cannot be closed is still open.
            if (nr === NR.close || calls++ !== nth) return undefined
            isHit = true
            return -EMFILE
          },
        )
        expect(openFds(), `after call ${nth}`).to.equal(fds)
        if (!isHit) break
        hits++
        // A load is tried once more, with a log.
        if (error !== undefined) expect(error.code, error.stack).to.equal('EMFILE')
      }
      expect(hits).to.be.at.least(1)
      await eventually(() => named('failing_two').length === 0, 'no program is left')
      expect(errorOf(() => Program.fromPin(join(bpffs.path, 'failing'))).code).to.equal('ENOENT')
    })
  }
})
