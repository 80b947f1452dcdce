#!/bin/busybox sh
# The first process of a guest: what an init system would have done, then the specs, then the end.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root NO_COLOR=1
for applet in sh ls cat true sleep readlink mkfifo tail; do
  [ -e /bin/$applet ] || [ -e /usr/bin/$applet ] || /bin/busybox ln -s /bin/busybox /bin/$applet
done
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
/bin/busybox mkdir -p /dev/shm /dev/pts
/bin/busybox mount -t devpts devpts /dev/pts
/bin/busybox mount -t tmpfs tmpfs /dev/shm
/bin/busybox mount -t cgroup2 cgroup2 /sys/fs/cgroup
/bin/busybox mount -t bpf bpf /sys/fs/bpf
/bin/busybox mount -t tracefs tracefs /sys/kernel/tracing
/bin/busybox ln -s /proc/self/fd /dev/fd
# Only emergencies may break into the lines of results.
/bin/busybox dmesg -n 1
for module in /modules/*; do
  [ -e "$module" ] && { /bin/busybox insmod "$module" || echo "insmod $module failed"; }
done
/sbin/ip link set lo up
cd /ebpf-ts
/usr/bin/node scripts/kernels/guest/run.js
/bin/busybox sync
/bin/busybox reboot -f
