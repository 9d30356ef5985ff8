#!/bin/sh
# compile.sh VENV: runs inside the hosts' root, in the folder with the sdist, the patch and the tools. Compiles
# pyslurm and makes the virtual environment VENV with it.
set -eu
here=$PWD
venv=$1

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q --yes --no-install-recommends gcc libc6-dev libpython3-dev patch

mkdir source
cd source
tar xzf "$here"/pyslurm-*.tar.gz --strip-components=1
patch -p1 < "$here/slurm-24.11.patch"
rm pyslurm/deprecated.pyx pyslurm/core/node.pyx pyslurm/core/partition.pyx pyslurm/core/reservation.pyx \
  pyslurm/core/slurmctld/stats.pyx pyslurm/db/assoc.pyx

# A pointer or an integer of another kind than the headers' means that a layout was misjudged: no pyslurm, then.
CFLAGS="-O0 -g0 -include $here/compat.h -Werror=int-conversion -Werror=incompatible-pointer-types"
export CFLAGS="$CFLAGS -Werror=implicit-function-declaration"
export SLURM_LIB_DIR="/usr/lib/$(gcc -print-multiarch)/slurm-wlm" SLURM_INCLUDE_DIR=/usr/include
export PYSLURM_BUILD_JOBS=2 PYTHONPATH="$here/tools"
python3 setup.py build_ext -j2 build -b built

python3 -m venv --without-pip "$venv"
cp -r built/lib*/pyslurm "$(echo "$venv"/lib/python3*/site-packages)/"
cd /
PYSLURM_DISABLE_AUTO_INIT=1 "$venv/bin/python" -c 'import pyslurm'
