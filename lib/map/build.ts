import { mapCreate } from '../../syscalls/bpf'
import type { Subject } from '../../syscalls/errno'
import { createFields, type MapAttributes } from './spec'

/** BPF_MAP_CREATE of a type that has more to say about a refusal than its errno: the `build` of a Family. */
export function buildWith(hint: (code: string, attributes: MapAttributes) => string | undefined) {
  return (attributes: MapAttributes, subject: Subject): number =>
    mapCreate(createFields(attributes), {
      description: subject.description,
      hint: (_command, code) => hint(code, attributes),
    })
}
