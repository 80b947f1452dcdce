/** Not imports: what asks the kernel is loaded by the first question, not by who loads the library. */

export function questions() {
  return require('./questions') as typeof import('./questions')
}

export function report() {
  return require('./report') as typeof import('./report')
}
