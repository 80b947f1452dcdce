/** What a figure depends on, beside the code. */
import { arch, cpus, release } from 'node:os'

export interface Environment {
  node: string
  kernel: string
  cpus: number
  cpu: string
}

export function environment(): Environment {
  const processors = cpus()
  return {
    node: process.version,
    kernel: `Linux ${release()} ${arch()}`,
    cpus: processors.length,
    cpu: processors[0]?.model.trim() ?? 'unknown',
  }
}

export const describe = ({ node, kernel, cpus, cpu }: Environment): string =>
  `Node.js ${node}, ${kernel}, ${cpus} CPUs (${cpu})`
