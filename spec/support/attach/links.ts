/** What is attached, by other ways than the library's own. */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { expect } from 'chai'
import { Link } from '../../../lib/link'
import * as uapi from '../../../syscalls/uapi'
import { openFds } from '../../map/kit'
import { mapIds } from '../kernel'
import type { Sent } from '../recording-abi'

const BPFTOOL = ['/usr/sbin/bpftool', '/usr/bin/bpftool', '/sbin/bpftool'].find((path) => existsSync(path))

/** What bpftool says of a link; undefined where there is no bpftool, null where it knows no link of this id. */
export function bpftoolLink(id: number): Readonly<Record<string, unknown>> | undefined | null {
  if (BPFTOOL === undefined) return undefined
  const links = JSON.parse(execFileSync(BPFTOOL, ['link', '-j'], { encoding: 'utf8' })) as { id: number }[]
  return (links.find((link) => link.id === id) as Readonly<Record<string, unknown>> | undefined) ?? null
}

/** Whether the system has a link of this id, asked without the library. */
export function linkExists(id: number): boolean {
  return mapIds('link').includes(id)
}

/** The attachment as a link, for what only links tell. */
export function asLink(attachment: object): Link {
  expect(attachment).to.be.instanceOf(Link)
  return attachment as Link
}

/** Runs what is to fail: afterwards no fd is open that was not before, and so no link is left. Gives the error. */
export function failing(run: () => unknown): Error & { readonly code?: string } {
  const before = openFds()
  let error: unknown
  try {
    run()
  } catch (thrown) {
    error = thrown
  }
  if (!(error instanceof Error)) throw new Error('nothing was thrown')
  expect(openFds(), `fds after ${error.message}`).to.equal(before)
  return error
}

const EINVAL = -22

/** A kernel from before links to events: what it answers to BPF_LINK_CREATE. */
export function withoutEventLinks({ command, attr }: Sent): number | undefined {
  if (command !== uapi.BPF_LINK_CREATE || attr === undefined) return undefined
  return new DataView(attr.buffer).getUint32(8, true) === uapi.BPF_PERF_EVENT ? EINVAL : undefined
}
