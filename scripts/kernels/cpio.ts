/** Archives in the format that the kernel unpacks as its first root (Documentation/driver-api/early-userspace/buffer-format.rst). */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'

const S_IFDIR = 0o040000
const S_IFREG = 0o100000
const S_IFLNK = 0o120000
const S_IFCHR = 0o020000

/** Writes a "newc" archive; several of them one behind the other are one root. */
export class CpioWriter {
  readonly #fd: number
  readonly #folders = new Set<string>([''])
  #inode = 0

  constructor(path: string) {
    this.#fd = openSync(path, 'w')
  }

  /** The folders of a path, as far as they are not in the archive yet. */
  folder(path: string): this {
    const parts = path.split('/').filter((part) => part !== '')
    for (let i = 1; i <= parts.length; i++) {
      const folder = parts.slice(0, i).join('/')
      if (this.#folders.has(folder)) continue
      this.#folders.add(folder)
      this.#entry(folder, S_IFDIR | 0o755)
    }
    return this
  }

  file(path: string, content: Uint8Array | string, executable = false): this {
    this.folder(path.slice(0, Math.max(0, path.lastIndexOf('/'))))
    const bytes = typeof content === 'string' ? Buffer.from(content) : content
    return this.#entry(path, S_IFREG | (executable ? 0o755 : 0o644), bytes)
  }

  link(path: string, target: string): this {
    this.folder(path.slice(0, Math.max(0, path.lastIndexOf('/'))))
    return this.#entry(path, S_IFLNK | 0o777, Buffer.from(target))
  }

  characterDevice(path: string, major: number, minor: number): this {
    return this.#entry(path, S_IFCHR | 0o600, undefined, major, minor)
  }

  /** A folder of this machine with what is in it; `skip` is asked about each path within it. */
  tree(from: string, to: string, skip: (path: string) => boolean = () => false): this {
    this.folder(to)
    for (const entry of readdirSync(from, { withFileTypes: true })) {
      const [source, target] = [join(from, entry.name), join(to, entry.name)]
      if (skip(target)) continue
      if (entry.isDirectory()) this.tree(source, target, skip)
      else if (entry.isSymbolicLink()) this.link(target, readlinkSync(source))
      else if (entry.isFile()) this.file(target, readFileSync(source), (statSync(source).mode & 0o111) !== 0)
    }
    return this
  }

  close(): void {
    this.#entry('TRAILER!!!', 0)
    closeSync(this.#fd)
  }

  #entry(path: string, mode: number, content: Uint8Array = new Uint8Array(), major = 0, minor = 0): this {
    const name = Buffer.from(`${path.replace(/^\/+/, '')}\0`)
    const fields = [++this.#inode, mode, 0, 0, 1, 0, content.length, 0, 0, major, minor, name.length, 0]
    const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`
    this.#write(Buffer.from(header))
    this.#write(name)
    this.#pad(header.length + name.length)
    this.#write(content)
    this.#pad(content.length)
    return this
  }

  /** Header with name, and content, each end at a multiple of 4. */
  #pad(written: number): void {
    const rest = written % 4
    if (rest > 0) this.#write(new Uint8Array(4 - rest))
  }

  #write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at)
  }
}
