#!/bin/sh
# srun, mpirun and mpiexec inside a burst's container: the runner outside starts the step.
# POSIX sh and coreutils only. Arguments, directory and environment go as files, streams as fifos.
b=/.burst
fail() { echo "${0##*/}: $1" >&2; exit 125; }
d=$(mktemp -d "$b/req/XXXXXXXXXX") || fail "cannot ask the runner for a step"
id=${d##*/}
mkfifo "$d/in" "$d/out" "$d/err" "$d/rc" || fail "cannot make fifos"
printf '%s\0' "${0##*/}" "$@" > "$d/args" || fail "cannot write the request"
printf '%s' "$PWD" > "$d/cwd"
cat "/proc/$$/environ" > "$d/env" || fail "no /proc in this container"
tell() { printf '%s %s\n' "$1" "$id" > "$b/requests"; }
# The carriers of the streams must outlive a TERM for the whole job: the last words pass by them.
carry() { trap '' TERM INT HUP USR1 USR2; exec cat "$@"; }
exec 3<&0
(exec 3<&-; carry "$d/out") & out=$!
(exec 3<&-; carry "$d/err" >&2) & err=$!
(exec <&3 3<&-; carry > "$d/in") & in=$!
(trap '' TERM INT HUP USR1 USR2; IFS= read -r code < "$d/rc"; printf %s "$code" > "$d/code") & rc=$!
exec 3<&-
for s in TERM INT HUP USR1 USR2; do trap "tell $s" "$s"; done
tell RUN
# A trapped signal interrupts `wait`: go on until the carrier of the exit code is gone.
settled() { until wait "$1"; do kill -0 "$1" 2>/dev/null || break; done; }
settled "$rc"; settled "$out"; settled "$err"
kill -9 "$in" 2>/dev/null
code=$(cat "$d/code" 2>/dev/null)
tell DONE
exit "${code:-125}"
