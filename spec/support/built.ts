import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { COMPILED } from './compiled'

/** The clone's top folder. */
export const ROOT = join(__dirname, '..', '..')

let folder: string | undefined

/**
 * The library as JavaScript and declarations, compiled once for all specs of a run that need other processes: each of them would spend
 * seconds compiling it again. Within the clone, so that koffi is found; removed when this process ends.
 */
export function builtLibrary(): string {
  if (COMPILED) return ROOT
  if (folder !== undefined) return folder
  mkdirSync(join(ROOT, '.cache'), { recursive: true })
  const made = mkdtempSync(join(ROOT, '.cache', 'spec-'))
  process.once('exit', () => rmSync(made, { recursive: true, force: true }))
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  const options = ['-p', 'tsconfig.build.json', '--noCheck', '--outDir', made]
  execFileSync(process.execPath, [tsc, ...options], { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
  folder = made
  return made
}
