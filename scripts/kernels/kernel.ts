/** Which kernels there are, and what of their packages a guest needs. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type Architecture, type Debian, MissingError } from './debian'

/** The kernels of the whole matrix; the last is whatever Debian has newest. */
export const VERSIONS: readonly string[] = ['5.10', '6.1', '6.12', '6.18', '6.19', 'newest']

/** Modules that specs need, in the order in which they are loaded: what is built in, or not there at all, is skipped. */
const MODULES = [
  ...['veth', 'sch_ingress', 'cls_bpf', 'act_bpf', 'dummy', 'netkit'],
  // What a later one needs comes first.
  ...['libcrc32c', 'nf_defrag_ipv4', 'nf_defrag_ipv6', 'nf_conntrack'],
]

export interface Kernel {
  /** As asked for: '6.12', 'newest'. */
  readonly asked: string
  /** As `uname -r` will say: '6.12.117+deb13-cloud-amd64'. */
  readonly release: string
  readonly vmlinuz: string
  readonly modules: readonly { readonly name: string; readonly content: Uint8Array }[]
}

/** Finds, fetches and unpacks a kernel. */
export function fetchKernel(debian: Debian, architecture: Architecture, asked: string): Kernel {
  const found = debian.newest(candidates(debian, architecture, asked))
  if (found === undefined) {
    const there = offered(debian, architecture).join(', ')
    throw new MissingError(`Debian has no kernel ${asked} for ${architecture}; it has ${there}`)
  }
  const folders = [debian.unpacked(found.name, found.version)]
  const modules = found.name.replace('linux-binary-', 'linux-modules-')
  if (
    modules !== found.name &&
    debian.names(new RegExp(`^${modules.replaceAll(/[.+]/g, String.raw`\$&`)}$`)).length > 0
  ) {
    folders.push(debian.unpacked(modules, found.version))
  }
  const release = found.name.replace(/^linux-(image|binary)-/, '').replace(/-unsigned$/, '')
  return { asked, release, vmlinuz: vmlinuzIn(folders, release), modules: modulesIn(folders, release) }
}

/**
 * The packages with a kernel of this version, in the order of preference: from Linux 6.19 on it is in linux-binary-X,
 * and linux-image-X holds nothing. linux-image-6.12-cloud-amd64 and the like, without a third number, never do.
 */
export function candidates(debian: Pick<Debian, 'names'>, architecture: Architecture, asked: string): string[] {
  const kernels = new RegExp(
    String.raw`^linux-(?:binary-(\d+\.\d+)|image-(\d+\.\d+)\.\d).*-cloud-${architecture}(?:-unsigned)?$`,
  )
  return debian
    .names(kernels)
    .filter((name) => {
      const [, binary, image] = kernels.exec(name) ?? []
      return asked === 'newest' || asked === (binary ?? image)
    })
    .sort()
}

/** '6.12', '6.18' ...: the versions that there are. */
function offered(debian: Debian, architecture: Architecture): string[] {
  const names = debian.names(new RegExp(String.raw`^linux-(image|binary)-\d+\.\d+[.-].*cloud-${architecture}$`))
  const versions = new Set(names.map((name) => /-(\d+\.\d+)/.exec(name)?.[1] ?? ''))
  return [...versions].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
}

function vmlinuzIn(folders: readonly string[], release: string): string {
  const paths = [`boot/vmlinuz-${release}`, `usr/lib/modules/${release}/vmlinuz`, `lib/modules/${release}/vmlinuz`]
  const path = folders.flatMap((folder) => paths.map((p) => join(folder, p))).find((p) => existsSync(p))
  if (path === undefined)
    throw new MissingError(`the package of Linux ${release} has no vmlinuz in any place that is known`)
  return path
}

function modulesIn(folders: readonly string[], release: string): Kernel['modules'] {
  const roots = folders.flatMap((folder) =>
    [`usr/lib/modules/${release}/kernel`, `lib/modules/${release}/kernel`].map((p) => join(folder, p)),
  )
  const files = roots
    .filter((root) => existsSync(root))
    .flatMap((root) => readdirSync(root, { recursive: true, encoding: 'utf8' }).map((path) => join(root, path)))
  const byName = new Map(files.map((path) => [basename(path).replace(/\.ko(\.xz)?$/, ''), path]))
  return MODULES.flatMap((name) => {
    const path = byName.get(name)
    return path === undefined ? [] : [{ name: `${name}.ko`, content: uncompressed(path) }]
  })
}

function uncompressed(path: string): Uint8Array {
  return path.endsWith('.xz') ? execFileSync('xz', ['-dc', path], { maxBuffer: 1 << 26 }) : readFileSync(path)
}
