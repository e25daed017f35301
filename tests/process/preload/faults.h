/* A library for LD_PRELOAD that makes a disk and a network fail under a real process. Built by the Makefile, used by the
 * process tests; it needs no privilege. In the environment:
 *
 *   QUORATE_FAULTS=DIR     each process looks at DIR/NAME.fault, NAME being the last part of its --data directory, or its
 *                          subcommand. Without that file nothing fails. Its first line, read at each call:
 *                            fail-sync          the next sync, or write that is to be synced, fails with EIO, once
 *                            fail-write         the next write fails with EIO, once
 *                            stall MS           each write and sync takes MS longer
 *                            hang               writes and syncs wait until the line changes
 *                            full               nothing can grow and no file can be made: ENOSPC
 *                          What fails once writes "done" there. Change it in place: it is mapped.
 *   QUORATE_FAULTS_POWER   DIR/NAME.undo keeps what takes back all that was not synced: power_cut.py does that after a kill
 *   QUORATE_FAULTS_BUFFERED  direct I/O is refused, as by file systems that have none
 *   QUORATE_FAULTS_PROXY   "BASE DELTA": a connection to 127.0.0.1:P goes to P + DELTA, where proxy.c listens, from the
 *                          address 127.0.1.N, which tells it who calls: N is the port of the caller less BASE */
#ifndef QUORATE_TESTS_PRELOAD_FAULTS_H
#define QUORATE_TESTS_PRELOAD_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum faults_call { CALL_WRITE, CALL_SYNC };

struct faults {
    char *line; /* mapped; NULL: no faults */
    bool buffered;
    int undo_fd; /* -1: no power cuts */
    char undo_dir[512];
    unsigned proxy_base, proxy_delta, id;
};
extern struct faults faults;

/* 0, or the errno with which the call is to fail. durable: a write that is on disk when it returns. */
int faults_before(enum faults_call call, bool durable, bool grows);

/* undo.c: notes, before a change, what would take it back. */
void undo_write(int fd, off_t offset, size_t size, bool durable);
void undo_truncate(int fd, off_t size);
void undo_synced(int fd);
void undo_created(int dir, const char *path);
void undo_renamed(int dir, const char *from, const char *to);
void undo_removed(int dir, const char *path);

#endif
