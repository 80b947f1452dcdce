import { expect } from 'chai'
import { SETTINGS } from '../../progs/live-config/program'
import { story } from '../../progs/live-config/story'
import { runs } from '../support/attach/network'
import { requireAttach } from '../support/attach/require'
import { COMPILED } from '../support/compiled'
import { rejectionOf } from '../support/error'
import { eventually, mapIds, needs, pending } from '../support/kernel'
import { children, programsNamed, telling } from '../support/stories'

describe('the story of configurations replaced under traffic', function () {
  this.timeout(120_000)

  before(function () {
    requireAttach(this, 'xdp')
    needs(this, runs('ip', '-V') && runs('nsenter', '-V') && runs('unshare', '-V'), 'iproute2 and util-linux')
    if (!runs('unshare', '--net', 'ip', 'link', 'add', 'type', 'veth')) pending(this, 'no veth devices can be made')
  })

  it('no packet sees a mixture where maps are replaced, many do where they are changed in place', async () => {
    // Up to Linux 6.1 each of a round's 64 maps is waited for, by an emulated processor in the guests.
    const rounds = COMPILED ? 12 : 60
    const { told, text } = await telling(story, { rounds: `${rounds}` })
    const { replaced, inPlace, swaps } = told
    expect(swaps).to.equal(rounds * 64)
    expect([replaced.mixed, replaced.stale, replaced.missing]).to.deep.equal([0, 0, 0])
    // Both were there to be seen, so that a mixture of them could have been.
    expect(replaced.old).to.be.greaterThan(0)
    expect(replaced.new).to.be.greaterThan(0)
    expect(inPlace.mixed, `of ${SETTINGS} settings changed one after the other`).to.be.greaterThan(0)
    // Every packet that came for the program has been counted once, by what the kernel says of sender and device.
    const shown = [replaced, inPlace].flatMap((counts) => Object.values(counts)).reduce((sum, count) => sum + count)
    expect(told.counted).to.be.within(shown, told.sent)
    expect(told.received - told.counted, 'what IPv6 itself sends on a new device').to.be.within(0, 100)
    expect(text).to.match(/no packet saw a mixture; in place, [1-9][\d,]* did/)
    await nothingLeft(told.mapIds)
  })

  it('ends when it is told to, and leaves nothing behind', async () => {
    const controller = new AbortController()
    const telt = telling(story, {}, (text) => text.includes('Whole maps') && controller.abort(), controller.signal)
    expect(await rejectionOf(telt)).to.include({ name: 'AbortError' })
    await nothingLeft()
  })
})

async function nothingLeft(ids: readonly number[] = []): Promise<void> {
  await eventually(() => programsNamed('live_config') === 0, 'the program is gone')
  await eventually(() => mapIds().every((id) => !ids.includes(id)), 'its maps are gone')
  // The namespaces and what is in them go with the processes that keep them.
  await eventually(() => children().length === 0, 'its processes are gone')
}
