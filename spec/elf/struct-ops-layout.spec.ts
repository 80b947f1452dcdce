import { expect } from 'chai'
import { Btf, BtfBuilder } from '../../lib'
import type { BtfStruct } from '../../lib/btf'
import type { PlacedStructOps } from '../../lib/elf/struct-ops'
import { findStruct, planStructOps } from '../../lib/elf/struct-ops-layout'
import { errorOf } from '../support/error'

/** A member by its name, its type and its place in bytes. */
type Row = readonly [name: string, type: keyof Ids, at: number, bits?: number]

interface Ids {
  readonly u32: number
  readonly u64: number
  readonly pair: number
  readonly pointer: number
  readonly function: number
}

/** BTF with a struct `ops`, and with what the kernel keeps around it, where it is the kernel's. */
function btfWith(size: number, rows: readonly Row[], dataAt?: number): Btf {
  const builder = new BtfBuilder()
  const u32 = builder.add({ kind: 'int', name: 'unsigned int', size: 4 })
  const u64 = builder.add({ kind: 'int', name: 'unsigned long', size: 8 })
  const proto = builder.add({ kind: 'func_proto', returns: 0, params: [] })
  const pair = builder.add({
    ...{ kind: 'struct', name: 'pair', size: 8 },
    members: [
      { name: 'a', type: u32, bitOffset: 0 },
      { name: 'b', type: u32, bitOffset: 32 },
    ],
  })
  const ids: Ids = {
    ...{ u32, u64, pair },
    pointer: builder.add({ kind: 'ptr', type: u32 }),
    function: builder.add({ kind: 'ptr', type: proto }),
  }
  const members = rows.map(([name, type, at, bitfieldSize = 0]) => {
    return { name, type: ids[type], bitOffset: 8 * at, bitfieldSize }
  })
  const ops = builder.add({ kind: 'struct', name: 'ops', size, members })
  if (dataAt !== undefined) {
    const value = [
      { name: 'state', type: u32, bitOffset: 0 },
      { name: 'data', type: ops, bitOffset: 8 * dataAt },
    ]
    builder.add({ kind: 'struct', name: 'bpf_struct_ops_ops', size: dataAt + size, members: value })
  }
  return Btf.parse(builder.bytes())
}

/** What an object says, and what becomes of it. */
function planned(
  mine: { size: number; rows: readonly Row[]; bytes?: readonly number[]; programs?: Record<string, string> },
  kernel: { size: number; rows: readonly Row[] },
) {
  const btf = btfWith(mine.size, mine.rows)
  const type: BtfStruct = btf.require('ops', 'struct')
  const bytes = new Uint8Array(mine.size)
  bytes.set(mine.bytes ?? [])
  const ops = { struct: 'ops', programs: mine.programs ?? {}, values: {}, autoattach: true }
  const placed = { map: { name: 'mine' }, ops, type, bytes } as unknown as PlacedStructOps
  const found = findStruct('ops', [{ btf: btfWith(kernel.size, kernel.rows, 64), module: undefined }])
  if (found === undefined) throw new Error('the kernel has no such struct')
  return planStructOps(placed, btf, found)
}

const MEMBERS: readonly Row[] = [
  ['run', 'function', 0],
  ['flags', 'u32', 8],
  ['size', 'u64', 16],
]

describe('a struct of functions in the kernel', () => {
  it('is looked for in the kernel, and then in its modules', () => {
    const none = { btf: btfWith(24, MEMBERS), module: undefined }
    const module = { btf: btfWith(24, MEMBERS, 64), module: 'one' }
    const found = findStruct('ops', [none, module, { ...module, module: 'another' }])
    expect(found).to.include({ module: 'one', at: 64 })
    expect(found?.type.name).to.equal('ops')
    expect(found?.value).to.include({ name: 'bpf_struct_ops_ops', size: 88 })
    expect(findStruct('ops', [none])).to.equal(undefined)
    expect(findStruct('other', [none, module])).to.equal(undefined)
  })

  it('takes members by name, wherever it has them, and functions by their number', () => {
    const rows: readonly Row[] = [
      ['size', 'u64', 0],
      ['more', 'u64', 8],
      ['flags', 'u32', 16],
      ['run', 'function', 24],
    ]
    const bytes = [...Array(8).fill(0), 1, 2, 3, 4, 0, 0, 0, 0, 9, 8, 7]
    const { value, functions } = planned(
      { size: 24, rows: MEMBERS, bytes, programs: { run: 'go' } },
      { size: 32, rows },
    )
    expect(functions).to.deep.equal([{ program: 'go', member: 'run', index: 3, at: 64 + 24 }])
    const wanted = new Uint8Array(96)
    wanted.set([9, 8, 7], 64)
    wanted.set([1, 2, 3, 4], 64 + 16)
    expect(value).to.deep.equal(wanted)
  })

  it('is not like that of the object, which is said', () => {
    const refused = (
      mine: Row,
      its: Row | undefined,
      bytes: readonly number[] = [],
      programs?: Record<string, string>,
    ) =>
      errorOf(() =>
        planned(
          { size: 16, rows: [mine], bytes, ...(programs && { programs }) },
          { size: 16, rows: its === undefined ? [] : [its] },
        ),
      )
    const sizes = refused(['n', 'u64', 0], ['n', 'u32', 0])
    expect(sizes).to.be.instanceOf(RangeError)
    expect(sizes.message).to.equal("member 'n' of struct_ops 'mine': it has 8 bytes here, and 4 in this kernel")
    expect(refused(['n', 'u64', 0], ['n', 'pair', 0]).message).to.match(
      /it is unsigned long here, and struct pair in this kernel/,
    )
    expect(refused(['n', 'u32', 0, 3], ['n', 'u32', 0]).message).to.match(/it is a bit field/)
    expect(refused(['n', 'u32', 0, 3], undefined, [1]).message).to.match(
      /this kernel's struct ops has none, and it is not zero/,
    )
    const none = refused(['n', 'function', 0], ['n', 'pointer', 0], [], { n: 'go' })
    expect(none.message).to.match(/it is a program here, and no function in this kernel/)
    expect(refused(['n', 'pointer', 0], ['n', 'pointer', 0], [1]).message).to.match(/a pointer to what is no function/)
    expect(refused(['', 'pair', 0], ['', 'pair', 0], [1]).message).to.match(
      /^a member without a name of struct_ops 'mine'/,
    )
  })

  it('may lack what is zero, and functions that are no programs', () => {
    const rows: readonly Row[] = [...MEMBERS, ['old', 'function', 24], ['older', 'pair', 32], ['', 'u64', 40]]
    const { value, functions } = planned({ size: 48, rows }, { size: 24, rows: MEMBERS })
    expect(functions).to.deep.equal([])
    expect(value).to.deep.equal(new Uint8Array(88))
  })
})
