/** Programs that count their runs, for specs that attach them. */
import { bpf, type Code, Program, type ProgramOptions } from '../../../lib'
import type { Stage } from '../attach/stage'

/** counters[index] += 1; what the registers held is gone, but for r6 to r9. */
export function counting(stage: Stage, index = 0): Code {
  return bpf`
          *(u32 *)(r10 - 4) = ${index}
          r1 = ${stage.counters} ll
          r2 = r10
          r2 += -4
          call bpf_map_lookup_elem
          if r0 == 0 goto counted
          r1 = 1
          lock *(u64 *)(r0 + 0) += r1
counted:  r1 = 0`
}

/** A program that counts its runs under the index and returns the result; the stage closes it. */
export function counter(
  stage: Stage,
  type: ProgramOptions['type'],
  result: number,
  { index = 0, ...more }: Partial<ProgramOptions> & { readonly index?: number } = {},
): Program {
  const code = bpf`
    ${counting(stage, index)}
    r0 = ${result}
    exit`
  return stage.using(Program.load({ type, name: `count${index}`, code, ...more }))
}
