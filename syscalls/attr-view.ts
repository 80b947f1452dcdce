// Its typed constructor is generic in a way that `extends` does not take.
const View: new (buffer: ArrayBuffer) => DataView = DataView

/**
 * The view through which a cold call packs its attr: DataView takes any number modulo 2^32, NaN and undefined as 0, and
 * `max_entries: 2 ** 32 + 1` would be a map of one entry. This one refuses what does not fit, and says which field.
 */
export class AttrView extends View {
  readonly #fields: unknown

  constructor(buffer: ArrayBuffer, fields: unknown) {
    super(buffer)
    this.#fields = fields
  }

  override setUint8(offset: number, value: number): void {
    this.#check(value, 0, 0xff)
    super.setUint8(offset, value)
  }

  override setUint32(offset: number, value: number, littleEndian?: boolean): void {
    this.#check(value, 0, 0xffffffff)
    super.setUint32(offset, value, littleEndian)
  }

  override setInt32(offset: number, value: number, littleEndian?: boolean): void {
    this.#check(value, -0x80000000, 0x7fffffff)
    super.setInt32(offset, value, littleEndian)
  }

  override setBigUint64(offset: number, value: bigint, littleEndian?: boolean): void {
    if (typeof value !== 'bigint' || value < 0n || value > 0xffff_ffff_ffff_ffffn) throw this.#misfit(value, 'a u64')
    super.setBigUint64(offset, value, littleEndian)
  }

  #check(value: number, least: number, most: number): void {
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return
    throw this.#misfit(value, `an integer from ${least} to ${most}`)
  }

  #misfit(value: unknown, wanted: string): Error {
    const text = `${nameOf(this.#fields, value) ?? 'a field'} is ${String(value)}, not ${wanted}`
    return typeof value === 'number' || typeof value === 'bigint' ? new RangeError(text) : new TypeError(text)
  }
}

/** The field that has this value; asked only once it is known to be wrong. */
function nameOf(fields: unknown, value: unknown): string | undefined {
  if (typeof fields !== 'object' || fields === null) return undefined
  for (const [name, field] of Object.entries(fields)) {
    if (Object.is(field, value)) return name
    const inner = nameOf(field, value)
    if (inner !== undefined) return `${name}.${inner}`
  }
  return undefined
}
