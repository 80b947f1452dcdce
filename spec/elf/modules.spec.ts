import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { expect } from 'chai'
import { type BpfObject, Btf } from '../../lib'
import { requireLinux } from '../support/attach/require'
import { needs } from '../support/kernel'
import { needsKernel, open, PACKET } from './kit'

/** The object, of which one program is loaded. */
function only(wanted: string): BpfObject {
  const object = open('modules')
  for (const program of Object.values(object.programs)) program.autoload = program.name === wanted
  return object
}

/** What bpftool tells of a struct, of the module's BTF or, where it is built in, of the kernel's. */
function structOf(module: string, name: string) {
  const own = `/sys/kernel/btf/${module}`
  const base = '/sys/kernel/btf/vmlinux'
  const args = existsSync(own) ? ['-B', base, 'btf', 'dump', 'file', own] : ['btf', 'dump', 'file', base]
  const { types } = JSON.parse(execFileSync('bpftool', ['-j', ...args], { encoding: 'utf8', maxBuffer: 2 ** 28 })) as {
    types: { kind: string; name: string; size: number; members: { name: string; bits_offset: number }[] }[]
  }
  return types.find((type) => type.kind === 'STRUCT' && type.name === name)
}

describe('what an object has from modules of the kernel', function () {
  this.timeout(300_000)

  beforeEach(function () {
    needsKernel(this)
  })

  it('is a struct, whose size and members its instructions are given', function () {
    const theirs = structOf('veth', 'veth_priv')
    needs(this, theirs !== undefined, 'veth, with its types')
    using app = only('of_veth').load()
    expect(app.programs.of_veth?.run({ data: PACKET }).retval).to.equal(2)
    const offset = (name: string) => (theirs?.members.find((each) => each.name === name)?.bits_offset ?? Number.NaN) / 8
    const { size, peer_at, headroom_at, headroom_bytes } = app.globals
    expect(size?.value).to.equal(theirs?.size)
    expect(peer_at?.value).to.equal(offset('peer'))
    expect(headroom_at?.value).to.equal(offset('requested_headroom'))
    expect(headroom_bytes?.value).to.equal(4)
  })

  it('is a function, which its programs call', function () {
    requireLinux(this, 5, 18, 'functions of modules that programs of XDP call')
    const has = (btf: Btf | undefined) => btf?.find('bpf_xdp_ct_lookup', 'func') !== undefined
    const module = existsSync('/sys/kernel/btf/nf_conntrack') ? Btf.module('nf_conntrack') : undefined
    needs(this, has(module) || has(Btf.kernel()), 'nf_conntrack')
    using app = only('of_conntrack').load()
    expect(app.programs.of_conntrack?.run({ data: PACKET }).retval).to.equal(2)
    const ENOENT = 2
    expect([app.globals.error?.value, app.globals.found?.value]).to.deep.equal([-ENOENT, 0])
  })
})
