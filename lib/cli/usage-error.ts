/** What was typed cannot be meant: the message is all that its user needs. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError'
}
