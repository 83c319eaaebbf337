#!/bin/sh
# Runs in the guest, as root, before the command: guest.sh SHARED
# SHARED/command is run; its output and exit status go to SHARED/output and SHARED/status.
shared=$1
cut -d' ' -f1 /proc/uptime > "$shared/uptime"

# The root file system a second time, with the guest's page cache: Python starts several times
# faster.  The host's files must not change meanwhile, but for SHARED, which is not cached.
root=/run/pghot-root
mkdir -p "$root" /run/pghot-upper
mount -t 9p -o version=9p2000.L,trans=virtio,cache=loose,msize=512000,ro pghot-root "$root" ||
    exit 1
mount -t tmpfs tmpfs /run/pghot-upper
for directory in etc var usr/lib home root tmp opt srv; do
    [ -d "$root/$directory" ] || continue
    over=/run/pghot-upper/$(echo "$directory" | tr / -)
    mkdir -p "$over/upper" "$over/work"
    mount -t overlay -o "lowerdir=$root/$directory,upperdir=$over/upper,workdir=$over/work" \
        overlay "$root/$directory"
done
for directory in proc dev sys run; do
    mount --rbind "/$directory" "$root/$directory"
done
mkdir -p "$root/usr/lib/modules" "$root$shared"
mount --bind /lib/modules "$root/usr/lib/modules"
mount --bind "$shared" "$root$shared"

export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ip link set lo up 2>/dev/null
if [ -e "$shared/interactive" ]; then
    exec chroot "$root" sh "$shared/command"
fi
chroot "$root" sh "$shared/command" > "$shared/output" 2>&1
echo $? > "$shared/status.part"
mv "$shared/status.part" "$shared/status"
