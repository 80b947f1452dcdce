/**
 * What a program of a hundred instructions costs from its text to its bytes, and back. No other assembler of BPF text
 * for Node.js is known: the figures stand alone.
 */
import { assemble, bpf, type Code, disassemble } from '../../lib'
import { type Benchmark, noMoreThan, timed } from '../harness'
import type { Suite } from './suite'

export const asm: Suite = { names: ['assemble'], benchmarks }

const MAP = { fd: 3 }

/** Ten instructions as programs are made of: a lookup, a few checks, some arithmetic. */
const part = (key: number): Code => bpf`
        *(u32 *)(r10 - 4) = ${key}
        r1 = ${MAP} ll
        r2 = r10
        r2 += -4
        call bpf_map_lookup_elem
        if r0 == 0 goto next           // nothing there
        r1 = *(u64 *)(r0 + 8)
        r1 <<= 3
        lock *(u64 *)(r0 + 0) += r1
        if w1 s> 100 goto next
  next:`

/** Ten of them, one after the other. */
function program(): Code {
  const [a, b, c, d, e, f, g, h, i, j] = Array.from({ length: 10 }, (_, key) => part(key)) as Parts
  return bpf`
    ${a}
    ${b}
    ${c}
    ${d}
    ${e}
    ${f}
    ${g}
    ${h}
    ${i}
    ${j}`
}

type Parts = [Code, Code, Code, Code, Code, Code, Code, Code, Code, Code]

async function* benchmarks(): AsyncGenerator<Benchmark> {
  const bytes = program().bytes()
  const text = disassemble(bytes, { labels: true })
  const whole = assemble(text)
  const side = (name: string, operations: number, work: () => { length: number }) => ({
    name,
    operations,
    round: (n: number) =>
      timed(() => {
        for (let i = 0; i < n; i++) if (work().length === 0) throw new Error('there is no program')
      }),
  })
  yield {
    name: 'assemble',
    what: 'a program of 100 instructions: from text to bytes, from eleven templates, bytes alone, and back to text',
    rounds: 15,
    sides: [
      side('text to bytes', 300, () => assemble(text).bytes()),
      side('eleven templates', 300, () => program().bytes()),
      side('bytes of code', 3000, () => whole.bytes()),
      side('disassemble', 300, () => disassemble(bytes, { labels: true })),
    ],
    goals: [noMoreThan(200_000, 'ns', 'text to bytes')],
  }
}
