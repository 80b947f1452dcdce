import { expect } from 'chai'
import { inChild } from '../support/child'
import { requireRoot } from '../support/kernel'

type Syscalls = typeof import('../../syscalls')

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
})
