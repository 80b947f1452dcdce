import { expect } from 'chai'
import { struct, u32 } from '../../lib'
import { requireLinux } from '../support/attach/require'
import { errorOf } from '../support/error'
import { requireRoot } from '../support/kernel'
import { marking, packet } from './kit'

/** As sending it to a worker does. */
function takeAway({ buffer }: Uint8Array): void {
  structuredClone(buffer, { transfer: [buffer as ArrayBuffer] })
}

describe('the packets of program.run', () => {
  beforeEach(function () {
    requireRoot(this)
  })

  it('after a run are kept as they were, however many runs follow', () => {
    using program = marking(1)
    const data = packet(100)
    // More than go into one slab.
    const results = Array.from({ length: 2000 }, (_, i) => {
      data[0] = i & 0xff
      data[99] = i >> 8
      return program.run({ data })
    })
    for (const [i, { retval, data: after }] of results.entries()) {
      expect([retval, after.length, after[0], after[1], after[99]]).to.deep.equal([
        i & 0xff,
        100,
        i & 0xff,
        0xee,
        i >> 8,
      ])
    }
    expect(data[1]).to.equal(1)
  })

  it('after a run may be written, to no effect on the others', () => {
    using program = marking(1)
    const data = packet(60)
    const results = Array.from({ length: 20 }, () => program.run({ data }).data)
    const before = results.map((after) => [...after])
    results[10]?.fill(0xff)
    results.forEach((after, i) => {
      if (i !== 10) expect([...after]).to.deep.equal(before[i])
    })
    expect(program.run({ data }).data).to.deep.equal(results[0])
  })

  it('are taken from the same array again and again, as it is then', () => {
    using program = marking(1)
    const [a, b] = [packet(20), packet(20)]
    const seen = [a, a, a, b, b, a, b, b, b].map((data, i) => {
      data[0] = i
      return program.run({ data }).retval
    })
    expect(seen).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8])
  })

  it('are taken from a part of a larger array, of shared memory, and of what may shrink', () => {
    using program = marking(1)
    // Of Linux's Node.js 20 on; TypeScript's es2022 knows none.
    const Resizable = ArrayBuffer as unknown as new (bytes: number, options: { maxByteLength: number }) => ArrayBuffer
    const shrinking = new Resizable(200, { maxByteLength: 200 })
    for (const buffer of [new ArrayBuffer(200), new SharedArrayBuffer(200), shrinking]) {
      const data = new Uint8Array(buffer, 100, 50)
      for (const value of [3, 4, 5]) {
        data[0] = value
        const { retval, data: after } = program.run({ data })
        expect([retval, after.length, after[0]]).to.deep.equal([value, 50, value])
      }
    }
    const view = new DataView(new ArrayBuffer(40), 8, 20)
    for (const value of [6, 7, 8]) {
      view.setUint8(0, value)
      expect(program.run({ data: view }).retval).to.equal(value)
    }
  })

  it('that have been taken away are refused', () => {
    using program = marking(1)
    const data = packet(20)
    program.run({ data })
    program.run({ data })
    takeAway(data)
    expect(errorOf(() => program.run({ data })).message).to.include('data has 0 bytes')
    expect(program.run({ data: packet(20) }).retval).to.equal(0)
  })

  it('are refused too where the codec of the context takes them away', function () {
    requireLinux(this, 5, 15, 'contexts of XDP programs')
    using program = marking(1)
    const data = packet(20)
    const six = struct({ data: u32, dataEnd: u32, meta: u32, ifindex: u32, queue: u32, egress: u32 })
    let taking = false
    const codec = {
      ...six,
      size: six.size,
      read: six.read.bind(six),
      write(view: DataView, at: number, value: never) {
        six.write(view, at, value)
        if (taking) takeAway(data)
      },
    }
    const value = { data: 0, dataEnd: 20, meta: 0, ifindex: 0, queue: 0, egress: 0 }
    const ctx = { codec: codec as typeof six, value }
    program.run({ data, ctx })
    program.run({ data, ctx })
    taking = true
    expect(errorOf(() => program.run({ data, ctx }))).to.be.instanceOf(RangeError)
  })

  it('after a run cannot take the memory of the others along', () => {
    using program = marking(1)
    const data = packet(20)
    const [first, second, third] = [program.run({ data }), program.run({ data }), program.run({ data })]
    for (const { data: after } of [first, second]) {
      try {
        takeAway(after)
      } catch (error) {
        // From Node.js 21 on.
        expect((error as Error).name).to.equal('DataCloneError')
      }
    }
    expect(third.data).to.have.length(20)
    expect(program.run({ data }).data).to.deep.equal(third.data)
  })

  it('stay what they are while another run is under way', async () => {
    using program = marking(1)
    const data = packet(20)
    const before = program.run({ data }).data
    const running = Array.from({ length: 8 }, (_, i) => {
      data[0] = i
      return program.runAsync({ data })
    })
    data[0] = 99
    const results = await Promise.all(running)
    expect(results.map(({ retval }) => retval)).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7])
    expect(results.map(({ data: after }) => after[0])).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7])
    expect([before[0], before[1]]).to.deep.equal([0, 0xee])
    expect(program.run({ data }).data[0]).to.equal(99)
  })
})
