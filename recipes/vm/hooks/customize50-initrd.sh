#!/bin/sh
# The first file system: busybox, six modules and one script. initramfs-tools' own would start udev and take seconds.
set -eu
root=$1
version=$(ls "$root/usr/lib/modules")
# Unpacking modules once here saves doing so at each boot.
chroot "$root" busybox find "/usr/lib/modules/$version" -name '*.ko.xz' -exec busybox unxz {} +
chroot "$root" depmod -a "$version"
tree=$root/tmp/initrd
mkdir -p "$tree/bin" "$tree/modules" "$tree/proc" "$tree/sys" "$tree/dev" "$tree/run" "$tree/system" "$tree/root"
cp "$root/usr/bin/busybox" "$tree/bin/busybox"
ln -s busybox "$tree/bin/sh"
: >"$tree/modules/order"
for name in virtio_blk overlay; do
    chroot "$root" modprobe --set-version "$version" --show-depends "$name" | while read -r verb path rest; do
        [ "$verb" = insmod ] || continue
        file=${path##*/}
        [ ! -e "$tree/modules/$file" ] || continue
        cp "$root$path" "$tree/modules/$file"
        echo "$file" >>"$tree/modules/order"
    done
done
cat >"$tree/init" <<'INIT'
#!/bin/sh
# The system disk stays read-only; what a boot writes goes to memory and is gone with it.
export PATH=/bin
busybox mount -t devtmpfs none /dev
busybox mount -t sysfs none /sys
while read -r module; do
    busybox insmod "/modules/$module"
done </modules/order
disk=
n=0
while [ -z "$disk" ] && [ "$n" -lt 100 ]; do
    for d in /sys/block/vd*; do
        [ -e "$d/serial" ] && [ "$(busybox cat "$d/serial")" = locki-system ] && disk=/dev/${d##*/}
    done
    [ -n "$disk" ] || { n=$((n + 1)); busybox sleep 0.1; }
done
fail() {
    echo "locki: $1" >/dev/console
    busybox sleep 1
    busybox poweroff -f
}
busybox mount -t ext4 -o ro "$disk" /system || fail "cannot mount the system disk"
busybox mount -t tmpfs -o mode=0755,size=25% locki-run /run
busybox mkdir -p /run/overlay/upper /run/overlay/work
busybox mount -t overlay -o lowerdir=/system,upperdir=/run/overlay/upper,workdir=/run/overlay/work locki-root /root ||
    fail "cannot mount the overlay"
busybox umount /sys
busybox mount --move /dev /root/dev
exec busybox switch_root /root /sbin/init
INIT
chmod 0755 "$tree/init"
# shellcheck disable=SC2016
chroot "$root" sh -c 'cd /tmp/initrd && find . | busybox sort | busybox cpio -o -H newc -R 0:0 >/boot/initrd.img'
rm -rf "$tree"
mv "$root/boot/vmlinuz-$version" "$root/boot/vmlinuz"
rm -f "$root"/boot/System.map* "$root"/boot/config-* "$root"/vmlinuz* "$root"/initrd*
