#!/bin/sh
# chamber.sh BASE FOLDER VENV: compile in a copy of the hosts' root. Runs in a mount namespace of its own.
#
# Puts FOLDER/layer over BASE, so that the compiler gets into the layer and not into the hosts' root.
# FOLDER/layer/build holds what is to be compiled.
set -eu
base=$1 folder=$2 venv=$3
root=$folder/root
mkdir -p "$folder/work" "$root"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$folder/layer,workdir=$folder/work" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir -m 1777 "$root/dev/shm"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/urandom" c 1 9
ln -s /proc/self/fd "$root/dev/fd"
cat /etc/resolv.conf > "$root/etc/resolv.conf"
exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 sh -c 'cd /build && exec sh compile.sh "$1"' sh "$venv"
