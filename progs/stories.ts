import { story as devmapArray } from './devmap-array/story'
import { story as liveConfig } from './live-config/story'
import { story as mapInMap } from './map-in-map/story'
import { story as portStats } from './port-stats/story'
import type { Story } from './support/story'
import { story as uidSyscalls } from './uid-syscalls/story'

/** Every story by the name that `npm run story -- NAME` knows it by. Importing them does nothing. */
export const STORIES: Readonly<Record<string, Story>> = {
  'map-in-map': mapInMap,
  'uid-syscalls': uidSyscalls,
  'live-config': liveConfig,
  'port-stats': portStats,
  'devmap-array': devmapArray,
}
