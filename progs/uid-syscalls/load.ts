import { HashMap, HashOfMaps, type Infer, Program, struct, u32, u64n } from '../../lib'
import { loadObject, owning, type Parts } from '../support/object'
import { uidSyscalls } from './program'

/** In the order in which the program has them on its stack. */
const Hit = struct({ syscall: u32, uid: u32 })
export type Hit = Infer<typeof Hit>

const MOST_USERS = 64

/** What the program works with. */
export interface Maps {
  readonly by_uid: HashOfMaps<number, HashMap<number, number>>
  readonly uid_hits: HashMap<Hit, number>
}

/** From its TypeScript, or from an object of uid-syscalls.bpf.c; the caller owns it. */
export function loadUidSyscalls(object?: string): Parts<Maps, 'uid_syscalls'> {
  return object === undefined ? assembled() : compiled(object)
}

function assembled(): Parts<Maps, 'uid_syscalls'> {
  // A set of system calls by their numbers: what is not in it is not there.
  const calls = HashMap.spec({ name: 'by_uid', key: u32, value: u32, maxEntries: 64 })
  return owning((own) => {
    const by_uid = own(HashOfMaps.create({ name: 'by_uid', key: u32, maxEntries: MOST_USERS, inner: calls }))
    const uid_hits = own(HashMap.create({ name: 'uid_hits', key: Hit, value: u64n, maxEntries: MOST_USERS * 64 }))
    const code = uidSyscalls(by_uid, uid_hits)
    const uid_syscalls = own(Program.load({ type: 'tracepoint', name: 'uid_syscalls', code }))
    return { maps: { by_uid, uid_hits }, programs: { uid_syscalls } }
  })
}

function compiled(object: string): Parts<Maps, 'uid_syscalls'> {
  const maps = {
    by_uid: { type: 'HASH_OF_MAPS', key: u32, inner: { type: 'HASH', key: u32, value: u32 } },
    uid_hits: { type: 'HASH', key: Hit, value: u64n },
  } as const
  return loadObject<Maps, 'uid_syscalls'>(object, maps, ['uid_syscalls'])
}
