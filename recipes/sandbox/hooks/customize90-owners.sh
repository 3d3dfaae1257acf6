#!/bin/sh
# The disk is made by an ordinary user, to whom every file belongs while he makes it. What belongs to somebody else
# than root is written down here and put right inside the VM.
set -eu
mkdir -p "$1/usr/share/locki"
# shellcheck disable=SC2016
chroot "$1" find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run \) -prune -o \
    \( ! -uid 0 -o ! -gid 0 \) -printf '%U:%G %m %y %p\n' >"$1/usr/share/locki/owners"
