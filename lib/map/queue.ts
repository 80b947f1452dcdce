import { BPF_ANY, BPF_EXIST } from '../../syscalls/uapi-map'
import type { Codec } from '../codec'
import { checkKnownOptions, optionNames } from '../text/known-options'
import { checkValues, counted } from './bulk'
import { noKey } from './fd-codecs'
import { type Fillable, fill } from './fillable'
import { KeyedMap } from './keyed-map'
import type { CreateOptions, MapSpec, OpenOptions } from './spec'
import { type AnySize, checkOptions, valuesSpec } from './table-options'

/** What a queue or a stack is made of. */
export interface QueueOptions<V> extends CreateOptions {
  readonly value: Codec<V>
  /** How many values it may hold. */
  readonly maxEntries: number
}

/** What it takes to open one that exists. */
export interface QueueCodec<V> extends OpenOptions {
  readonly value: Codec<V>
}

/** How to push. */
export interface PushOptions {
  /** Where there is no room, drop the value that has been in it longest (BPF_EXIST). */
  readonly overwrite?: boolean | undefined
}

/** Values without keys, which leave in the order of the family. The kernel neither counts nor lists them. */
abstract class ValueQueue<V> extends KeyedMap<undefined, V> implements Fillable<V> {
  /** Puts a value in. Errors: E2BIG (full), EPERM (frozen, read-only). */
  push(value: V, options?: PushOptions): this {
    this.store(undefined, value, pushFlags(options))
    return this
  }

  /** Takes the next value out; undefined where it is empty. Errors: EPERM. */
  pop(): V | undefined {
    return this.take(undefined, 0)
  }

  /** The next value, which stays; undefined where it is empty. */
  peek(): V | undefined {
    return this.lookup(undefined, 0)
  }

  /** Puts values in, in their order, one call each. A KernelError's `done` says how many came before it. Returns how many. */
  pushMany(values: Iterable<V>, options?: PushOptions): number {
    const flags = pushFlags(options)
    checkValues(values, 'pushMany')
    let done = 0
    for (const value of values) {
      counted(done, () => this.store(undefined, value, flags))
      done++
    }
    return done
  }

  [fill](values: Iterable<V>): void {
    this.pushMany(values)
  }

  protected override hint(command: string, code: string): string | undefined {
    if (code === 'E2BIG') return `it is full: maxEntries is ${this.maxEntries}; { overwrite: true } drops the oldest`
    return super.hint(command, code)
  }
}

const TO_PUSH = optionNames<PushOptions>({ overwrite: true })

function pushFlags(options: PushOptions | undefined): number {
  if (options === undefined) return BPF_ANY
  checkKnownOptions(options, TO_PUSH)
  return options.overwrite === true ? BPF_EXIST : BPF_ANY
}

/** First in, first out (BPF_MAP_TYPE_QUEUE, Linux 4.20). */
export class Queue<V> extends ValueQueue<V> {
  declare protected readonly family: 'Queue'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<V>(options: QueueOptions<V>): MapSpec<Queue<V>> {
    return Queue.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<V>(options: QueueOptions<V>): Queue<V> {
    return Queue.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<V>(id: number, options: QueueCodec<V>): Queue<V> {
    return Queue.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<V>(path: string, options: QueueCodec<V>): Queue<V> {
    return Queue.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<V>(fd: number, options: QueueCodec<V>): Queue<V> {
    return Queue.#any(options).fromFd(fd)
  }

  static #any<V>(options: AnySize<QueueOptions<V>>): MapSpec<Queue<V>> {
    checkOptions('Queue', options)
    return valuesSpec('Queue', 'QUEUE', options, (core) => new Queue<V>(core, { key: noKey, value: options.value }))
  }
}

/** Last in, first out (BPF_MAP_TYPE_STACK, Linux 4.20). */
export class Stack<V> extends ValueQueue<V> {
  declare protected readonly family: 'Stack'

  /** Describes a map without making it: a template, or something to create many times. */
  static spec<V>(options: QueueOptions<V>): MapSpec<Stack<V>> {
    return Stack.#any(options)
  }

  /** Makes a map; the caller owns it. Errors: EPERM, E2BIG, EINVAL, ENOMEM. */
  static create<V>(options: QueueOptions<V>): Stack<V> {
    return Stack.#any(options).create()
  }

  /** Opens one by id. Needs CAP_SYS_ADMIN. Errors: ENOENT, EPERM; MapMismatchError. */
  static fromId<V>(id: number, options: QueueCodec<V>): Stack<V> {
    return Stack.#any(options).fromId(id, options)
  }

  /** Opens the one pinned at a path. Errors: ENOENT, EACCES; MapMismatchError. */
  static fromPin<V>(path: string, options: QueueCodec<V>): Stack<V> {
    return Stack.#any(options).fromPin(path, options)
  }

  /** Takes over an fd of this process. Errors: EBADFD, EINVAL; MapMismatchError, which leaves the fd alone. */
  static fromFd<V>(fd: number, options: QueueCodec<V>): Stack<V> {
    return Stack.#any(options).fromFd(fd)
  }

  static #any<V>(options: AnySize<QueueOptions<V>>): MapSpec<Stack<V>> {
    checkOptions('Stack', options)
    return valuesSpec('Stack', 'STACK', options, (core) => new Stack<V>(core, { key: noKey, value: options.value }))
  }
}
