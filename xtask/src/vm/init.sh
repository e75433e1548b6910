#!/bin/busybox sh
# The first process of a guest: runs what is in /sections, a line each (name, seconds,
# command, with tabs between), and tells on the console what became of it. Lines that
# begin with @@ are for the host.
/bin/busybox --install -s /bin
export PATH=/usr/bin:/bin:/sbin HOME=/root
export CI=true OVERLAY_GUEST=1 OVERLAY_PATIENCE=5 OVERLAY_BINARY=/usr/bin/overlay
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t bpf bpf /sys/fs/bpf
mkdir -p /run/netns
ip link set lo up
echo 1 > /proc/sys/kernel/panic_on_oops
echo "@@ kernel $(uname -r)"
while sleep 2; do echo "@@ alive"; done &
while IFS='	' read -r name seconds command; do
    echo "@@ section $name"
    timeout "$seconds" sh -c "$command" </dev/null 2>&1
    code=$?
    echo
    echo "@@ end $code"
done < /sections
echo "@@ done"
reboot -f
