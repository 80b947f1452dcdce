import { setTimeout as pause } from 'node:timers/promises'
import { Live, table } from '../support/live'
import { OBJECT_OPTION, objectUsage, sourceLine } from '../support/object'
import { defineStory, type Say, StoryError, wholeNumber } from '../support/story'
import { bold, dim } from '../support/terminal'
import { mountedTracefs } from '../support/tracefs'
import { Ledger, type Row } from './ledger'
import { type Call, COMMANDS, Shell } from './shell'
import { syscallName, syscallNumber } from './syscalls'
import { UidSyscalls } from './tracer'

/** Users whom nobody is: from the range that systemd's UIDS-GIDS.md calls unused. */
const ONE = 60600
const OTHER = 60601

/** What each user's shell is made to call in a round. */
const ROUND = { chdir: 3, openat: 2, kill: 1 } as const satisfies Record<Call, number>
const CALLS = Object.keys(ROUND) as Call[]

const FIRST: readonly Call[] = ['chdir', 'openat']
const THEN: readonly Call[] = ['kill']
const OTHERS: readonly Call[] = ['kill']

/** What a spec wants to know of a telling. */
export interface Told {
  readonly rows: readonly Row[]
  readonly mapIds: readonly number[]
}

export const story = defineStory({
  summary: "traces system calls by user: each user's set of calls is an inner map, replaced while it runs",
  usage: `
A program runs with every system call of the machine. It looks the caller's user id up in a map of maps, then the call's
number in the inner map that is there, and counts what it finds. Two shells, as two users (${ONE} and ${OTHER}), make the same
calls; each user is asked about other ones. Half-way the set of one user is replaced by another.

  --rounds N    how often each shell makes its calls (60)
  --pause MS    milliseconds between the rounds (100)
${objectUsage('uid-syscalls')}`,
  options: { rounds: { type: 'string', default: '60' }, pause: { type: 'string', default: '100' }, ...OBJECT_OPTION },
  tell(say, { rounds, pause, object }, signal) {
    const many = wholeNumber('rounds', rounds, 2, 100_000)
    return tell(say, { rounds: many, pauseMs: wholeNumber('pause', pause, 0, 60_000), object }, signal)
  },
})

interface Asked {
  readonly rounds: number
  readonly pauseMs: number
  readonly object: string | undefined
}

async function tell(say: Say, { rounds, pauseMs, object }: Asked, signal: AbortSignal): Promise<Told> {
  using tracer = attached(say, object)
  // Before anything is asked about: what they do to begin is not counted.
  await using one = await Shell.as(ONE)
  await using other = await Shell.as(OTHER)
  const shells = [
    { uid: ONE, shell: one },
    { uid: OTHER, shell: other },
  ]
  const ledger = new Ledger()
  const live = new Live(say)
  const rows = () => ledger.rows(tracer.hits, syscallName)

  begin(say, tracer, ledger)
  for (let round = 0; round < rounds; round++) {
    if (round === Math.floor(rounds / 2)) replace(say, live, tracer, ledger, rows())
    for (const { uid, shell } of shells) await makeCalls(shell, uid, ledger)
    live.draw(drawn(rows()))
    await pause(pauseMs, undefined, { signal })
  }
  const last = rows()
  live.draw(drawn(last), true)
  conclude(say, last)
  return { rows: last, mapIds: [tracer.byUid.id, tracer.hits.id] }
}

function attached(say: Say, object: string | undefined): UidSyscalls {
  // Only to find the tracepoint's number.
  using _tracefs = mountedTracefs()
  const tracer = new UidSyscalls(object)
  say(bold('A program at raw_syscalls:sys_enter: it runs with every system call of the machine'))
  if (object !== undefined) say(dim(sourceLine(object)))
  say('   by_uid: user → the calls that are asked about;  uid_hits: (call, user) → how often')
  return tracer
}

function begin(say: Say, tracer: UidSyscalls, ledger: Ledger): void {
  say(bold('\nTwo users, each with an inner map of its own'))
  for (const [uid, calls] of [
    [ONE, FIRST],
    [OTHER, OTHERS],
  ] as const) {
    const numbers = calls.map(syscallNumber)
    tracer.begin(uid, numbers)
    ledger.ask(uid, numbers)
    say(dim(`   > byUid.set(${uid}, ${rowsText(calls)}, { only: 'create' })`))
  }
  const each = CALLS.map((call) => `${ROUND[call]} × \`${COMMANDS[call]}\` (${call})`).join(', ')
  say(`   In each round each user's shell does ${each}\n`)
}

function replace(say: Say, live: Live, tracer: UidSyscalls, ledger: Ledger, rows: readonly Row[]): void {
  live.draw(drawn(rows), true)
  say(bold(`\nAnother set for user ${ONE}, in one step: no call meets a half of both`))
  say(dim(`   > byUid.set(${ONE}, ${rowsText(THEN)}, { only: 'replace' })\n`))
  const numbers = THEN.map(syscallNumber)
  tracer.replace(ONE, numbers)
  ledger.ask(ONE, numbers)
}

function rowsText(calls: readonly Call[]): string {
  return `[${calls.map((call) => `[${syscallNumber(call)}, 1]`).join(', ')}]`
}

async function makeCalls(shell: Shell, uid: number, ledger: Ledger): Promise<void> {
  await shell.tell(CALLS.flatMap((call) => Array<string>(ROUND[call]).fill(COMMANDS[call])))
  for (const call of CALLS) ledger.made(uid, call, syscallNumber(call), ROUND[call])
}

function drawn(rows: readonly Row[]): string[] {
  const head = ['user', 'call', 'number', 'asked', 'made', 'while asked', 'hits']
  const cells = rows.map(({ uid, call, number, asked, made, madeWhileAsked, hits }) => {
    return [`${uid}`, call, `${number}`, asked ? 'yes' : 'no', made, madeWhileAsked, hits]
  })
  return table([head, ...cells]).map((line) => `   ${line}`)
}

function conclude(say: Say, rows: readonly Row[]): void {
  const wrong = rows.filter(({ madeWhileAsked, hits }) => madeWhileAsked !== hits)
  if (wrong.length > 0) {
    const list = wrong.map(({ uid, call, hits, madeWhileAsked }) => `${call} of ${uid}: ${hits}, not ${madeWhileAsked}`)
    throw new StoryError(`Other hits than calls made (does somebody else run as these users?): ${list.join('; ')}`)
  }
  say('\n   Hits are exactly the calls that were made while they were asked about.')
}
