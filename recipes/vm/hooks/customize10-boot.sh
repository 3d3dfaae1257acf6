#!/bin/sh
# The VM's boot is spelled out: nothing that a package enables starts unless it is named here.
set -eu
root=$1
units=$root/etc/systemd/system
# Every wish of a package, in /etc and /usr, is dropped; the mounts and targets of systemd's core stay.
rm -rf "$units"/*.wants "$units"/*.requires
for wish in "$root"/usr/lib/systemd/system/*.wants/*; do
    rm -f "$wish"
done
for unit in locki-net.service locki-data.service locki-power.service incus.service lxcfs.service qemu-guest-agent.service; do
    chroot "$root" systemctl enable "$unit"
done
chroot "$root" systemctl set-default multi-user.target
# Pulled in by name from systemd's own units.
for unit in systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket systemd-udevd.service \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-remount-fs.service systemd-fsck-root.service \
    systemd-logind.service systemd-random-seed.service dbus.service dbus.socket tmp.mount; do
    ln -sf /dev/null "$units/$unit"
done
# Nothing personal: made anew at each boot.
: >"$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed"
echo locki >"$root/etc/hostname"
echo '127.0.0.1 localhost locki' >"$root/etc/hosts"
: >"$root/etc/resolv.conf"
: >"$root/etc/fstab"
mkdir -p "$root/data" "$root/var/lib/incus" "$root/var/lib/lxcfs" "$root/var/log/incus"
# The helper of that name would load profiles; the VM boots without AppArmor.
rm -rf "$root"/etc/apparmor.d "$root"/var/cache/apparmor
rm -rf "$root"/var/cache/debconf/*-old "$root"/var/log/*.log "$root"/var/log/apt
# Generators look for what is not there (fstab, getty, LVM, GPT, hibernation …); each is a process at boot.
rm -f "$root"/usr/lib/systemd/system-generators/*
