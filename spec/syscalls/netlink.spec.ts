import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { expect } from 'chai'
import { LE } from '../../syscalls/attr-common'
import { closeFd } from '../../syscalls/fd'
import { interfaceIndex, interfaceLabel, interfaceName } from '../../syscalls/interface'
import {
  NLM_F_DUMP,
  netlinkRequest,
  openRouteSocket,
  packAttributes,
  readAttributes,
  viewOf,
} from '../../syscalls/netlink'
import { NR } from '../../syscalls/numbers'
import { addClsact, listFilters, xdpPrograms } from '../../syscalls/route'
import { openSocket, socketCookie } from '../../syscalls/socket'
import { errorOf } from '../support/error'
import { requireRoot } from '../support/kernel'
import { ip, useNamespace } from '../support/link/namespace'
import { recorded } from '../support/recording-abi'

describe('netlink', () => {
  describe('attributes', () => {
    it('are packed with their lengths, padded to 4, and nested', () => {
      const packed = packAttributes([
        [1, 'ab'],
        [
          2,
          [
            [6, 0x01020304],
            [7, Uint8Array.of(9)],
          ],
        ],
      ])
      expect(packed.length % 4).to.equal(0)
      const found = readAttributes(packed)
      expect([...found.keys()]).to.deep.equal([1, 2])
      expect(found.get(1)?.toString('latin1')).to.equal('ab\0')
      const inner = readAttributes(found.get(2) ?? new Uint8Array())
      expect(inner.get(7)).to.deep.equal(Buffer.of(9))
      expect(viewOf(inner.get(6) ?? Buffer.alloc(0)).getUint32(0, true)).to.be.oneOf([0x01020304, 0x04030201])
    })

    it('are refused that are too long, and numbers that are no u32', () => {
      expect(errorOf(() => packAttributes([[1, 'x'.repeat(65536)]]))).to.be.instanceOf(RangeError)
      for (const wrong of [-1, 1.5, 2 ** 32, Number.NaN]) {
        expect(errorOf(() => packAttributes([[1, wrong]]))).to.be.instanceOf(RangeError)
      }
    })

    it('that are cut off are left out, and never read past the end', () => {
      const packed = packAttributes([
        [1, 'first'],
        [2, 'second'],
      ])
      for (let end = 0; end <= packed.length; end++) {
        const found = readAttributes(packed.subarray(0, end))
        for (const [type, value] of found) expect(value.toString()).to.equal(type === 1 ? 'first\0' : 'second\0')
      }
      // Lengths that lie: 0, less than a header, more than there is.
      for (const length of [0, 3, 0xffff]) {
        const lying = Buffer.from(packed)
        viewOf(lying).setUint16(0, length, true)
        viewOf(lying).setUint16(0, length, false)
        expect(readAttributes(lying).size).to.be.at.most(2)
      }
    })
  })

  describe('to the kernel', () => {
    useNamespace()
    let socket = 0
    before(() => {
      socket = openRouteSocket()
    })
    after(() => closeFd(socket))

    it('a refusal comes with the words of the kernel', () => {
      const header = new Uint8Array(20)
      viewOf(header).setInt32(4, 1, true)
      const request = { type: 36, flags: 0x400, header, attributes: [[1, 'nosuch']] as const, command: 'RTM_NEWQDISC' }
      const error = errorOf(() => netlinkRequest(socket, request))
      expect(error).to.include({ name: 'KernelError', syscall: 'sendto', command: 'RTM_NEWQDISC' })
      expect(error.message).to.match(/^\w+: RTM_NEWQDISC on rtnetlink: \S+/)
      // The next answer is that of the next request.
      expect(xdpPrograms(socket, 1)).to.deep.equal([])
    })

    it('an unknown device, and one that has nothing', () => {
      expect(errorOf(() => addClsact(socket, 9999))).to.include({ code: 'ENODEV' })
      expect(listFilters(socket, 1, 'ingress')).to.deep.equal([])
      expect(
        errorOf(() => netlinkRequest(0, { type: 18, header: new Uint8Array(16), command: 'RTM_GETLINK' })),
      ).to.be.instanceOf(RangeError)
    })

    it('a dump comes in many pieces, and is whole', () => {
      const count = 120
      const commands = Array.from({ length: count }, (_, i) => `addr add 198.19.${i}.1/24 dev lo\n`)
      execFileSync('ip', ['-batch', '-'], { input: commands.join('') })
      const header = new Uint8Array(8) // struct ifaddrmsg
      const { messages } = netlinkRequest(socket, { type: 22, flags: NLM_F_DUMP, header, command: 'RTM_GETADDR' })
      // With 127.0.0.1 and ::1.
      expect(messages.length).to.be.at.least(count + 1)
    })
  })

  describe('answers that a kernel may give', () => {
    /** A message of struct nlmsghdr and a payload of 4 bytes, or more. */
    function message(
      type: number,
      flags: number,
      seq: number,
      word: number,
      more: Uint8Array = new Uint8Array(),
    ): Uint8Array {
      const bytes = new Uint8Array(20 + more.length)
      const view = viewOf(bytes)
      view.setUint32(0, bytes.length, LE)
      view.setUint16(4, type, LE)
      view.setUint16(6, flags, LE)
      view.setUint32(8, seq, LE)
      view.setInt32(16, word, LE)
      bytes.set(more, 20)
      return bytes
    }

    /** Asks for a dump of a kernel that gives these answers, one a request; tells how often it was asked. */
    function dump(answers: readonly ((seq: number) => readonly Uint8Array[] | number)[]) {
      let asked = 0
      let seq = 0
      let waiting: (readonly Uint8Array[] | number)[] = []
      const ask = () =>
        recorded(
          () => netlinkRequest(9, { type: 18, flags: NLM_F_DUMP, header: new Uint8Array(16), command: 'RTM_GETLINK' }),
          ({ nr, args }, recording) => {
            if (nr === NR.sendto) {
              seq = viewOf(recording.bytesAt(args[1] ?? 0, args[2] ?? 0)).getUint32(8, LE)
              const answer = answers[Math.min(asked++, answers.length - 1)]
              waiting = answer === undefined ? [] : [answer(seq)]
              return args[2]
            }
            if (nr !== NR.recvfrom) return undefined
            const next = waiting.shift()
            if (next === undefined || typeof next === 'number') return next ?? -EAGAIN
            const bytes = Buffer.concat(next)
            recording.bytesAt(args[1] ?? 0, bytes.length).set(bytes)
            return bytes.length
          },
        )
      return { ask, asked: () => asked }
    }

    const [LINK, DONE, ERROR, NOOP] = [16, 3, 2, 1]
    const [INTERRUPTED, CAPPED, ACK_TLVS] = [0x10, 0x100, 0x200]
    const EAGAIN = 11
    const words = (messages: readonly Buffer[]) => messages.map((bytes) => viewOf(bytes).getInt32(0, LE))

    it('a dump that changed meanwhile is asked for again, and that is bounded', () => {
      const torn = (seq: number) => [message(LINK, 2 | INTERRUPTED, seq, 7), message(DONE, 2, seq, 0)]
      const whole = (seq: number) => [message(LINK, 2, seq, 8), message(LINK, 2, seq, 9), message(DONE, 2, seq, 0)]
      const twice = dump([torn, torn, whole])
      expect(words(twice.ask().messages)).to.deep.equal([8, 9])
      expect(twice.asked()).to.equal(3)
      const always = dump([torn])
      const error = errorOf(always.ask)
      expect(error).to.include({ code: 'EINTR', syscall: 'recvfrom', command: 'RTM_GETLINK' })
      expect(error.message).to.contain('has changed each of the 8 times that it was read')
      expect(always.asked()).to.equal(8)
    })

    it('a refusal at the end of a dump comes with the words of the kernel, too', () => {
      const refused = dump([(seq) => [message(DONE, 2 | ACK_TLVS, seq, -22, packAttributes([[1, 'no such family.']]))]])
      expect(errorOf(refused.ask).message).to.equal('EINVAL: RTM_GETLINK on rtnetlink: no such family')
      // Behind a whole copy of what was refused, and behind its header alone.
      const request = new Uint8Array(24)
      viewOf(request).setUint32(0, 24, LE)
      for (const [flags, copy] of [
        [ACK_TLVS, request],
        [ACK_TLVS | CAPPED, request.subarray(0, 16)],
      ] as const) {
        const more = Buffer.concat([copy, packAttributes([[1, 'not now']])])
        expect(errorOf(dump([(seq) => [message(ERROR, flags, seq, -16, more)]]).ask).message).to.contain(': not now')
      }
    })

    it('what netlink itself says between the messages is none of them', () => {
      const answers = dump([(seq) => [message(NOOP, 2, seq, 1), message(LINK, 2, seq, 2), message(DONE, 2, seq, 0)]])
      expect(words(answers.ask().messages)).to.deep.equal([2])
    })

    it('what belongs to another request is passed over', () => {
      const answers = dump([
        (seq) => [message(LINK, 2, seq - 1, 1), message(LINK, 2, seq, 2), message(DONE, 2, seq, 0)],
      ])
      expect(words(answers.ask().messages)).to.deep.equal([2])
    })

    it('an answer that does not come, is cut off or too long is an error, and never a part of the truth', () => {
      const silent = errorOf(dump([() => -EAGAIN]).ask)
      expect(silent).to.include({ code: 'EAGAIN', syscall: 'recvfrom', command: 'RTM_GETLINK' })
      expect(silent.message).to.contain('the kernel has not answered')
      const long = errorOf(dump([() => 70_000]).ask)
      expect(long).to.include({ code: 'EMSGSIZE', syscall: 'recvfrom' })
      expect(long.message).to.contain('an answer of 70000 bytes')
      // A length that lies, and one that is cut off: what comes behind it may be whole, and may not.
      for (const length of [4000, 15, 0]) {
        const lying = dump([
          (seq) => {
            const bytes = message(LINK, 2, seq, 1)
            viewOf(bytes).setUint32(0, length, LE)
            return [bytes, message(DONE, 2, seq, 0)]
          },
        ])
        const error = errorOf(lying.ask)
        expect(error).to.include({ code: 'EBADMSG', syscall: 'recvfrom', command: 'RTM_GETLINK' })
        expect(error.message).to.contain(`a message of ${length} bytes, where 40 are left`)
      }
      const cut = dump([(seq) => [message(LINK, 2, seq, 1), message(DONE, 2, seq, 0).subarray(0, 7)]])
      expect(errorOf(cut.ask)).to.include({ code: 'EBADMSG' })
      const short = dump([
        (seq) => [
          message(ERROR, 0, seq, 0)
            .subarray(0, 16)
            .with(0, LE ? 16 : 0)
            .with(3, LE ? 0 : 16),
        ],
      ])
      expect(errorOf(short.ask).message).to.contain('an acknowledgement of 0 bytes')
    })
  })

  describe('devices', () => {
    useNamespace()

    it("have the numbers of the thread's own namespace", () => {
      ip('link', 'set', 'lo', 'down')
      expect(interfaceIndex('lo')).to.equal(1)
      expect(interfaceName(1)).to.equal('lo')
      ip('link', 'set', 'lo', 'up')
      // Those of sysfs are of the namespace in which it was mounted.
      for (const name of readdirSync('/sys/class/net')) {
        if (name !== 'lo' && !/^(sit|tunl|ip6|gre|erspan)/.test(name)) {
          expect(errorOf(() => interfaceIndex(name))).to.include({ code: 'ENODEV' })
        }
      }
      expect(interfaceLabel(9999)).to.equal('interface 9999')
      // The kernel would take the first as lo: what is behind a colon was once the number of an address.
      for (const name of ['lo:1', 'a/b', 'lo ', 'l\to', '.', '..']) {
        expect(errorOf(() => interfaceIndex(name))).to.be.instanceOf(RangeError)
      }
      expect(errorOf(() => interfaceName(9999))).to.include({ code: 'ENODEV', syscall: 'ioctl' })
    })
  })

  describe('sockets', () => {
    it('have a cookie each, and other files none', function () {
      requireRoot(this)
      const [a, b] = [0, 1].map(() => openSocket(2, 2, 0, 'AF_INET')) as [number, number]
      try {
        expect(socketCookie(a)).to.be.a('bigint').and.not.equal(socketCookie(b))
        expect(socketCookie(a)).to.equal(socketCookie(a))
        expect(socketCookie(0x7fffffff)).to.equal(undefined)
      } finally {
        closeFd(a)
        closeFd(b)
      }
      expect(errorOf(() => openSocket(999, 2, 0, 'AF_999'))).to.include({ code: 'EAFNOSUPPORT', syscall: 'socket' })
    })
  })
})
