/** Assemblers of another kind begin an instruction with what it does: `mov r0, 0`. What to write here instead, by its words. */

const OPERATIONS: Readonly<Record<string, string>> = {
  ...{ mov: '=', movsx: '= (s8)', add: '+=', sub: '-=', mul: '*=', div: '/=', sdiv: 's/=', mod: '%=', smod: 's%=' },
  ...{ or: '|=', and: '&=', xor: '^=', lsh: '<<=', rsh: '>>=', arsh: 's>>=' },
}
const COMPARISONS: Readonly<Record<string, string>> = {
  ...{ jeq: '==', jne: '!=', jgt: '>', jge: '>=', jlt: '<', jle: '<=', jset: '&' },
  ...{ jsgt: 's>', jsge: 's>=', jslt: 's<', jsle: 's<=' },
}
const SIZES: Readonly<Record<string, string>> = { b: 'u8', h: 'u16', w: 'u32', dw: 'u64' }

/** `r0 = 0` for 'mov'; undefined for what is no such word. */
export function insteadOf(mnemonic: string): string | undefined {
  const [, word = '', bits] = /^([a-z]+?)(32|64)?$/i.exec(mnemonic)?.map((part) => part?.toLowerCase()) ?? []
  const register = bits === '32' ? 'w' : 'r'
  const operation = Object.hasOwn(OPERATIONS, word) ? OPERATIONS[word] : undefined
  if (operation !== undefined) {
    const right = word === 'movsx' ? `${register}1` : ` ${word === 'mov' ? 0 : 5}`
    return `${register}0 ${operation}${right}`
  }
  const comparison = Object.hasOwn(COMPARISONS, word) ? COMPARISONS[word] : undefined
  if (comparison !== undefined) return `if ${register}0 ${comparison} 5 goto out`
  const [, access, sign = '', letters = ''] = /^(ldx|stx|st)(s?)(b|h|w|dw)$/.exec(word) ?? []
  const memory = sign === '' ? SIZES[letters] : SIZES[letters]?.replace('u', 's')
  if (access === 'ldx') return `r0 = *(${memory} *)(r1 + 0)`
  if (access !== undefined) return `*(${memory} *)(r10 - 8) = ${access === 'st' ? 5 : 'r1'}`
  if (word === 'neg') return `${register}0 = -${register}0`
  if (word === 'lddw' || word === 'ld_imm64') return 'r0 = 5 ll'
  if (word === 'ja' || word === 'jmp') return 'goto out'
  return word === 'ret' ? 'exit' : undefined
}
