/* Which versions run, and the word to finalise one (docs/upgrade.md). */
#include "wire/messages_int.h"

#define PROCESS_WIRE_MIN 7u
#define FAULTS_MAX 4096u

void pack_meta_upgrade_request(struct buf *b, const struct meta_upgrade_request *m)
{
    pack_array(b, 2);
    pack_uint(b, m->version);
    pack_bool(b, m->finalize);
}

static void read_meta_upgrade_request(struct unpack *u, struct arena *arena, struct meta_upgrade_request *m)
{
    (void)arena;
    uint32_t extra = unpack_open(u, 2);
    m->version = read_u32(u);
    m->finalize = unpack_bool(u);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_upgrade_request)

void pack_meta_upgrade_reply(struct buf *b, const struct meta_upgrade_reply *m)
{
    pack_array(b, 4);
    pack_uint(b, m->finalised);
    pack_uint(b, m->target);
    pack_array(b, list_count(m->process_count));
    for (size_t i = 0; i < m->process_count; i++) {
        const struct upgrade_process *p = &m->processes[i];
        pack_array(b, 6);
        pack_uint(b, (uint64_t)p->role);
        pack_uint(b, p->id);
        pack_bin(b, p->address);
        pack_bin(b, p->release);
        pack_uint(b, p->newest);
        pack_uint(b, p->oldest);
    }
    pack_array(b, list_count(m->fault_count));
    for (size_t i = 0; i < m->fault_count; i++) pack_text(b, m->faults[i]);
}

static void read_meta_upgrade_reply(struct unpack *u, struct arena *arena, struct meta_upgrade_reply *m)
{
    uint32_t extra = unpack_open(u, 4);
    m->finalised = read_u32(u);
    m->target = read_u32(u);
    m->processes = read_list(u, arena, sizeof *m->processes, PROCESS_WIRE_MIN, MESSAGE_LIST_MAX, &m->process_count);
    for (size_t i = 0; i < m->process_count && !u->failed; i++) {
        struct upgrade_process *p = &m->processes[i];
        uint32_t more = unpack_open(u, 6);
        p->role = (enum role)read_enum(u, ROLE_META, ROLE_CLIENT);
        p->id = unpack_uint(u);
        p->address = read_bin(u, 0, LIMIT_ADDRESS_BYTES);
        p->release = read_bin(u, 0, RELEASE_BYTES - 1);
        p->newest = read_u32(u);
        p->oldest = read_u32(u);
        unpack_close(u, more);
    }
    m->faults = read_list(u, arena, sizeof *m->faults, 1, FAULTS_MAX, &m->fault_count);
    for (size_t i = 0; i < m->fault_count && !u->failed; i++) m->faults[i] = read_bin(u, 0, MESSAGE_TEXT_MAX);
    unpack_close(u, extra);
}
MESSAGE_UNPACK(meta_upgrade_reply)
