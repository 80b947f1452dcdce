import { expect } from 'chai'
import * as sys from '../../syscalls'
import { ElementCalls, KeyWalk } from '../../syscalls'
import { ATTR_SIZE, PACKERS } from '../../syscalls/attr'
import * as uapi from '../../syscalls/uapi'
import { requireRoot } from '../support/kernel'
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
        } finally {
          kit.end()
        }
        const sent = recording.bpf(command)
        expect(sent, `${name} was sent`).not.to.have.lengthOf(0)
        for (const { args } of sent) expect(args[2]).to.be.within(1, ATTR_SIZE)
      })
    })
  }
})
