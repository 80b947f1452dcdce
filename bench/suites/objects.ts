/**
 * Compiled objects, from the file to programs in the kernel, and closed again; against libbpf, which reads the same files.
 *
 * libbpf reads the kernel's BTF anew for each object with CO-RE relocations; this library keeps it for as long as it is
 * used, or nobody needs the memory. So such an object is measured twice: with what the one before has left, and without.
 * A fresh process finds nothing, neither what the kernel can do (libbpf) nor JavaScript that is compiled (here).
 */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { BpfObject } from '../../lib'
import { atMost, type Benchmark, peerSide, type Side, timed } from '../harness'
import { startObjectsPeer } from '../peers/libbpf'
import type { RawPeer } from '../peers/raw'
import { compileLibrary } from './startup'
import type { Suite } from './suite'

const ROOT = join(__dirname, '..', '..')

const OBJECTS = [
  {
    name: 'object',
    what: 'variables in four sections, four programs, no CO-RE',
    file: 'spec/fixtures/globals.bpf.o',
  },
  {
    name: 'object of maps',
    what: 'a map of maps and two other maps, a program of 167 instructions',
    file: 'progs/c/live-config.bpf.o',
  },
  {
    name: 'object CO-RE',
    what: "variables and a program with CO-RE relocations; ours has read the kernel's BTF before",
    file: 'spec/fixtures/core.bpf.o',
  },
] as const

const ANEW = 'object CO-RE, BTF anew'
const FRESH = OBJECTS.map(({ name }) => `${name}, fresh process`)

/** Objects loaded in one round; by libbpf fewer of those for which it reads the kernel's BTF. */
const LOADS = 20
const LOADS_WITH_BTF = 2

export const objects: Suite = { names: [...OBJECTS.map(({ name }) => name), ANEW, ...FRESH], benchmarks }

async function* benchmarks(): AsyncGenerator<Benchmark> {
  const libbpf = await startObjectsPeer()
  try {
    for (const { name, what, file } of OBJECTS) {
      const ofC = name === 'object CO-RE' ? LOADS_WITH_BTF : LOADS
      yield {
        name,
        what: `${what} (C: libbpf)`,
        rounds: 41,
        // Until the optimising compiler has seen all of it.
        warmUp: 60,
        baseline: 'C',
        sides: [
          c(libbpf, 'load', file, ofC),
          { name: 'ebpf-ts', operations: LOADS, round: (n) => timed(loads(file, n)) },
        ],
        goals: [atMost(2, 'ebpf-ts', 'C')],
      }
    }
    const { file } = OBJECTS[2]
    yield {
      name: ANEW,
      what: "the same, the kernel's BTF read and searched anew for each (C: libbpf)",
      rounds: 21,
      baseline: 'C',
      sides: [c(libbpf, 'load', file, 1), { name: 'ebpf-ts', operations: 1, round: () => forgetful(loads(file, 1)) }],
      goals: [atMost(2, 'ebpf-ts', 'C')],
    }
    for (const [i, { file }] of OBJECTS.entries()) {
      yield {
        name: FRESH[i] as string,
        what: `the first load of a process, which is not counted itself, nor what importing takes (C: libbpf)`,
        rounds: 15,
        warmUp: 1,
        baseline: 'C',
        sides: [c(libbpf, 'fresh', file, 1), peerSide('ebpf-ts', compileLibrary(), 1, ({ path }) => fresh(path, file))],
      }
    }
  } finally {
    if (typeof libbpf !== 'string') libbpf[Symbol.dispose]()
  }
}

function c(libbpf: RawPeer | string, how: 'load' | 'fresh', file: string, operations: number) {
  return peerSide(
    'C',
    libbpf,
    operations,
    (peer): Side['round'] =>
      (n) =>
        peer.run(`${how}:${join(ROOT, file)}`, n),
  )
}

function loads(file: string, times: number): () => void {
  const path = join(ROOT, file)
  return () => {
    for (let i = 0; i < times; i++) BpfObject.open(path).load().close()
  }
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** With the kernel's BTF no longer there: what nobody uses goes with the next collection of everything. */
async function forgetful(work: () => void): Promise<number> {
  await turn()
  collectGarbage()
  return timed(work)
}

function fresh(library: string, file: string): Side['round'] {
  const code = `
    const { BpfObject } = require(${JSON.stringify(library)})
    const start = process.hrtime.bigint()
    BpfObject.open(${JSON.stringify(join(ROOT, file))}).load().close()
    console.log(String(process.hrtime.bigint() - start))`
  return () => Number(execFileSync(process.execPath, ['-e', code], { encoding: 'utf8' }))
}
