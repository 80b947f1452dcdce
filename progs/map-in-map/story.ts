import { readdirSync, readlinkSync } from 'node:fs'
import { release } from 'node:os'
import { setImmediate as turn } from 'node:timers/promises'
import { inspect } from 'node:util'
import { HashMap, HashOfMaps, mapIds, u32, u64 } from '../../lib'
import { defineStory, type Say, wholeNumber } from '../support/story'
import { barChart, bold, dim, duration } from '../support/terminal'

/** What the inner maps look like: the template, as data. */
const Inner = HashMap.spec({ key: u32, value: u32, maxEntries: 128 })

const MANY = 1000

/** What a spec wants to know of a telling. */
export interface Told {
  readonly ids: readonly number[]
  readonly reads: { readonly old: number; readonly new: number; readonly mixed: number }
  readonly singleMs: number
  readonly batchMs: number
}

export const story = defineStory({
  summary: 'the life of a map of maps, step by step: what `npm start` tells',
  usage: `
An inner map is installed, read through its id, replaced under a reader, and deleted; then a thousand of them
one by one against all in one batch.

  --many N    how many are installed in the race (1000), up to 1024`,
  options: { many: { type: 'string', default: `${MANY}` } },
  tell: (say, { many }) => tell(say, wholeNumber('many', many, 1, 1024)),
})

/** The life of a map-in-map, step by step; every line shows what the kernel answered. */
export async function tell(say: Say, many = MANY): Promise<Told> {
  const ids: number[] = []
  const fdsBefore = mapFds()
  say(bold(`A map of maps, on Linux ${release()} (node ${process.version}, pid ${process.pid})`))

  say(heading(1, 'A template is data: nothing is in the kernel yet'))
  say(code('const Inner = HashMap.spec({ key: u32, value: u32, maxEntries: 128 })'))

  say(heading(2, 'An outer map: the kernel wants a template map, made and closed within create()'))
  say(code("using outer = HashOfMaps.create({ name: 'outer', key: u32, inner: Inner, maxEntries: 1024 })"))
  using outer = HashOfMaps.create({ name: 'outer', key: u32, inner: Inner, maxEntries: 1024 })
  ids.push(outer.id)
  say(shown(outer))

  insert(say, outer, ids)
  refuse(say, outer)
  const reads = await replaceUnderReader(say, outer)
  removeAll(say, outer, ids)
  const [singleMs, batchMs] = race(say, outer, many)
  leaveNothing(say, outer, ids, fdsBefore)
  return { ids, reads, singleMs, batchMs }
}

type Outer = HashOfMaps<number, HashMap<number, number>>

function insert(say: Say, outer: Outer, ids: number[]): void {
  say(heading(3, 'An inner map holding 12 → 34, under key 42: made, filled, installed and closed in one step'))
  say(code('outer.set(42, [[12, 34]])'))
  const start = performance.now()
  outer.set(42, [[12, 34]])
  const took = performance.now() - start
  say(`   done in ${duration(took)}: the kernel waits until no program can still see what was there before`)

  say(heading(4, 'What the kernel stored is not the fd that went in, but an id'))
  say(code('outer.idOf(42)'))
  const id = outer.idOf(42)
  if (id === undefined) throw new Error('the kernel lost the entry under key 42')
  ids.push(id)
  say(`   ${id}`)

  say(heading(5, 'Look up through that id, to the inner value'))
  say(code('outer.use(42, (inner) => inner.get(12))'))
  const value = outer.use(42, (inner) => inner.get(12))
  if (value !== 34) throw new Error(`12 → ${value} came back, not 34`)
  say(`   ${value}`)
  say(shown(outer.snapshot()))
}

function refuse(say: Say, outer: Outer): void {
  say(heading(6, 'An inner map that does not fit: the kernel would say EINVAL'))
  say(code('outer.set(43, HashMap.create({ key: u32, value: u64, maxEntries: 128 }))'))
  using misfit = HashMap.create({ key: u32, value: u64, maxEntries: 128 })
  try {
    // The compiler refuses it too; here is what happens without a compiler.
    outer.set(43, misfit as never)
  } catch (error) {
    say(`   ${error}`)
    return
  }
  throw new Error('a misfit inner map was taken')
}

/** Rows that all carry one generation, so that a mixture of two would be seen. */
function rowsOf(generation: number): [number, number][] {
  return Array.from({ length: 100 }, (_, key) => [key, generation])
}

async function replaceUnderReader(say: Say, outer: Outer): Promise<Told['reads']> {
  const rounds = 50
  say(heading(7, `The whole inner map replaced in one step, ${rounds} times, while a reader loops`))
  say(code('await outer.setAsync(42, rows)'))
  const reads = { old: 0, new: 0, mixed: 0 }
  outer.set(42, rowsOf(0))
  for (let generation = 1; generation <= rounds; generation++) {
    let waiting = true
    const replaced = outer.setAsync(42, rowsOf(generation)).finally(() => {
      waiting = false
    })
    while (waiting) {
      const seen = new Set(outer.use(42, (inner) => [...inner.values()]))
      if (seen.size !== 1) reads.mixed++
      else if (seen.has(generation)) reads.new++
      else reads.old++
      await turn()
    }
    await replaced
  }
  say(`   ${reads.old} reads saw the old map, ${reads.new} the new one, ${reads.mixed} a mixture`)
  return reads
}

function removeAll(say: Say, outer: Outer, ids: number[]): void {
  say(heading(8, 'Delete the entry: the inner map goes with its last reference'))
  say(code('outer.delete(42)'))
  const id = outer.idOf(42)
  if (id !== undefined) ids.push(id)
  say(`   ${outer.delete(42)}; map#${id} ${mapIds().includes(id ?? 0) ? 'is still there' : 'is gone'}`)
}

function race(say: Say, outer: Outer, many: number): [number, number] {
  say(heading(9, `${many} inner maps, one by one against all in one batch`))
  const entries = Array.from({ length: many }, (_, key): [number, [number, number][]] => [key, [[12, 34]]])
  const single = timed(() => {
    for (const [key, rows] of entries) outer.set(key, rows)
  })
  outer.clear()
  const batch = timed(() => outer.setMany(entries))
  if (outer.size !== many) throw new Error(`${outer.size} of ${many} inner maps are there`)
  const chart = barChart([
    { label: 'set, one by one', value: single, text: duration(single) },
    { label: 'setMany', value: batch, text: duration(batch) },
  ])
  for (const line of chart) say(`   ${line}`)
  say(`   ${Math.round(single / batch)} times faster: one wait for the kernel's grace period, not ${many}`)
  return [single, batch]
}

function leaveNothing(say: Say, outer: Outer, ids: number[], fdsBefore: readonly string[]): void {
  say(heading(10, 'Close the outer map, and look for what is left'))
  say(code('outer.close()'))
  for (const [, id] of outer) ids.push(id)
  outer.close()
  const left = waitForGone(ids)
  const fds = mapFds()
  say(
    `   of ${ids.length} map ids ${left.length} are left, and ${fds.length} map fds are open (${fdsBefore.length} before)`,
  )
  if (left.length > 0 || fds.length > fdsBefore.length) throw new Error(`left behind: ids ${left}, fds ${fds}`)
}

/** A map goes some microseconds after its last reference, or a grace period after it where a program sleeps. */
function waitForGone(ids: readonly number[]): number[] {
  const deadline = performance.now() + 2000
  let left: number[]
  do {
    const alive = new Set(mapIds())
    left = ids.filter((id) => alive.has(id))
  } while (left.length > 0 && performance.now() < deadline)
  return left
}

/** This process's fds of BPF maps, by what /proc says of them. */
function mapFds(): string[] {
  return readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:bpf-map'
    } catch {
      return false // The fd by which the folder itself was read.
    }
  })
}

function timed(run: () => void): number {
  const start = performance.now()
  run()
  return performance.now() - start
}

function heading(number: number, text: string): string {
  return `\n${bold(`${number}. ${text}`)}`
}

function code(line: string): string {
  return dim(`   > ${line}`)
}

function shown(value: unknown): string {
  return inspect(value)
    .split('\n')
    .map((line) => `   ${line}`)
    .join('\n')
}
