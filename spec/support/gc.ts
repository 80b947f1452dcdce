/** The garbage collector on demand, without a flag on node's command line. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')

/** Collects everything that is not reachable; finalizers run in a later turn of the event loop. */
export const collect = runInNewContext('gc') as () => void
