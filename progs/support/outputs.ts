/**
 * Aborted when nobody reads any more what this process writes, as `| head` does: each write would be an error that ends it
 * before it has cleaned up.
 */
export function whileHeard(): AbortSignal {
  const controller = new AbortController()
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
      controller.abort()
    })
  }
  return controller.signal
}
