import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import * as sys from '../../syscalls'
import { ElementCalls, KernelError, KeyWalk } from '../../syscalls'
import { ATTR_SIZE, PACKERS } from '../../syscalls/attr'
import * as uapi from '../../syscalls/uapi'
import { pending, requireRoot } from '../support/kernel'
import { recorded } from '../support/recording-abi'
import { Kit, type Table } from './commands-kit'
import { LINK_COMMANDS } from './commands-link'
import { MAP_COMMANDS } from './commands-map'
import { PROG_COMMANDS } from './commands-prog'

const COMMANDS_OF_618 = 38

const TABLE: Table = { ...MAP_COMMANDS, ...PROG_COMMANDS, ...LINK_COMMANDS }

describe('the commands of bpf(2)', () => {
  const ids = Array.from({ length: COMMANDS_OF_618 }, (_, command) => command)
  const exported = new Set<unknown>([
    ...Object.values(sys),
    ...[ElementCalls, KeyWalk, sys.BatchCalls].flatMap(({ prototype }) =>
      Object.values(Object.getOwnPropertyDescriptors(prototype)).map(({ value }) => value as unknown),
    ),
  ])

  it('have a pack function and typed calls, all of Linux 6.18', () => {
    for (const command of ids) {
      const name = uapi.commandName(command)
      expect(PACKERS, name).to.have.property(String(command))
      const calls = TABLE[name]?.calls ?? []
      expect(calls, `typed calls of ${name}`).not.to.have.lengthOf(0)
      for (const typed of calls) expect(exported.has(typed), `${name}: ${typed.name} is exported`).to.equal(true)
    }
    expect(Object.keys(TABLE)).to.have.lengthOf(COMMANDS_OF_618)
  })

  for (const command of ids) {
    const name = uapi.commandName(command)
    it(`${name} does what it says`, async function () {
      requireRoot(this)
      const kit = new Kit(this)
      await recorded(async (recording) => {
        try {
          await TABLE[name]?.really(kit)
        } catch (error) {
          if (error instanceof KernelError && tooOld(error, command)) {
            pending(this, `the kernel has no ${name}`)
          }
          throw error
        } finally {
          kit.end()
        }
        const sent = recording.bpf(command)
        expect(sent, `${name} was sent`).not.to.have.lengthOf(0)
        for (const { args } of sent) expect(args[2]).to.be.within(1, ATTR_SIZE)
      })
    })
  }

  /** A kernel without a command answers EINVAL to it. */
  function tooOld(error: KernelError, command: number): boolean {
    return error.code === 'EINVAL' && error.command === uapi.commandName(command) && !kernelHas(command)
  }

  function kernelHas(command: number): boolean {
    return sinceVersion(command) <= runningVersion()
  }
})

/** The commands younger than Linux 5.10, by the version that brought them. */
function sinceVersion(command: number): number {
  if (command === uapi.BPF_TOKEN_CREATE) return 6009
  if (command === uapi.BPF_PROG_STREAM_READ_BY_FD) return 6017
  return 0
}

function runningVersion(): number {
  const [major = 0, minor = 0] = readFileSync('/proc/sys/kernel/osrelease', 'latin1').split('.').map(Number)
  return major * 1000 + minor
}
