/** The error that a function throws; fails where it throws none. */
export function errorOf(run: () => unknown): Error & { code?: string; done?: number } {
  try {
    run()
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

/** The same for a promise. */
export async function rejectionOf(promise: Promise<unknown>): Promise<Error & { code?: string; done?: number }> {
  try {
    await promise
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}
