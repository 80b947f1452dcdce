import { expect } from 'chai'
import { HashMap, struct, u32, u64 } from '../../lib'
import { COMMANDS, Shell } from '../../progs/uid-syscalls/shell'
import { story } from '../../progs/uid-syscalls/story'
import { syscallName, syscallNumber } from '../../progs/uid-syscalls/syscalls'
import { UidSyscalls } from '../../progs/uid-syscalls/tracer'
import { errorOf } from '../support/error'
import { eventually, mapIds, needs, requireRoot } from '../support/kernel'
import { run } from '../support/run'
import {
  given,
  interrupted,
  processesOf,
  programsNamed,
  requireSource,
  STORY,
  sources,
  telling,
  tracefsMounts,
} from '../support/stories'
import { useTracefs } from '../support/tracefs'

/** Those of the story, and one for the specs alone. */
const USERS = [60600, 60601]
const USER = 60610
const { chdir, openat, kill } = COMMANDS

describe('the story of system calls by user', function () {
  this.timeout(300_000)

  before(function () {
    requireRoot(this)
    needs(this, process.arch === 'x64' || process.arch === 'arm64', 'x64 or arm64')
  })

  for (const source of sources('uid-syscalls')) {
    describe(`its program, from ${source.from}`, () => {
      useTracefs()
      before(function () {
        requireSource(this, source)
      })

      /** What is in the map, by an opening of its own. */
      function hits(tracer: UidSyscalls): [number, string, bigint][] {
        using map = HashMap.fromId(tracer.hits.id, { key: struct({ syscall: u32, uid: u32 }), value: u64 })
        return [...map]
          .map(([{ uid, syscall }, count]): [number, string, bigint] => [uid, syscallName(syscall), count])
          .sort((a, b) => (a[1] < b[1] ? -1 : 1))
      }

      const times = (n: number, command: string) => Array<string>(n).fill(command)
      const all = [...times(37, chdir), ...times(11, openat), ...times(5, kill)]

      it('counts the calls of a user that are in the user’s inner map, and no others', async () => {
        using tracer = new UidSyscalls(source.object)
        await using shell = await Shell.as(USER)
        await using other = await Shell.as(USER + 1)
        await shell.tell(all)
        expect(hits(tracer), 'before anything is asked about').to.deep.equal([])
        tracer.begin(USER, [syscallNumber('chdir'), syscallNumber('openat'), syscallNumber('mkdirat')])
        await shell.tell(all)
        await other.tell(all)
        expect(hits(tracer)).to.deep.equal([
          [USER, 'chdir', 37n],
          [USER, 'openat', 11n],
        ])
      })

      it('counts by the other set once the inner map is replaced', async () => {
        using tracer = new UidSyscalls(source.object)
        await using shell = await Shell.as(USER)
        tracer.begin(USER, [syscallNumber('chdir')])
        await shell.tell(all)
        const id = tracer.byUid.idOf(USER) ?? 0
        tracer.replace(USER, [syscallNumber('kill'), syscallNumber('openat')])
        await shell.tell(all)
        await shell.tell([kill])
        expect(hits(tracer)).to.deep.equal([
          [USER, 'chdir', 37n],
          [USER, 'kill', 6n],
          [USER, 'openat', 11n],
        ])
        await eventually(() => !mapIds().includes(id), 'the replaced map is gone')
        tracer.byUid.delete(USER)
        await shell.tell(all)
        expect(hits(tracer).map(([, , count]) => count)).to.deep.equal([37n, 6n, 11n])
      })

      it('begins with a user once, and replaces what is there', () => {
        using tracer = new UidSyscalls(source.object)
        tracer.begin(USER, [1])
        expect(errorOf(() => tracer.begin(USER, [2]))).to.include({ code: 'EEXIST' })
        expect(errorOf(() => tracer.replace(USER + 1, [2]))).to.include({ code: 'ENOENT' })
        expect(tracer.byUid.snapshot()).to.deep.equal(new Map([[USER, new Map([[1, 1]])]]))
      })
    })
  }

  for (const source of sources('uid-syscalls')) {
    it(`tells what was made and what was hit, and leaves nothing behind: from ${source.from}`, async function () {
      requireSource(this, source)
      const mounts = tracefsMounts()
      const { told, text } = await telling(story, { rounds: '7', pause: '0', ...given(source) })
      expect(told.rows.map(({ uid, call, asked, made, hits }) => [uid, call, asked, made, hits])).to.deep.equal([
        // Three rounds by the first set of calls, four by the second.
        [USERS[0], 'chdir', false, 21, 9],
        [USERS[0], 'openat', false, 14, 6],
        [USERS[0], 'kill', true, 7, 4],
        [USERS[1], 'chdir', false, 21, 0],
        [USERS[1], 'openat', false, 14, 0],
        [USERS[1], 'kill', true, 7, 7],
      ])
      expect(text).to.match(/60600 +chdir +\d+ +yes +9 +9 +9\n/)
      expect(text).to.match(/60600 +chdir +\d+ +no +21 +9 +9\n/)
      expect(text).to.include('Hits are exactly the calls')
      await nothingLeft(mounts, told.mapIds)
    })
  }

  it('leaves nothing behind when it fails half-way', async () => {
    const mounts = tracefsMounts()
    const failing = telling(story, { rounds: '7', pause: '0' }, (text) => {
      if (text.includes('Another set')) for (const pid of processesOf(60601)) process.kill(pid)
    })
    expect(await failing.then(String, String)).to.match(/Error: the shell has ended/)
    await nothingLeft(mounts)
  })

  it('ends with Ctrl-C, and leaves nothing behind', async () => {
    const mounts = tracefsMounts()
    const { code, stdout, stderr } = await interrupted(['uid-syscalls', '--rounds', '9999'], 'while asked')
    expect([code, stderr]).to.deep.equal([130, ''])
    expect(stdout)
      .to.match(/60600 +chdir/)
      .and.not.include('Hits are exactly')
    await nothingLeft(mounts)
  })

  it('says what is missing without the privilege', async () => {
    const { code, stdout, stderr } = await run([...STORY, 'uid-syscalls'], { without: ['sys_admin', 'bpf'] })
    expect([code, stdout]).to.deep.equal([1, ''])
    expect(stderr).to.include('needs CAP_SYS_ADMIN').and.include('sudo npm run story -- uid-syscalls')
  })
})

async function nothingLeft(mounts: readonly string[], ids: readonly number[] = []): Promise<void> {
  await eventually(() => programsNamed('uid_syscalls') === 0, 'the program is gone')
  await eventually(() => mapIds().every((id) => !ids.includes(id)), 'its maps are gone')
  expect(USERS.flatMap(processesOf), 'the shells').to.deep.equal([])
  expect(tracefsMounts()).to.deep.equal(mounts)
}
