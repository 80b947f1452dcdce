import { endianness } from 'node:os'
import { btfLoad } from '../../syscalls/bpf-btf'
import { rawTracepointOpen } from '../../syscalls/bpf-link'
import { type Answer, attempt, cannotTell, judge, no, YES } from './answer'
import { btfImage, functionTypes } from './btf-kinds'
import { trivial } from './instructions'
import { closing } from './map-types'
import { inWords, load } from './program-types'

const LE = endianness() === 'LE'

/** struct bpf_func_info: the first instruction, and the id of the function's type. */
function funcInfo(id: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(8))
  view.setUint32(4, id, LE)
  return new Uint8Array(view.buffer)
}

/** Replaces a program of our own, which nobody runs, by another. */
export function replaceForAMoment(): Answer {
  const { types, strings, functionId } = functionTypes()
  const made: { fd?: number } = {}
  const outcome = attempt(() => {
    made.fd = btfLoad({ btf: btfImage(types, strings) })
  })
  if (made.fd === undefined) return cannotTell(outcome.why)
  return closing(made.fd, (prog_btf_fd) => {
    const typed = { prog_btf_fd, func_info: funcInfo(functionId), func_info_rec_size: 8 }
    let answer: Answer | undefined
    const target = load('socket_filter', trivial, typed, (attach_prog_fd) => {
      const place = { ...typed, attach_prog_fd, attach_btf_id: functionId }
      const replacing = load('ext', trivial, place, (prog_fd) => {
        answer = judge(
          attempt(() => rawTracepointOpen({ prog_fd })),
          { no: ['EINVAL', 'ENOTSUPP'] },
        )
      })
      answer ??= refusal(replacing.code, inWords(replacing, 'a program that replaces another'), replacing.log)
    })
    return answer ?? cannotTell(inWords(target, 'a program to replace'))
  })
}

/** That the verifier does not like the program says that it looked at it as one that replaces another. */
function refusal(code: string, why: string, log: string): Answer {
  if (code !== 'EINVAL') return cannotTell(why)
  return log === '' ? no(why) : YES
}
