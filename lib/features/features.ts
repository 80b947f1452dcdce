import { inspect } from 'node:util'
import type { HelperName, MapTypeName, ProgramTypeName } from '../../syscalls/uapi-names'
import type { AttachName } from './attach'
import type { BtfKindName } from './btf-kinds'
import type { GeneralName, InstructionSet } from './general'
import { questions, report } from './lazy'
import type { FeatureReport } from './report'
import type { Words } from './unsupported'

/** A map type's name as tools write it, or as `map.type` gives it. */
export type AnyMapTypeName = MapTypeName | Uppercase<MapTypeName>

/** A question in the words of `Features`: ['mapType', 'arena'], ['helper', 'bpf_loop', 'xdp'], ['batch']. */
export type FeatureQuestion =
  | [method: 'mapType', name: AnyMapTypeName]
  | [method: 'programType', name: ProgramTypeName]
  | [method: 'helper', name: HelperName, programType?: ProgramTypeName]
  | [method: 'attach', name: AttachName]
  | [method: 'instructionSet', name: InstructionSet]
  | [method: 'btf', name: BtfKindName]
  | [property: GeneralName | 'memlock']

/**
 * What the running kernel can do, found out by trying, not from its version. `true`, `false`, or `undefined` where that
 * cannot be told: a capability is missing, lockdown forbids it, there is no memory. What is certain is found out once.
 * Nothing is left behind. A name that the library does not know is a TypeError.
 */
export class Features {
  /** Maps of a type: `mapType('arena')`. */
  mapType(name: AnyMapTypeName): boolean | undefined {
    return this.#has('mapType', name)
  }

  /** Programs of a type: `programType('xdp')`. */
  programType(name: ProgramTypeName): boolean | undefined {
    return this.#has('programType', name)
  }

  /**
   * Calls of a helper from programs of a type, or of any type. To ask for bpf_probe_write_user leaves a warning in the log
   * of older kernels, to ask for bpf_trace_printk and bpf_trace_vprintk switches their trace event on.
   */
  helper(name: HelperName, programType?: ProgramTypeName): boolean | undefined {
    return this.#has('helper', name, programType)
  }

  /**
   * A way to attach programs: `attach('tcx')`. Whether programs of `lsm` are then called depends on the list of active
   * security modules too, in /sys/kernel/security/lsm.
   */
  attach(name: AttachName): boolean | undefined {
    return this.#has('attach', name)
  }

  /** An instruction set as compilers name them, by -mcpu: `instructionSet('v4')`. */
  instructionSet(name: InstructionSet): boolean | undefined {
    return this.#has('instructionSet', name)
  }

  /** A kind of type in BTF that is loaded: `btf('enum64')`. */
  btf(name: BtfKindName): boolean | undefined {
    return this.#has('btf', name)
  }

  /** Commands on many entries of a map at once. Linux 5.6. */
  get batch(): boolean | undefined {
    return this.#has('batch')
  }

  /** The same on maps of maps. Linux 5.19. */
  get outerMapBatch(): boolean | undefined {
    return this.#has('outerMapBatch')
  }

  /** The same on arrays with a value for each CPU. Linux 5.13. */
  get perCpuArrayBatch(): boolean | undefined {
    return this.#has('perCpuArrayBatch')
  }

  /** Taking an entry out of a hash map in one step. Linux 5.14. */
  get lookupAndDelete(): boolean | undefined {
    return this.#has('lookupAndDelete')
  }

  /** Inner arrays of differing lengths: `dynamicSize`, BPF_F_INNER_MAP. Linux 5.10. */
  get innerMapFlag(): boolean | undefined {
    return this.#has('innerMapFlag')
  }

  /** Arrays that can be mapped into memory. Linux 5.5. */
  get mmap(): boolean | undefined {
    return this.#has('mmap')
  }

  /** Maps that user space can no longer write to. Linux 5.2. */
  get freeze(): boolean | undefined {
    return this.#has('freeze')
  }

  /** Ring buffers from programs to user space. Linux 5.8. */
  get ringBuffer(): boolean | undefined {
    return this.#has('ringBuffer')
  }

  /** Ring buffers from user space to programs. Linux 6.1. */
  get userRingBuffer(): boolean | undefined {
    return this.#has('userRingBuffer')
  }

  /** A description of the kernel's own types: /sys/kernel/btf/vmlinux. Linux 5.4. */
  get kernelBtf(): boolean | undefined {
    return this.#has('kernelBtf')
  }

  /** Programs with loops that the verifier can follow to their end. Linux 5.3. */
  get boundedLoops(): boolean | undefined {
    return this.#has('boundedLoops')
  }

  /** Programs of up to a million instructions, not 4096. Linux 5.2. */
  get largePrograms(): boolean | undefined {
    return this.#has('largePrograms')
  }

  /** Programs that call functions of the kernel which are no helpers. Linux 5.13. */
  get kfuncs(): boolean | undefined {
    return this.#has('kfuncs')
  }

  /** Programs that hand helpers a function of their own: bpf_for_each_map_elem, bpf_loop, timers. Linux 5.13. */
  get callbacks(): boolean | undefined {
    return this.#has('callbacks')
  }

  /** Atomic operations of programs but for the addition, and those that give the old value. Linux 5.12. */
  get atomics(): boolean | undefined {
    return this.#has('atomics')
  }

  /** XDP programs for packets of more than one buffer. Linux 5.18. */
  get xdpFragments(): boolean | undefined {
    return this.#has('xdpFragments')
  }

  /** Whether the verifier tells how long its log is. Linux 6.4. */
  get logTrueSize(): boolean | undefined {
    return this.#has('logTrueSize')
  }

  /** Attachments that end with their fd: BPF_LINK_CREATE. Linux 5.7. */
  get links(): boolean | undefined {
    return this.#has('links')
  }

  /** Links to perf events, and a number for each attachment that the program can read. Linux 5.15. */
  get bpfCookie(): boolean | undefined {
    return this.#has('bpfCookie')
  }

  /** Pins whose path begins at the fd of a folder. Linux 6.5. */
  get pinByFolderFd(): boolean | undefined {
    return this.#has('pinByFolderFd')
  }

  /** Counting the runs of programs and their time. Needs CAP_SYS_ADMIN to be asked for. Linux 5.8. */
  get statistics(): boolean | undefined {
    return this.#has('statistics')
  }

  /** Tokens, which give rights to a user namespace. Linux 6.9. */
  get tokens(): boolean | undefined {
    return this.#has('tokens')
  }

  /** Text that programs print for whoever holds them. Linux 6.17. */
  get programStreams(): boolean | undefined {
    return this.#has('programStreams')
  }

  /** Whether maps and programs count against RLIMIT_MEMLOCK of the process: up to Linux 5.10. */
  get memlock(): boolean | undefined {
    return this.#has('memlock')
  }

  /** The answer in a sentence, with what the kernel said where it could not be told: `explain('attach', 'fentry')`. */
  explain(...question: FeatureQuestion): string {
    const { explained, questionOf } = questions()
    return explained(questionOf(...(question as Words)))
  }

  /** The first Linux version with a feature: `since('mapType', 'arena')` is '6.9'. Asks nothing of the kernel. */
  since(...question: FeatureQuestion): string | undefined {
    return questions().questionOf(...(question as Words)).since
  }

  /**
   * Everything, as data for JSON; null stands for what cannot be told. Some 500 ms: all helpers are asked for, but for the
   * three that leave a trace.
   */
  report(): FeatureReport {
    return report().makeReport()
  }

  [inspect.custom](): string {
    return report().summary()
  }

  #has(...question: Words): boolean | undefined {
    const { ask, questionOf } = questions()
    return ask(questionOf(...question)).has
  }
}

/** What the running kernel can do. */
export const features = new Features()
