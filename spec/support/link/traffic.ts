/** Packets for programs at devices, and what becomes of them. */
import { expect } from 'chai'
import type { Stage } from '../attach/stage'
import { eventually } from '../kernel'
import { type Cable, received } from './namespace'
import { AF_INET, bound, open, receive, send } from './sockets'

export function traffic(stage: Stage) {
  function sendTo({ beyond }: Cable): void {
    const fd = open(stage, AF_INET)
    send(fd, 64, beyond, 9)
    stage.close(fd)
  }

  /** Sends a packet through the cable: the program that counts with the index sees it, once. */
  async function hits(index: number, pair: Cable): Promise<void> {
    const before = stage.count(index)
    sendTo(pair)
    await eventually(() => stage.count(index) > before, 'the packet is counted')
    expect(stage.count(index)).to.equal(before + 1)
  }

  /** Sends a packet through the cable, which is not counted. */
  async function misses(index: number, pair: Cable): Promise<void> {
    const [before, seen] = [stage.count(index), received(pair.far)]
    sendTo(pair)
    await eventually(() => received(pair.far) > seen, 'the packet has come through')
    expect(stage.count(index)).to.equal(before)
  }

  /** Sends a packet through lo: whether it arrives, or is dropped by the program that counts with index 0. */
  async function arrives(): Promise<boolean> {
    const [{ fd, port }, sender] = [bound(stage), bound(stage)]
    const before = stage.count(0)
    send(sender.fd, 64, '127.0.0.1', port)
    let arrived = false
    await eventually(() => {
      arrived = receive(fd) !== undefined
      return arrived || stage.count(0) > before
    }, 'the packet has arrived or is dropped')
    for (const socket of [fd, sender.fd]) stage.close(socket)
    return arrived
  }

  return { hits, misses, arrives }
}
