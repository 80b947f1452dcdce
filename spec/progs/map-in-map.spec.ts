import { expect } from 'chai'
import { tell } from '../../progs/map-in-map/story'
import { explainFailure } from '../../progs/support/privilege'
import { KernelError } from '../../syscalls/errno'
import { EXTENSION, LOADER, LOADER_OPTIONS } from '../support/compiled'
import { eventually, mapIds, requireRoot } from '../support/kernel'
import { run } from '../support/run'

const MAIN = `progs/map-in-map/main${EXTENSION}`
const START = [process.execPath, ...LOADER_OPTIONS, MAIN]

describe('the story of npm start', function () {
  this.timeout(300_000)

  before(function () {
    requireRoot(this)
  })

  it('tells what happens, and leaves nothing behind', async () => {
    const lines: string[] = []
    const told = await tell((line) => lines.push(...line.split('\n')), 50)
    const text = lines.join('\n')
    expect(text).to.match(/HashOfMaps#\d+ 'outer' u32 → HashMap<u32, u32> 0\/1024 fd \d+/)
    expect(text).to.include(`   ${told.ids[1]}`).and.include('   34')
    expect(text).to.include('Map(1) { 42 => Map(1) { 12 => 34 } }')
    expect(text).to.match(/MapMismatchError: .*valueSize is 8, the template's 4/)
    expect(text).to.match(/of 53 map ids 0 are left/)
    expect(told.reads.mixed).to.equal(0)
    expect(told.reads.new).to.be.greaterThan(0)
    expect(new Set(told.ids).size).to.equal(53)
    await eventually(() => mapIds().every((id) => !told.ids.includes(id)), 'the story leaves no map')
  })

  it('tells its options, and what is none', async () => {
    const [help, wrong] = await Promise.all([run([...START, '--help']), run([...START, '--mny', '3'])])
    expect([help.code, help.stderr]).to.deep.equal([0, ''])
    expect(help.stdout)
      .to.match(/^npm start: /)
      .and.include('--many N')
      .and.not.include('A map of maps, on Linux')
    expect([wrong.code, wrong.stdout]).to.deep.equal([2, ''])
    expect(wrong.stderr).to.include("'--mny'").and.include(help.stdout)
  })

  it('tells its options with a value that is none', async function () {
    requireRoot(this)
    const [help, wrong] = await Promise.all([run([...START, '--help']), run([...START, '--many', '0'])])
    expect([wrong.code, wrong.stdout]).to.deep.equal([2, ''])
    expect(wrong.stderr).to.include("--many takes a whole number from 1 to 1024, not '0'").and.include(help.stdout)
  })

  it('says what is missing without the privilege, and exits with 1', async () => {
    const { code, stdout, stderr } = await run(START, { without: ['sys_admin', 'bpf'] })
    expect([code, stdout]).to.deep.equal([1, ''])
    expect(stderr).to.match(/needs CAP_SYS_ADMIN, which this process .* does not have/)
    expect(stderr).to.include('sudo npm start').and.include('docker run --privileged')
  })

  it('says so where there is no Linux, and exits with 1', async () => {
    const fake = "Object.defineProperty(process, 'platform', { value: 'darwin' }); process.argv[1] = 'main'"
    const script = `${LOADER}; ${fake}; require('./${MAIN}')`
    const { code, stdout, stderr } = await run([process.execPath, '-e', script])
    expect([code, stdout]).to.deep.equal([1, ''])
    expect(stderr).to.match(/needs a Linux kernel: .* and this is darwin/)
  })

  it('puts a refusal of the kernel into words', () => {
    const error = new KernelError(1, { command: 'BPF_MAP_CREATE', subject: { description: "HashMap 'x'" } })
    expect(explainFailure(error)).to.match(
      /^The kernel refused: EPERM: BPF_MAP_CREATE on HashMap 'x'.*\nRun it as root/s,
    )
    expect(explainFailure(new Error('mine'))).to.match(/^Error: mine\n/)
  })
})
