import { hasCapability, KernelError } from '../../lib'

/** What the story of this command lacks on this machine, and how to get it; undefined where nothing is missing. */
export function missingPrivilege(command = 'npm start'): string | undefined {
  if (process.platform !== 'linux') {
    return `This story needs a Linux kernel: bpf(2) is a Linux system call, and this is ${process.platform}.
A virtual machine, or a container on a Linux host with --privileged, will do.`
  }
  // CAP_SYS_ADMIN, not only CAP_BPF: an outer map gives back ids, and opening by id needs it.
  if (hasCapability('CAP_SYS_ADMIN') !== false) return undefined
  return `This story needs CAP_SYS_ADMIN, which this process (user ${process.getuid?.() ?? '?'}) does not have: it opens maps by their ids.
  as root:         sudo ${command}
  in a container:  docker run --privileged ...  (or --cap-add SYS_ADMIN --cap-add BPF)
Programs that install inner maps themselves need only CAP_BPF: see "hold" in the README.`
}

/** A failure in words for somebody at a terminal. */
export function explainFailure(error: unknown): string {
  if (!(error instanceof KernelError)) return error instanceof Error ? (error.stack ?? error.message) : String(error)
  const more = error.code === 'EPERM' ? '\nRun it as root; in a container, with --privileged.' : ''
  return `The kernel refused: ${error.message}${more}`
}
