import { spawnSync } from 'node:child_process'
import { expect } from 'chai'
import { inChild, type There } from '../support/child'
import { needs, requireRoot } from '../support/kernel'

type Syscalls = typeof import('../../syscalls')
type Names = typeof import('../../syscalls/uapi-names')

describe('a refusal for want of capabilities names', () => {
  before(function () {
    requireRoot(this)
  })

  it('CAP_NET_ADMIN, of maps that need it and of no others', () => {
    const { stdout, stderr, status } = inChild(({ load }) => {
      const sys = load<Syscalls>('syscalls')
      sys.abi()
      process.setgid?.(65534)
      process.setuid?.(65534)
      for (const [map_type, value_size] of [
        [sys.BPF_MAP_TYPE_LRU_HASH, 4],
        [sys.BPF_MAP_TYPE_XSKMAP, 4],
      ] as const) {
        try {
          sys.mapCreate({ map_type, key_size: 4, value_size, max_entries: 1 }, { description: 'it' })
          console.log('taken')
        } catch (error) {
          console.log((error as Error).message)
        }
      }
    })
    if (status !== 0) throw new Error(stderr)
    const [plain, network] = stdout.split('\n')
    expect(plain).to.match(/^EPERM: .*needs CAP_BPF \(or CAP_SYS_ADMIN\); this process lacks CAP_BPF and CAP_SYS_ADMIN/)
    expect(plain).to.not.match(/NET_ADMIN|XSKMAP/)
    expect(network).to.match(
      /^EPERM: .*needs CAP_BPF and CAP_NET_ADMIN, .*lacks CAP_BPF and CAP_SYS_ADMIN and CAP_NET_ADMIN/,
    )
  })
  it('of a program what its type needs and the process lacks', function () {
    needs(this, spawnSync('setpriv', ['--version']).status === 0, 'setpriv')
    const run = ({ load }: There) => {
      const { Program } = load<typeof import('../../lib')>('lib')
      const { progLoad, PROGRAM_TYPES } = { ...load<Syscalls>('syscalls'), ...load<Names>('syscalls/uapi-names') }
      const insns = Uint8Array.of(0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0)
      for (const type of ['xdp', 'sched_cls', 'tracepoint', 'kprobe', 'syscall'] as const) {
        for (const take of [
          () => Program.load({ type, code: insns }).close(),
          () => progLoad({ prog_type: PROGRAM_TYPES[type], insns, license: 'GPL' }),
        ]) {
          try {
            take()
            console.log('taken')
          } catch (error) {
            console.log((error as Error).message)
          }
        }
      }
    }
    const told = (...capabilities: readonly string[]) => {
      // root has what is in the bounding set; the one that is not asked for reads the clone, wherever that is.
      const sets = ['-all', '+dac_override', ...capabilities.map((each) => `+${each}`)].join()
      const wrapper = ['setpriv', '--inh-caps=-all', '--ambient-caps=-all', `--bounding-set=${sets}`]
      const { stdout, stderr, status } = inChild(run, { wrapper })
      if (status !== 0) throw new Error(stderr)
      return stdout.trimEnd().split('\n')
    }
    const [xdp, , , , tracepoint, , , , syscall] = told()
    expect(xdp).to.include(
      'CAP_BPF and CAP_NET_ADMIN for programs of type xdp (or CAP_SYS_ADMIN, which stands for them)',
    )
    expect(xdp).to.include('this process lacks CAP_BPF and CAP_NET_ADMIN (')
    expect(tracepoint).to.include('this process lacks CAP_BPF and CAP_PERFMON (')
    expect(syscall).to.include('CAP_BPF for programs of type syscall (or CAP_SYS_ADMIN); this process lacks CAP_BPF (')
    const bpf = told('bpf')
    for (const [i, type] of ['xdp', 'sched_cls', 'tracepoint', 'kprobe'].entries()) {
      for (const each of bpf.slice(2 * i, 2 * i + 2)) {
        expect(each).to.include(` for programs of type ${type} (`)
        expect(each).to.include(`this process lacks ${i < 2 ? 'CAP_NET_ADMIN' : 'CAP_PERFMON'} (`)
      }
    }
  })
})
