import { constants } from 'node:os'
import { duplicateFd } from '../../syscalls/fd'
import { bytes, u32, u64 } from '../codec'
import { findUsdt, type UsdtProbe } from '../elf-file/usdt'
import type { UsdtArgument } from '../elf-file/usdt-arguments'
import { UnsupportedError } from '../features/unsupported'
import { attachToPlaces, UsdtAttachment } from '../link/usdt'
import { ArrayMap, type BpfMap, HashMap } from '../map'
import type { Program } from '../program'
import { kernelVersion } from './kernel-config'

/**
 * What <bpf/usdt.bpf.h> expects of whoever attaches its programs: where the arguments of a place are is under a number in
 * its map, and the number is the place's cookie; before Linux 5.15, another map has the numbers by address.
 */

const SPECS = '__bpf_usdt_specs'
const BY_ADDRESS = '__bpf_usdt_ip_to_spec_id'

/** struct __bpf_usdt_spec: twelve arguments, a cookie, and how many there are. Later versions put more into arg_type's bytes. */
const ARGUMENT_BYTES = 16
const MOST_ARGUMENTS = 12
const COOKIE = MOST_ARGUMENTS * ARGUMENT_BYTES
const COUNT = COOKIE + 8
const SPEC_BYTES = COUNT + 8

/** enum __bpf_usdt_arg_type */
const CONSTANT = 0
const REGISTER = 1
const MEMORY = 2

/** The numbers that are given out, of one loaded object. */
export class UsdtSpecs {
  readonly #mapOf: (name: string) => BpfMap | undefined
  readonly #taken = new Set<number>()

  constructor(mapOf: (name: string) => BpfMap | undefined) {
    this.#mapOf = mapOf
  }

  /**
   * Attaches a program to all places of a probe. Errors: those of `attachUsdt`; TypeError where an argument is where
   * programs do not reach; RangeError where the map has no room.
   */
  attach(program: Program, path: string, provider: string, name: string, pid?: number): UsdtAttachment {
    const places = findUsdt(path, provider, name)
    const specs = this.#mapOf(SPECS)
    // It reads no arguments.
    if (specs === undefined) return attachToPlaces(program, path, places, { pid, cookieOf: () => undefined })
    if (specs.attributes.valueSize !== SPEC_BYTES) {
      throw new TypeError(`${SPECS} has values of ${specs.attributes.valueSize} bytes, and not of ${SPEC_BYTES}`)
    }
    using table = ArrayMap.fromFd(duplicateFd(specs.fd), { value: bytes(SPEC_BYTES) })
    const numbers = new Map<string, number>()
    const addresses: bigint[] = []
    const release = () => {
      for (const number of numbers.values()) this.#taken.delete(number)
      this.#forget(addresses)
    }
    try {
      const byAddress = kernelVersion() < kernelVersion('5.15')
      for (const place of places) {
        const text = place.arguments.map((each) => each.text).join(' ')
        let number = numbers.get(text)
        if (number === undefined) {
          const spec = specOf(place)
          number = this.#take(table.maxEntries)
          numbers.set(text, number)
          table.set(number, spec)
        }
        if (byAddress) this.#remember(place, number, addresses, `usdt ${path}:${provider}:${name}`)
      }
      const cookieOf = (place: UsdtProbe) =>
        byAddress ? undefined : numbers.get(place.arguments.map((each) => each.text).join(' '))
      return new Held(attachToPlaces(program, path, places, { pid, cookieOf }), release)
    } catch (error) {
      release()
      throw error
    }
  }

  #take(room: number): number {
    for (let number = 0; number < room; number++) {
      if (this.#taken.has(number)) continue
      this.#taken.add(number)
      return number
    }
    throw new RangeError(`${SPECS} is full: BPF_USDT_MAX_SPEC_CNT is ${room} in the object's source`)
  }

  /** Addresses in memory are known beforehand only of what is not moved by the loader. */
  #remember({ address, moves }: UsdtProbe, number: number, addresses: bigint[], what: string): void {
    if (moves) {
      const hint = () => 'the loader moves the file: which address a probe has in memory is not known beforehand'
      const about = { syscall: 'perf_event_open', command: 'perf_event_open', subject: { description: what, hint } }
      throw new UnsupportedError(constants.errno.EOPNOTSUPP, about, 'cookies of probes', '5.15')
    }
    using table = this.#byAddress()
    table?.set(address, number)
    addresses.push(address)
  }

  #forget(addresses: readonly bigint[]): void {
    if (addresses.length === 0) return
    using table = this.#byAddress()
    table?.deleteMany(addresses)
  }

  #byAddress(): HashMap<bigint, number> | undefined {
    const map = this.#mapOf(BY_ADDRESS)
    if (map === undefined || map.closed) return undefined
    return HashMap.fromFd(duplicateFd(map.fd), { key: u64, value: u32 })
  }
}

/** Gives the numbers back when it ends. */
class Held extends UsdtAttachment {
  #release: (() => void) | undefined

  constructor(made: UsdtAttachment, release: () => void) {
    super(made.links, made.description)
    this.#release = release
  }

  override close(): void {
    super.close()
    const release = this.#release
    this.#release = undefined
    release?.()
  }
}

function specOf(place: UsdtProbe): Uint8Array {
  const { provider, name, arguments: all } = place
  if (all.length > MOST_ARGUMENTS) {
    throw new TypeError(`probe ${provider}:${name} has ${all.length} arguments: programs read ${MOST_ARGUMENTS}`)
  }
  const spec = new Uint8Array(SPEC_BYTES)
  const view = new DataView(spec.buffer)
  for (const [i, argument] of all.entries()) writeArgument(view, i * ARGUMENT_BYTES, argument, place)
  view.setInt16(COUNT, all.length, LITTLE_ENDIAN)
  return spec
}

/** struct __bpf_usdt_arg_spec: val_off, arg_type, reg_off, arg_signed, arg_bitshift. */
function writeArgument(view: DataView, at: number, argument: UsdtArgument, probe: UsdtProbe): void {
  const { place, size, signed, text } = argument
  if (place === undefined || (place.kind === 'memory' && place.index !== undefined)) {
    throw new TypeError(`probe ${probe.provider}:${probe.name} has an argument where programs do not reach: ${text}`)
  }
  const value = place.kind === 'constant' ? place.value : place.kind === 'memory' ? place.offset : 0n
  view.setBigInt64(at, BigInt.asIntN(64, value), LITTLE_ENDIAN)
  view.setUint32(at + 8, { constant: CONSTANT, register: REGISTER, memory: MEMORY }[place.kind], LITTLE_ENDIAN)
  view.setInt16(at + 12, place.kind === 'constant' ? 0 : place.at, LITTLE_ENDIAN)
  view.setUint8(at + 14, signed ? 1 : 0)
  view.setUint8(at + 15, 64 - size * 8)
}

/** Processors whose registers are known here are all little-endian. */
const LITTLE_ENDIAN = true
