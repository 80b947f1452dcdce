import { ArrayOfMaps, DevMap, Program } from '../../lib'
import { loadObject, owning, type Parts } from '../support/object'
import { passing, ROUTES, redirector } from './program'

/** By route, the DEVMAP that packets are redirected through. */
export type Routes = ArrayOfMaps<DevMap>

/** Where packets come in, and for the devices that receive. */
type Name = 'devmap_array' | 'let_pass'

export interface Maps {
  /** Empty at first. */
  readonly routes: Routes
}

/** From its TypeScript, or from an object of devmap-array.bpf.c; the caller owns it. */
export function loadDevmapArray(object?: string): Parts<Maps, Name> {
  return object === undefined ? assembled() : compiled(object)
}

function assembled(): Parts<Maps, Name> {
  // Where a route leads: one device.
  const inner = DevMap.spec({ name: 'routes', maxEntries: 1 })
  return owning((own) => {
    const routes = own(ArrayOfMaps.create({ name: 'routes', maxEntries: ROUTES, inner }))
    const devmap_array = own(Program.load({ type: 'xdp', name: 'devmap_array', code: redirector(routes) }))
    const let_pass = own(Program.load({ type: 'xdp', name: 'let_pass', code: passing }))
    return { maps: { routes }, programs: { devmap_array, let_pass } }
  })
}

function compiled(object: string): Parts<Maps, Name> {
  const maps = { routes: { type: 'ARRAY_OF_MAPS', inner: { type: 'DEVMAP' } } } as const
  return loadObject<Maps, Name>(object, maps, ['devmap_array', 'let_pass'])
}
