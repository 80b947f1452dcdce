/** Programs loaded, and run by themselves: what the library adds to what the kernel does. */
import { assemble, bpf, Program } from '../../lib/index'
import { atMost, type Benchmark, noMoreThan, peerSide, timed } from '../harness'
import { LOAD_INSNS, PACKET_BYTES } from '../workload'
import { allocated } from './allocated'
import type { Peers, Suite } from './suite'

const RUNS = 5_000
const LOADS = 100
const PASS = 2

export const programs: Suite = { names: ['program.run', 'allocation of runner.run', 'Program.load'], benchmarks }

async function* benchmarks({ raw }: Peers): AsyncGenerator<Benchmark> {
  using program = Program.load({
    type: 'xdp',
    name: 'bench',
    code: bpf`
      r0 = ${PASS}
      exit`,
  })
  if (typeof raw !== 'string') await raw.run('open_prog', program.id)
  const data = new Uint8Array(PACKET_BYTES)
  const runner = program.runner({ data })
  const prepared = (n: number) => () => {
    for (let i = 0; i < n; i++) if (runner.run() !== PASS) throw new Error('not what the program returns')
  }

  yield {
    name: 'program.run',
    what: `one run of an XDP program on a packet of ${PACKET_BYTES} bytes, which is read back`,
    rounds: 61,
    baseline: 'C',
    sides: [
      peerSide('C', raw, RUNS, (c) => (n) => c.run('test_run', n)),
      { name: 'ebpf-ts', operations: RUNS, round: (n) => timed(() => runs(program, data, n)) },
      { name: 'ebpf-ts runner', operations: RUNS, round: (n) => timed(prepared(n)) },
    ],
    goals: [atMost(1.3, 'ebpf-ts', 'C'), atMost(1.15, 'ebpf-ts runner', 'C')],
  }

  const measure = allocated()
  yield {
    name: 'allocation of runner.run',
    what: 'bytes that one prepared run allocates, in steady state',
    unit: 'bytes',
    warmUp: 100,
    rounds: 101,
    sides: [
      { name: 'ebpf-ts runner', operations: 1000, round: (n) => measure(prepared(n)) },
      { name: 'ebpf-ts', operations: 1000, round: (n) => measure(() => runs(program, data, n)) },
    ],
    goals: [noMoreThan(0, 'bytes', 'ebpf-ts runner')],
  }

  const lines = Array.from({ length: LOAD_INSNS - 1 }, (_, i) => `r0 = ${i}`)
  const code = assemble([...lines, 'exit'].join('\n'))
  yield {
    name: 'Program.load',
    what: `one program of ${LOAD_INSNS} instructions loaded, and closed`,
    rounds: 61,
    warmUp: 20,
    baseline: 'C',
    sides: [
      peerSide('C', raw, LOADS, (c) => (n) => c.run('load', n)),
      { name: 'ebpf-ts', operations: LOADS, round: (n) => timed(() => loads({ type: 'xdp', name: 'bench', code }, n)) },
    ],
    goals: [atMost(1.3, 'ebpf-ts', 'C')],
  }
}

function runs(program: Program, data: Uint8Array, n: number): void {
  for (let i = 0; i < n; i++) {
    const { retval, data: after } = program.run({ data })
    if (retval !== PASS || after.length !== data.length) throw new Error('not what the program returns')
  }
}

function loads(options: Parameters<typeof Program.load>[0], n: number): void {
  for (let i = 0; i < n; i++) Program.load(options).close()
}
