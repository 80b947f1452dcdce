import type { Readable } from 'node:stream'
import { iterCreate, linkCreate } from '../../syscalls/bpf-link'
import type { Subject } from '../../syscalls/errno'
import { checkKind } from '../../syscalls/fd'
import { CGROUP_ORDERS, type CgroupOrder, type IterInfo, packIterInfo } from '../../syscalls/iter-info'
import { BPF_TRACE_ITER } from '../../syscalls/uapi-attach-type'
import { checkKnown } from '../features/names'
import { unsupportedOr } from '../features/unsupported'
import { fdOf, type HasFd } from '../handle/fd-of'
import { Handle } from '../handle/handle'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { type Cgroup, withCgroup } from './cgroup'
import type { LinkInfo } from './info'
import { Link } from './link'
import { loadedFor } from './loaded-for'
import { checkPid } from './pid'
import { checkProgram, type ProgramLike } from './program'
import { readAll, streamOf } from './reading'

/** What an iterator goes through, where that is not everything of its kind. */
export type IteratorTarget =
  /** The entries of a map: for `bpf_map_elem`, `bpf_sk_storage_map` and `sockmap`, which need one. */
  | { readonly map: HasFd }
  /** A cgroup, and those below or above it. Linux 6.1. */
  | { readonly cgroup: Cgroup; readonly order?: CgroupOrder | undefined }
  /** The threads of one process, by its id; of one that is not there, there is nothing to read. Linux 6.1. */
  | { readonly pid: number }
  /** One thread, by its id; the same holds. Linux 6.1. */
  | { readonly thread: number }

/**
 * Attaches a program of type `tracing`, loaded with expectedAttachType `trace_iter`, to the iterator that it was loaded
 * for: it is run when the link is read, once for each object of the kind (a task, a map, an entry), and writes text by
 * bpf_seq_write or bpf_seq_printf. Without a target it goes through all of them.
 *
 * Errors: TypeError (a program of another type or attach type; a target that this iterator does not take);
 * UnsupportedError; EBADF (this iterator needs a map), EINVAL (it takes no such target, or a map of another type), E2BIG (a
 * process or cgroup before Linux 6.1), EACCES (the program reads more of the map's keys or values
 * than there is), EPERM. Linux 5.8.
 */
export function attachIterator(program: ProgramLike, target?: IteratorTarget): IteratorLink {
  const known = checkProgram(program, 'an iterator', 'tracing')
  loadedFor(known, 'an iterator', ['trace_iter'], 'trace_iter')
  const create = (info?: IterInfo, fits?: (info: IterLinkInfo) => boolean): IteratorLink => {
    const union = info && ({ member: 'iter', iter_info: packIterInfo(info) } as const)
    const subject = { description: 'an iterator', hint: (_command: string, code: string) => iterHint(code, target) }
    let link: IteratorLink
    try {
      link = IteratorLink.over(linkCreate({ prog_fd: known.fd, attach_type: BPF_TRACE_ITER, union }, subject))
    } catch (error) {
      throw unsupportedOr(error, () => [['attach', 'iter']])
    }
    try {
      const made = link.info() as IterLinkInfo
      if (fits === undefined || fits(made)) return link
      const given = Object.keys(target ?? {}).join(', ')
      throw new TypeError(`${known.description} goes through '${made.target}', which takes no { ${given} }`)
    } catch (error) {
      link.close()
      throw error
    }
  }
  // An iterator without targets takes any, and goes through everything. And the targets are one union: the number of a
  // thread would be read as a map's fd, and that as a thread (bpf_iter_link_attach in kernel/bpf/bpf_iter.c).
  if (target === undefined) return create()
  checkTarget(target)
  if ('map' in target) {
    const map_fd = fdOf(target.map, 'map')
    checkKind(map_fd, 'bpf-map')
    return create({ map_fd }, ({ mapId }) => mapId !== undefined)
  }
  if ('cgroup' in target) {
    const { order = 'descendants-pre' } = target
    checkKnown('order of cgroups', order, Object.keys(CGROUP_ORDERS))
    const fits = ({ cgroupId }: IterLinkInfo) => cgroupId !== undefined
    return withCgroup(target.cgroup, (cgroup_fd) => create({ order: CGROUP_ORDERS[order], cgroup_fd }, fits))
  }
  const ofTasks = ({ processId }: IterLinkInfo) => processId !== undefined
  if ('pid' in target) {
    checkPid('pid', target.pid)
    return create({ pid: target.pid }, ofTasks)
  }
  checkPid('thread', target.thread)
  return create({ tid: target.thread }, ofTasks)
}

type IterLinkInfo = Extract<LinkInfo, { readonly type: 'iter' }>

const TARGETS = '{ map }, { cgroup }, { pid } or { thread }'

/** One of them, and nothing else: what is passed over would leave an iterator that goes through more than was asked. */
function checkTarget(target: IteratorTarget): void {
  const names = typeof target === 'object' && target !== null ? Object.keys(target) : []
  const kinds = names.filter((name) => name !== 'order')
  const [kind = ''] = kinds
  if (kinds.length !== 1 || !/^(map|cgroup|pid|thread)$/.test(kind) || (names.length > 1 && kind !== 'cgroup')) {
    throw new TypeError(`the target of an iterator is ${TARGETS}; a cgroup may have an order`)
  }
}

function iterHint(code: string, target: IteratorTarget | undefined): string | undefined {
  switch (code) {
    case 'EBADF':
      return 'this iterator goes through a map: { map } says which'
    case 'E2BIG':
      return 'processes, threads and cgroups as targets came with Linux 6.1'
    case 'EACCES':
      return "the program reads more of the map's keys or values than they have"
    case 'EINVAL':
      return target === undefined
        ? "this iterator needs a target, or the program was not loaded with expectedAttachType 'trace_iter'"
        : "this iterator takes no such target, or a map of another type, or the program was not loaded with expectedAttachType 'trace_iter'"
    default:
      return undefined
  }
}

interface StreamOptions {
  readonly encoding?: BufferEncoding | undefined
}

const STREAM = optionNames<StreamOptions>({ encoding: true })

/**
 * A link to an iterator: reading it is what runs the program. Each reading goes through everything anew. Pinned, it is a
 * file whose text `cat` reads.
 */
export class IteratorLink extends Link {
  /** @internal Takes over the fd of a link. */
  static over(fd: number): IteratorLink {
    const handle = new Handle(fd, 'a link to an iterator')
    try {
      return new IteratorLink(handle)
    } catch (error) {
      handle.close()
      throw error
    }
  }

  /**
   * All that the program writes, as text. Errors: E2BIG (it writes more than 32 KiB for one object), EAGAIN (it asks for one
   * object again and again), EMFILE.
   */
  read(): string {
    const handle = this.#open()
    try {
      return readAll(handle, this.#reading()).toString('utf8')
    } finally {
      handle.close()
    }
  }

  /**
   * The same as a stream, off the event loop's thread: of Buffers, or of strings with `encoding`. It has an fd of its own,
   * which ends with it: read it to its end, or `destroy()` it. Errors: EMFILE; TypeError; those of reading come as its
   * 'error' event.
   */
  stream(options: StreamOptions = {}): Readable {
    checkKnownOptions(options, STREAM)
    const { encoding } = options
    if (encoding !== undefined && !Buffer.isEncoding(encoding)) {
      throw new TypeError(`encoding is a name such as 'utf8', not ${JSON.stringify(encoding)}`)
    }
    return streamOf(this.#open(), this.#reading(), encoding)
  }

  #open(): Handle {
    return new Handle(iterCreate(this.fd, this.#reading()), `a reading of ${this.description}`)
  }

  #reading(): Subject {
    return { description: this.description, hint: (_command, code) => readHint(code) }
  }
}

function readHint(code: string): string | undefined {
  if (code === 'E2BIG') return 'the program writes more than 32 KiB for one object'
  if (code !== 'EAGAIN') return undefined
  return 'by returning 1 the program asks for the same object once more, again and again: 0 goes on with the next; or it has written nothing for a thousand million objects'
}
