#!/bin/sh
# Runs a command beside others, at the lowest priority.  sh tests/beside.sh COMMAND...
# It is the first of a session of its own, which ends with it when that is told to: kernels that share the processors out among
# sessions (autogroup) look at a process's own priority only within its session, and servers under test have theirs.
exec setsid sh -c 'echo 19 2>/dev/null >/proc/self/autogroup; exec nice -n 19 "$@"' sh "$@"
