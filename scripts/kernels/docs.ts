/** docs/kernels.md, from the results of a run over the whole matrix. */
import type { KernelResult } from './result'

/** What `features.report()` gives: groups of names, each there, not there, or not to be told. */
type Group = Readonly<Record<string, boolean | null>>

const TITLES: Readonly<Record<string, string>> = {
  others: 'What maps and programs can do',
  mapTypes: 'Map types',
  programTypes: 'Program types',
  attach: 'Where programs attach',
  instructionSets: 'Instruction sets',
  btf: 'Kinds of BTF',
}

const INTRODUCTION = `# What each kernel has

Made by \`npm run test:kernels -- --docs\`, which boots these kernels (Debian's builds for cloud machines) under qemu,
runs the specs in each, and then asks \`features\`, which finds out by trying. What a kernel of another distribution has
may differ, as it is built with other options: \`features\` tells on the machine itself.

yes: there. –: not there. ?: cannot be told.
`

export function kernelsPage(results: readonly KernelResult[]): string {
  const sections = [
    INTRODUCTION,
    '## The specs\n',
    table(
      ['kernel', 'passed', 'failed', 'pending'],
      results.map(({ release, asked, passed, failed, pending }) => [
        `Linux ${release ?? asked}`,
        `${passed}`,
        `${failed.length}`,
        `${pending.length}`,
      ]),
    ),
    pendingList(results),
    costs(results),
    ...Object.entries(TITLES).map(([group, title]) => `## ${title}\n\n${featureTable(results, group)}`),
    `## Helpers\n\n${helpers(results)}`,
  ]
  return `${sections.join('\n')}`
}

function groupOf({ features }: KernelResult, group: string): Group {
  return (features as Readonly<Record<string, Group>> | undefined)?.[group] ?? {}
}

function namesOf(results: readonly KernelResult[], group: string): string[] {
  return [...new Set(results.flatMap((result) => Object.keys(groupOf(result, group))))]
}

function featureTable(results: readonly KernelResult[], group: string): string {
  const word = (answer: boolean | null | undefined) => (answer === true ? 'yes' : answer === false ? '–' : '?')
  const rows = namesOf(results, group).map((name) => [
    `\`${name}\``,
    ...results.map((result) => word(groupOf(result, group)[name])),
  ])
  return table(['', ...results.map(shortName)], rows)
}

/** All helpers are many: those of the oldest kernel are counted, and then what each newer one adds. */
function helpers(results: readonly KernelResult[]): string {
  const before = new Set<string>()
  const lines = results.map((result, i) => {
    const added = Object.entries(groupOf(result, 'helpers')).flatMap(([name, has]) =>
      has === true && !before.has(name) ? [name] : [],
    )
    for (const name of added) before.add(name)
    const list = added.map((name) => `\`${name}\``).join(' ')
    if (i === 0) return `- ${shortName(result)} has ${added.length}.`
    return `- ${shortName(result)} adds ${added.length === 0 ? 'none' : `${added.length}: ${list}`}.`
  })
  return `${lines.join('\n')}\n`
}

function costs(results: readonly KernelResult[]): string {
  const rows = results.map((result) => {
    const { set, get, setMany100 } = result.costs ?? {}
    return [shortName(result), ...[get, set, setMany100].map((ms) => (ms === undefined ? '?' : `${ms} ms`))]
  })
  return `## What a map of maps costs

Medians, by the guests' clock. The processor is emulated, so that what is computed takes some ten times as long as on
real hardware; waiting for an RCU grace period takes as long as there. Up to Linux 6.1 every look-up of an outer map
from user space waits for one as well, and a batch waits with each of its entries.

${table(['kernel', 'one look-up', 'one set', 'setMany of 100'], rows)}`
}

function pendingList(results: readonly KernelResult[]): string {
  const reasons = new Map<string, Set<string>>()
  for (const result of results) {
    for (const { reason } of result.pending)
      reasons.set(reason, (reasons.get(reason) ?? new Set()).add(shortName(result)))
  }
  const lines = [...reasons]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([reason, kernels]) => `- ${reason} (${[...kernels].join(', ')})`)
  return `Pending, with the reason and where:\n\n${lines.join('\n')}\n`
}

/** '6.12' of '6.12.117+deb13-cloud-amd64'. */
function shortName({ release, asked }: KernelResult): string {
  return /^\d+\.\d+/.exec(release ?? asked)?.[0] ?? asked
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return `${[line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')}\n`
}
