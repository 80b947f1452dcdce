/**
 * What the kernel's types cost, of which there are more than a hundred thousand: to open them and find one by its name,
 * and to find as many as a program with CO-RE relocations may ask for.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { Btf } from '../../lib'
import { atMost, type Benchmark, fasterThan, peerSide, timed } from '../harness'
import { startBtfPeer } from '../peers/libbpf'
import type { Suite } from './suite'

const PATH = '/sys/kernel/btf/vmlinux'

/** Times that it is opened in one round. */
const OPENED = 4

const NAMES = 500

export const btf: Suite = { names: ['btf open', 'btf find', 'btf print'], benchmarks }

async function* benchmarks(): AsyncGenerator<Benchmark> {
  const libbpf = await startBtfPeer()
  const names = namesFarApart()
  try {
    yield {
      name: 'btf open',
      what: "the kernel's BTF from its file, and a struct in it by its name (C: libbpf)",
      rounds: 21,
      baseline: 'C',
      sides: [
        peerSide('C', libbpf, OPENED, (c) => (n) => c.run('btf_open', n)),
        { name: 'ebpf-ts', operations: OPENED, round: (n) => timed(() => open(n)) },
      ],
      goals: [atMost(2, 'ebpf-ts', 'C')],
    }
    yield {
      name: 'btf find',
      what: 'each of 500 structs by its name, in BTF that is open; nothing of ours is indexed before (C: libbpf)',
      rounds: 21,
      baseline: 'C',
      sides: [
        peerSide('C', libbpf, NAMES, (c) => (n) => c.run('btf_find', n)),
        {
          name: 'ebpf-ts',
          operations: NAMES,
          round: () => {
            const fresh = Btf.parse(readFileSync(PATH))
            return timed(() => find(fresh, names))
          },
        },
      ],
      goals: [fasterThan('C', 'ebpf-ts', 5)],
    }
    const bpftool = bpftoolPrints()
    yield {
      name: 'btf print',
      what: "all of the kernel's types as C, which is vmlinux.h: by bpftool, with the start of its process",
      rounds: 9,
      warmUp: 2,
      baseline: 'bpftool',
      sides: [
        typeof bpftool === 'string'
          ? { name: 'bpftool', absent: bpftool }
          : { name: 'bpftool', operations: 1, round: () => timed(bpftool) },
        { name: 'ebpf-ts', operations: 1, round: () => timed(() => void Btf.parse(readFileSync(PATH)).toC()) },
      ],
      goals: [atMost(2, 'ebpf-ts', 'bpftool')],
    }
  } finally {
    if (typeof libbpf !== 'string') libbpf[Symbol.dispose]()
  }
}

/** A run of bpftool; or why there is none. */
function bpftoolPrints(): (() => void) | string {
  const print = () => {
    const { error, status, stderr } = spawnSync('bpftool', ['btf', 'dump', 'file', PATH, 'format', 'c'], {
      maxBuffer: 2 ** 26,
    })
    if (error) throw error
    if (status !== 0) throw new Error(`bpftool: ${stderr}`)
  }
  try {
    print()
    return print
  } catch (error) {
    return `no bpftool (Debian: apt-get install bpftool): ${(error as Error).message}`
  }
}

function open(times: number): void {
  for (let i = 0; i < times; i++) find(Btf.parse(readFileSync(PATH)), ['task_struct'])
}

function find(from: Btf, names: readonly string[]): void {
  for (const name of names) if (from.find(name, 'struct') === undefined) throw new Error(`there is no struct ${name}`)
}

/** Every k-th struct that has a name, as in peers/btf.c. */
function namesFarApart(): string[] {
  const named = [...Btf.kernel().types('struct')].filter(({ name }) => name !== '')
  return Array.from(
    { length: NAMES },
    (_, i) => (named[Math.floor((i * named.length) / NAMES)] as { name: string }).name,
  )
}
