import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { attachUprobe } from '../../lib'
import { HookCode } from '../support/attach/hook-code'
import { libc } from '../support/attach/probes'
import { requireAttach } from '../support/attach/require'
import { useStage } from '../support/attach/stage'
import { errorOf } from '../support/error'

describe('attachUprobe: semaphores', () => {
  const stage = useStage()

  it('of a place that is probed with another one, the error tells which was wanted', function () {
    requireAttach(this, 'uprobe')
    // A file that nobody runs: no process has it mapped, and nothing is written there.
    const folder = mkdtempSync(join(tmpdir(), 'ebpf-ts-'))
    stage.later(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'libc.so')
    copyFileSync(libc(), path)
    const program = stage.program({ type: 'kprobe', code: new HookCode().count(stage.counters.fd).end() })
    using _first = attachUprobe(program, path, 'getppid', { semaphore: 64 })
    attachUprobe(program, path, 'getppid', { semaphore: 64 }).close()
    const error = errorOf(() => attachUprobe(program, path, 'getppid', { semaphore: 128 }))
    expect(error).to.include({ code: 'EINVAL' })
    expect(error.message).to.match(/or it is probed already, with another semaphore than 128 or with none$/)
  })
})
