#!/usr/bin/env python3
"""Takes back what was not synced when a process was killed:  power_cut.py DATA-DIRECTORY UNDO-DIRECTORY SEED

Reads the journal of preload/undo.c. Each write and each name that no sync covered is, by chance, kept or lost, whatever its
order: as a disk with a volatile cache leaves it. Ends with an empty journal, so that the next life starts from there."""
import os
import random
import shutil
import sys


def read_journal(path):
    records = []
    with open(path, "rb") as f:
        while True:
            line = f.readline()
            if not line.endswith(b"\n"):  # the end, or cut by the kill: then the change did not happen
                return records
            words = line.decode().split()
            old = b""
            if words[0] == "W":
                old = f.read(int(words[5]))
                if len(old) != int(words[5]):
                    return records
            records.append((words, old))


def unsynced(records):
    """Indices of the records that no later sync covers, newest first."""
    files, dirs, result = set(), set(), []
    for i in range(len(records) - 1, -1, -1):
        words, _ = records[i]
        kind = words[0]
        if kind == "S":
            files.add(words[1])
        elif kind == "N":
            dirs.add(os.path.normpath(words[1]))
        elif kind == "W" and words[1] not in files:
            result.append(i)
        elif kind in "CRU" and os.path.normpath(os.path.dirname(words[1])) not in dirs:
            result.append(i)
    return result


def keep(ranges, offset, data):
    """Pieces of (offset, data) outside of ranges."""
    pieces = [(offset, data)]
    for low, high in ranges:
        cut = []
        for at, bytes_ in pieces:
            end = at + len(bytes_)
            if high <= at or low >= end:
                cut.append((at, bytes_))
                continue
            if low > at:
                cut.append((at, bytes_[:low - at]))
            if high < end:
                cut.append((high, bytes_[high - at:]))
        pieces = cut
    return pieces


def main():
    data, undo, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    chance = random.Random(seed)
    journal = os.path.join(undo, "journal")
    if not os.path.exists(journal):
        print("no journal in %s: was the library loaded?" % undo)
        return 1
    records = read_journal(journal)
    candidates = set(unsynced(records))
    paths = {}
    for root, _, names in os.walk(data):
        for name in names:
            path = os.path.join(root, name)
            paths[str(os.stat(path).st_ino)] = path
    for name in os.listdir(undo):  # a file that was removed lives on here
        paths.setdefault(str(os.stat(os.path.join(undo, name)).st_ino), os.path.join(undo, name))
    standing, lost = {}, {"W": 0, "C": 0, "R": 0, "U": 0}
    for i in range(len(records) - 1, -1, -1):
        words, old = records[i]
        kind = words[0]
        if kind == "D" or (kind == "W" and (i not in candidates or chance.random() < 0.3)):
            standing.setdefault(words[1], []).append((int(words[2]), int(words[2]) + int(words[3])))
            continue
        if i not in candidates:
            continue
        if kind == "W":
            if words[1] not in paths:
                continue
            ranges = standing.get(words[1], [])
            size = max([int(words[4])] + [high for _, high in ranges])
            with open(paths[words[1]], "r+b") as f:
                for at, piece in keep(ranges, int(words[2]), old):
                    f.seek(at)
                    f.write(piece)
                f.truncate(size)
        elif chance.random() < 0.3:
            continue
        elif kind == "C":
            if os.path.exists(words[1]):
                os.unlink(words[1])
        elif kind == "R":
            if os.path.exists(words[2]) and not os.path.exists(words[1]):
                os.rename(words[2], words[1])
                if words[3] != "-":
                    os.link(words[3], words[2])
        elif kind == "U" and not os.path.exists(words[1]):
            os.link(words[2], words[1])
        lost[kind] += 1
    shutil.rmtree(undo)
    print("%s: %d changes, %d not synced; lost: %d writes, %d new names, %d renames, %d removals"
          % (os.path.basename(data), len(records), len(candidates), lost["W"], lost["C"], lost["R"], lost["U"]))
    return 0


sys.exit(main())
