import { ArrayMap, ArrayOfMaps, PerCpuArrayMap, Program, u32, u64n } from '../../lib'
import { loadObject, owning, type Parts } from '../support/object'
import { TENANTS } from './packets'
import { type ConfigMaps, configReader, Progress, SETTINGS, Setting, VERDICTS } from './program'

/** From its TypeScript, or from an object of live-config.bpf.c; the caller owns it. */
export function loadLiveConfig(object?: string): Parts<ConfigMaps, 'live_config'> {
  return object === undefined ? assembled() : compiled(object)
}

function assembled(): Parts<ConfigMaps, 'live_config'> {
  const inner = ArrayMap.spec({ name: 'configs', value: Setting, maxEntries: SETTINGS })
  const kinds = Object.keys(VERDICTS).length
  return owning((own) => {
    const maps = {
      configs: own(ArrayOfMaps.create({ name: 'configs', maxEntries: TENANTS, inner })),
      progress: own(ArrayMap.create({ name: 'progress', value: Progress, maxEntries: 1 })),
      verdicts: own(PerCpuArrayMap.create({ name: 'verdicts', value: u64n, maxEntries: kinds })),
    }
    const live_config = own(Program.load({ type: 'xdp', name: 'live_config', code: configReader(maps) }))
    return { maps, programs: { live_config } }
  })
}

function compiled(object: string): Parts<ConfigMaps, 'live_config'> {
  const maps = {
    configs: { type: 'ARRAY_OF_MAPS', inner: { type: 'ARRAY', key: u32, value: Setting } },
    progress: { type: 'ARRAY', key: u32, value: Progress },
    verdicts: { type: 'PERCPU_ARRAY', key: u32, value: u64n },
  } as const
  return loadObject<ConfigMaps, 'live_config'>(object, maps, ['live_config'])
}
