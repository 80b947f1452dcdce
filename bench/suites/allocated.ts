import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** What `calls` adds to the heap and to the memory beside it, less what the measuring itself adds. */
export function allocated(): (calls: () => void) => number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as (options: { type: 'minor' }) => void

  const growth = (calls: () => void): number => {
    collect({ type: 'minor' })
    const before = process.memoryUsage()
    calls()
    const after = process.memoryUsage()
    return after.heapUsed - before.heapUsed + after.external - before.external
  }
  return (calls) => growth(calls) - growth(() => {})
}
