import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { ElfError, usdtProbes } from '../../lib'
import { memorySource } from '../../lib/elf-file/source'
import { findUsdt, usdtOf } from '../../lib/elf-file/usdt'
import { readArguments } from '../../lib/elf-file/usdt-arguments'
import { errorOf } from '../support/error'

const TARGET = join(__dirname, '../fixtures/usdt.x86_64')
const EM_X86_64 = 62
const EM_AARCH64 = 183

describe('USDT probes of a file', () => {
  it('are read with their places and arguments', () => {
    const probes = usdtProbes(TARGET)
    expect(probes.map(({ provider, name }) => `${provider}:${name}`)).to.deep.equal([
      'demo:tick',
      'demo:guarded',
      'demo:tick',
      'demo:beyond',
    ])
    const file = readFileSync(TARGET)
    const NOP = 0x90
    for (const { offset } of probes) expect(file[offset]).to.equal(NOP)
    expect(new Set(probes.map(({ offset }) => offset)).size).to.equal(4)
    const [tick, guarded, again, beyond] = probes
    expect([tick?.semaphore, again?.semaphore, tick?.moves]).to.deep.equal([undefined, undefined, false])
    expect(guarded?.semaphore).to.be.within(1, file.length - 2)
    expect(tick?.arguments.map(({ size, signed }) => [size, signed])).to.deep.equal([
      [4, true],
      [1, false],
      [8, true],
      [4, true],
    ])
    expect(tick?.arguments[2]?.place).to.deep.equal({ kind: 'constant', value: -9n })
    expect(again?.arguments[0]?.place).to.deep.equal({ kind: 'constant', value: 1000n })
    expect(tick?.arguments[3]?.place?.kind).to.equal('memory')
    expect(beyond?.arguments).to.deep.equal([{ text: '8f@%xmm0', size: 8, signed: false, place: undefined }])
  })

  it('are none where a file was built without', () => {
    const without = join(__dirname, '../fixtures/maps.bpf.o')
    expect(usdtProbes(without)).to.deep.equal([])
    const error = errorOf(() => findUsdt(without, 'demo', 'tick')) as ElfError
    expect(error.code).to.equal('ENOENT')
    expect(error.message).to.include('the file has no USDT probes')
  })

  it('that are not there are told with what is near', () => {
    const error = errorOf(() => findUsdt(TARGET, 'demo', 'tik')) as ElfError
    expect(error).to.be.instanceOf(ElfError)
    expect(error.message).to.include("no probe demo:tik: did you mean 'demo:tick'?")
  })

  it('of a file that says what cannot be are an ElfError', () => {
    const whole = new Uint8Array(readFileSync(TARGET))
    let refused = 0
    for (let at = 0; at < whole.length; at++) {
      for (const value of [0, 0xff, 0x7f, 0x80]) {
        const bytes = whole.slice()
        bytes[at] = value
        try {
          usdtOf(memorySource(bytes, 'a file'))
        } catch (error) {
          expect(error, `byte ${at} = ${value}`).to.be.instanceOf(ElfError)
          refused++
        }
      }
    }
    expect(refused).to.be.above(100)
    for (let length = 0; length < whole.length; length += 7) {
      try {
        usdtOf(memorySource(whole.slice(0, length), 'a file'))
      } catch (error) {
        expect(error, `${length} bytes`).to.be.instanceOf(ElfError)
      }
    }
  })

  describe('have arguments', () => {
    const placesOf = (text: string, machine: number) => readArguments(text, machine).map(({ place }) => place)

    it('in the words of x86-64', () => {
      expect(placesOf('-4@%edi 8@%r15 1@%bl 2@%r9w', EM_X86_64)).to.deep.equal([
        { kind: 'register', register: 'edi', at: 112 },
        { kind: 'register', register: 'r15', at: 0 },
        { kind: 'register', register: 'bl', at: 40 },
        { kind: 'register', register: 'r9w', at: 64 },
      ])
      expect(placesOf('-4@-1204(%rbp) 8@(%rax) 8@0x10(%rsp) 8@16(%rdx,%rcx,8)', EM_X86_64)).to.deep.equal([
        { kind: 'memory', register: 'rbp', at: 32, offset: -1204n },
        { kind: 'memory', register: 'rax', at: 80, offset: 0n },
        { kind: 'memory', register: 'rsp', at: 152, offset: 16n },
        { kind: 'memory', register: 'rdx', at: 96, offset: 16n, index: { register: 'rcx', at: 88, scale: 8 } },
      ])
      expect(placesOf('-4@$-9 8@$0xff 4@counter(%rip) 8f@%xmm0 16@%rax', EM_X86_64)).to.deep.equal([
        { kind: 'constant', value: -9n },
        { kind: 'constant', value: 255n },
        undefined,
        undefined,
        undefined,
      ])
    })

    it('in the words of arm64, with blanks in them', () => {
      expect(placesOf('-4@w3 8@[sp, 60] 8@[x1] 8@[x0, -8] -4@5 8@sp', EM_AARCH64)).to.deep.equal([
        { kind: 'register', register: 'w3', at: 24 },
        { kind: 'memory', register: 'sp', at: 248, offset: 60n },
        { kind: 'memory', register: 'x1', at: 8, offset: 0n },
        { kind: 'memory', register: 'x0', at: 0, offset: -8n },
        { kind: 'constant', value: 5n },
        { kind: 'register', register: 'sp', at: 248 },
      ])
    })

    it('or none', () => {
      expect(readArguments('', EM_X86_64)).to.deep.equal([])
    })
  })
})
