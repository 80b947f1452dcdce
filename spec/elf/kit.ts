/** What the specs of compiled objects share. */
import { existsSync, readFileSync } from 'node:fs'
import { endianness } from 'node:os'
import { join } from 'node:path'
import { BpfObject } from '../../lib/elf'
import { ROOT } from '../support/built'
import { pending, requireRoot } from '../support/kernel'

/** C sources and, beside them, what clang has made of them (build.sh): specs need no clang. */
const FIXTURES = join(ROOT, 'spec', 'fixtures')
/** The same of the stories. */
const STORIES = join(ROOT, 'progs', 'c')

export function fixture(name: string): string {
  const file = `${name}.bpf.o`
  return join(existsSync(join(STORIES, file)) ? STORIES : FIXTURES, file)
}

export function bytesOf(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(fixture(name)))
}

export function open(name: string): BpfObject {
  return BpfObject.open(fixture(name))
}

/** For a suite that reads objects: guests of `npm run test:kernels` have none, and they are for little-endian machines. */
export function needsFixtures(context: Mocha.Context): void {
  if (!existsSync(FIXTURES)) pending(context, 'no fixtures are here')
  if (endianness() !== 'LE') pending(context, 'the fixtures are for little-endian machines')
}

/** For one that loads them. */
export function needsKernel(context: Mocha.Context): void {
  needsFixtures(context)
  requireRoot(context)
}

/** A packet of 14 bytes: an Ethernet header. */
export const PACKET = new Uint8Array(14)
