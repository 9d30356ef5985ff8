#!/bin/sh
# node.sh NAME BASE FOLDER: become the first process of a lab host.
#
# Runs as process 1 of new mount, UTS, IPC and PID namespaces and, but for a guest in another host's, a network one. Puts the host's layer (FOLDER/layer) over
# the shared root (BASE), enters it by pivot_root (in a chroot every rootless container runtime is refused) and
# becomes init. FOLDER/binds holds lines "SOURCE TARGET ro|rw".
set -eu
name=$1 base=$2 folder=$3
root=$folder/root

hostname "$name"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$folder/layer,workdir=$folder/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
# Container runtimes that look for cgroups want one plain hierarchy, not the machine's hybrid one.
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" || echo "no cgroup2 here"

mount -t tmpfs -o mode=755 tmpfs "$root/dev"
node() { mknod -m 666 "$root/dev/$1" c "$2" "$3"; }
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue" "$root/dev/net"
node null 1 3; node zero 1 5; node full 1 7; node random 1 8; node urandom 1 9; node tty 5 0
node fuse 10 229; node net/tun 10 200
# GPUs that a proxy node does not have: null devices.
case $name in px | old) for gpu in $(seq 0 63); do node "gpu$gpu" 1 3; done ;; esac
# And GPUs of the names that drivers give them, for what must pass them on.
case $name in n[12] | c[12]) for gpu in 0 1 ctl; do node "nvidia$gpu" 1 3; done ;; esac
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t mqueue mqueue "$root/dev/mqueue"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for stream in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${stream%:*}" "$root/dev/${stream#*:}"; done

mount -t tmpfs -o mode=755 tmpfs "$root/run"
mkdir -p "$root/run/lock" "$root/run/sshd" "$root/run/wireguard"
for pair in munge:munge slurm:slurm mysqld:mysql; do
  grep -q "^${pair#*:}:" "$root/etc/passwd" || continue
  mkdir "$root/run/${pair%:*}"
  chroot "$root" chown "${pair#*:}:" "/run/${pair%:*}"
done

while read -r source target mode; do
  mkdir -p "$root$target"
  mount --bind "$source" "$root$target"
  if [ "$mode" = ro ]; then mount -o remount,bind,ro "$root$target"; fi
done < "$folder/binds"

ip link set lo up
echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 || true
echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind
echo "0 2147483647" > /proc/sys/net/ipv4/ping_group_range
echo 0 > /proc/sys/net/ipv4/ip_forward

cd "$root"
mkdir -p .old
pivot_root . .old
cd /
umount -l /.old
rmdir /.old
exec env -i PATH=/usr/sbin:/usr/bin "BURSTD_LAB=$BURSTD_LAB" "BURSTD_LAB_HOST=$name" /usr/local/sbin/labinit \
  </dev/null >/dev/null 2>&1
