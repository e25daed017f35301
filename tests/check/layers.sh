#!/bin/sh
# A folder of src includes only from the folders that layers.txt gives it, and the system's own headers (sockets, threads,
# files, clocks, libevent) are known to env_posix and main.c alone.
set -u
. tests/check/lib.sh
files '*.[ch]' | grep '^src/[^/]*/' | xargs -r awk '
    BEGIN {
        while ((getline line < "tests/check/layers.txt") > 0) {
            if (line ~ /^#/ || line !~ /:/) continue
            split(line, side, ":")
            known[side[1]] = 1
            allowed[side[1] "/" side[1]] = 1
            n = split(side[2], names, " ")
            for (i = 1; i <= n; i++) allowed[side[1] "/" names[i]] = 1
        }
    }
    FNR == 1 {
        split(FILENAME, part, "/")
        folder = part[2]
        if (!(folder in known) && !told[folder]++) {
            printf "%s:1: folder %s has no line in tests/check/layers.txt: give it one\n", FILENAME, folder
            bad = 1
        }
    }
    /^[ \t]*#[ \t]*include[ \t]*"/ {
        split($0, quoted, "\"")
        if (quoted[2] !~ /\//) {
            printf "%s:%d: include \"%s\": write the folder too\n", FILENAME, FNR, quoted[2]
            bad = 1
            next
        }
        split(quoted[2], path, "/")
        if (!((folder "/" path[1]) in allowed)) {
            printf "%s:%d: %s may not include from %s (tests/check/layers.txt): move what is needed to a lower folder, or turn the call around\n", FILENAME, FNR, folder, path[1]
            bad = 1
        }
    }
    /^[ \t]*#[ \t]*include[ \t]*<(event2\/|ev|event\.h|pthread|unistd|sys\/|fcntl|netinet\/|arpa\/|netdb|poll|signal|time\.h|threads|dirent|sched|semaphore|dlfcn|spawn|termios|pwd|grp|linux\/)/ {
        large_pages = FILENAME == "src/base/mem.c" && $0 ~ /sys\/mman\.h/
        if (folder != "env_posix" && !large_pages) {
            printf "%s:%d: %s: only env_posix sees the system; ask through src/env\n", FILENAME, FNR, $0
            bad = 1
        }
    }
    END { exit bad }'
