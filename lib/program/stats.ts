import { enableStats as enable } from '../../syscalls/bpf-prog'
import { Handle } from '../handle/handle'

/**
 * Lets all programs of the system count their runs and the time that they take (`program.stats`), until it is closed, by
 * `using` or `close()`: that makes each run a little slower. What was counted stays. Needs CAP_SYS_ADMIN. Errors: EPERM.
 * Linux 5.8.
 */
export function enableStats(): Disposable & { close(): void } {
  return new Handle(enable(), 'the statistics of programs')
}
