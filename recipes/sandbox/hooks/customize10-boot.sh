#!/bin/sh
# A container's boot is spelled out: init, D-Bus on demand and a volatile journal. LXC has set up the network before
# init runs (lxc.net.0.ipv4.address in lxc.container.conf(5)), so nothing waits for it.
set -eu
root=$1
units=$root/etc/systemd/system
rm -rf "$units"/*.wants "$units"/*.requires
for wish in "$root"/usr/lib/systemd/system/*.wants/*; do
    case ${wish##*/} in
    systemd-journald.service | systemd-journald.socket | systemd-journald-dev-log.socket | dbus.socket | \
        systemd-tmpfiles-setup.service) ;;
    *) rm -f "$wish" ;;
    esac
done
chroot "$root" systemctl set-default multi-user.target
for unit in systemd-udevd.service systemd-logind.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service systemd-remount-fs.service systemd-journal-flush.service \
    systemd-random-seed.service systemd-user-sessions.service tmp.mount dev-hugepages.mount dev-mqueue.mount \
    console-getty.service systemd-networkd.service systemd-resolved.service systemd-timesyncd.service; do
    ln -sf /dev/null "$units/$unit"
done
rm -f "$root"/usr/lib/systemd/system-generators/*
# Manual pages are left out, but packages that make links among them (a JDK's) cannot be installed without the folders.
for section in 1 2 3 4 5 6 7 8; do mkdir -p "$root/usr/share/man/man$section"; done
ln -sf fdfind "$root/usr/bin/fd"
: >"$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root/var/lib/systemd/random-seed"
echo sandbox >"$root/etc/hostname"
echo '127.0.0.1 localhost' >"$root/etc/hosts"
: >"$root/etc/fstab"
rm -rf "$root"/var/log/*.log "$root"/var/log/apt/* "$root"/var/cache/debconf/*-old
