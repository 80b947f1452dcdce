import type { AttachTypeName, ProgramTypeName } from '../../syscalls/uapi-names'

/** The hooks of a cgroup, each with the type of its programs. */
export const CGROUP_HOOKS = {
  cgroup_inet_ingress: 'cgroup_skb',
  cgroup_inet_egress: 'cgroup_skb',
  cgroup_inet_sock_create: 'cgroup_sock',
  cgroup_inet_sock_release: 'cgroup_sock',
  cgroup_inet4_post_bind: 'cgroup_sock',
  cgroup_inet6_post_bind: 'cgroup_sock',
  cgroup_sock_ops: 'sock_ops',
  cgroup_device: 'cgroup_device',
  cgroup_inet4_bind: 'cgroup_sock_addr',
  cgroup_inet6_bind: 'cgroup_sock_addr',
  cgroup_inet4_connect: 'cgroup_sock_addr',
  cgroup_inet6_connect: 'cgroup_sock_addr',
  cgroup_unix_connect: 'cgroup_sock_addr',
  cgroup_udp4_sendmsg: 'cgroup_sock_addr',
  cgroup_udp6_sendmsg: 'cgroup_sock_addr',
  cgroup_unix_sendmsg: 'cgroup_sock_addr',
  cgroup_udp4_recvmsg: 'cgroup_sock_addr',
  cgroup_udp6_recvmsg: 'cgroup_sock_addr',
  cgroup_unix_recvmsg: 'cgroup_sock_addr',
  cgroup_inet4_getpeername: 'cgroup_sock_addr',
  cgroup_inet6_getpeername: 'cgroup_sock_addr',
  cgroup_unix_getpeername: 'cgroup_sock_addr',
  cgroup_inet4_getsockname: 'cgroup_sock_addr',
  cgroup_inet6_getsockname: 'cgroup_sock_addr',
  cgroup_unix_getsockname: 'cgroup_sock_addr',
  cgroup_sysctl: 'cgroup_sysctl',
  cgroup_getsockopt: 'cgroup_sockopt',
  cgroup_setsockopt: 'cgroup_sockopt',
  lsm_cgroup: 'lsm',
} as const satisfies Partial<Record<AttachTypeName, ProgramTypeName>>

export type CgroupHook = keyof typeof CGROUP_HOOKS

/** Of a program of which only an fd or an id was given: for which hook it was loaded, the kernel alone knows. */
export const OTHER_HOOK = 'the program was loaded for another hook (expectedAttachType)'

/** What the kernel says of what is no cgroup, or no longer. */
export const CGROUP_HINTS: Readonly<Record<string, string>> = {
  EBADF: 'the file descriptor is not that of the folder of a cgroup of version 2',
  ENOENT: 'the cgroup has been removed',
}
