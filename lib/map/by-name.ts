import { mapInfo, mapNextId, mapTryOpenById } from '../../syscalls/bpf'
import { closeFd } from '../../syscalls/fd'
import { Handle } from '../handle/handle'
import { nearest } from '../text/nearest'
import { checkName } from './attributes'
import { type OpenOptions, openFlags } from './spec'

/** BPF_OBJ_NAME_LEN is 16, with the terminating NUL. */
const LONGEST = 15

/** No map has the name, or several have. */
export class MapNameError extends Error {
  override readonly name: string = 'MapNameError'

  constructor(
    message: string,
    /** 'ENOENT' where no map has it. */
    readonly code: 'ENOENT' | 'ERR_EBPF_AMBIGUOUS',
    /** The ids of those that have it. */
    readonly ids: readonly number[],
  ) {
    super(message)
  }
}

/** Opens the one map of that name. Needs CAP_SYS_ADMIN. Errors: MapNameError; EPERM. */
export function openNamed(name: string, options: OpenOptions): Handle {
  if (typeof name === 'string' && name.length > LONGEST) {
    const kept = name.slice(0, LONGEST)
    throw new RangeError(
      `'${name}' cannot be a map's name: the kernel keeps the first 15 characters, so that it may be '${kept}'`,
    )
  }
  checkName(name)
  if (name === '') throw new RangeError("'' is what maps without a name have: { id } opens one")
  const flags = openFlags(options)
  const others = new Set<string>()
  const ids: number[] = []
  let found: Handle | undefined
  try {
    for (let id = mapNextId(0); id !== undefined; id = mapNextId(id)) {
      const description = `map#${id}`
      const fd = mapTryOpenById(id, flags, { description })
      if (fd === undefined) continue
      let mine = false
      try {
        const its = mapInfo(fd, { description }).name
        mine = its === name
        if (mine) ids.push(id)
        else others.add(its)
      } finally {
        // The first of that name is the one, unless there are more.
        if (mine && found === undefined) found = new Handle(fd, description)
        else closeFd(fd)
      }
    }
    if (ids.length > 1) throw ambiguous(name, ids)
    if (found === undefined) throw missing(name, others)
    return found
  } catch (error) {
    found?.close()
    throw error
  }
}

function ambiguous(name: string, ids: readonly number[]): MapNameError {
  const message = `${ids.length} maps are called '${name}': ids ${ids.join(', ')}; { id } opens one of them`
  return new MapNameError(message, 'ERR_EBPF_AMBIGUOUS', ids)
}

function missing(name: string, others: ReadonlySet<string>): MapNameError {
  const near = nearest(name, others)
  const did = near === undefined ? '' : `: did you mean '${near}'?`
  return new MapNameError(`no map is called '${name}'${did}`, 'ENOENT', [])
}
