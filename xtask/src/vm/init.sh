#!/bin/busybox sh
# The first process of a guest: runs what is in /sections, a line each (name, seconds,
# command, with tabs between), and tells on the second serial port what became of it.
# Lines that begin with @@ are for the host. The first port has what the kernel says, and
# the sign of life.
/bin/busybox --install -s /bin
export PATH=/usr/bin:/bin:/sbin HOME=/root
# Everything that waits ends early where it succeeds.
export CI=true OVERLAY_GUEST=1 OVERLAY_PATIENCE=20 OVERLAY_BINARY=/usr/bin/overlay
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mount -t tmpfs run /run
mount -t bpf bpf /sys/fs/bpf
mkdir -p /run/netns
ip link set lo up
echo 1 > /proc/sys/kernel/panic_on_oops
# At once, so that a section that hangs at once is told from a boot that takes long.
echo "@@ alive"
while sleep 2; do echo "@@ alive"; done &
exec >/dev/ttyS1 2>&1
echo "@@ kernel $(uname -r)"

# Kills what a section left. Each has a session of its own; the kernel's threads and this
# script are in session 0.
end_all() {
    for file in /proc/[0-9]*/stat; do
        read -r stat 2>/dev/null <"$file" || continue
        pid=${file#/proc/} pid=${pid%/stat}
        # Behind the name: state, parent, group, session.
        set -- ${stat##*) }
        [ "$4" = 0 ] || kill -9 "$pid"
    done 2>/dev/null
}

while IFS='	' read -r name seconds command; do
    echo "@@ section $name"
    timeout -k 5 "$seconds" setsid sh -c "$command" </dev/null
    code=$?
    end_all
    # Once more for what was just being started, and for its last words.
    sleep 0.2
    end_all
    echo
    echo "@@ end $code"
done < /sections

# What is taken down later, such as network namespaces, is taken down by now.
sleep 4
echo "@@ tainted $(cat /proc/sys/kernel/tainted)"
dmesg | grep -E 'WARNING: |BUG: |Oops|unregister_netdevice: waiting' | head -20
echo "@@ done"
sleep 1
reboot -f
