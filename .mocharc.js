// Not JSON: with a list of specs in it, `mocha one.spec.ts` would run that one and all the others.
const some = process.argv.slice(2).some((argument) => argument.endsWith('.ts'))

module.exports = {
  require: ['ts-node/register/transpile-only', './spec/support/root-hooks.ts'],
  spec: some ? [] : ['spec/**/*.spec.ts'],
  timeout: 20000,
}
