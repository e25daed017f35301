#include "lsm/rowmerge.h"

#include "base/mem.h"
#include "lsm/row.h"

void rowmerge_init(struct rowmerge *m, size_t source_count, bool reverse)
{
    if (source_count > m->capacity) {
        rowmerge_free(m);
        m->sources = mem_zalloc(source_count * sizeof(*m->sources));
        m->heap = mem_zalloc(source_count * sizeof(*m->heap));
        m->capacity = source_count;
    }
    m->source_count = source_count;
    m->heap_count = 0;
    m->reverse = reverse;
    m->at_row = false;
    m->failed = NULL;
}

void rowmerge_release(struct rowmerge *m)
{
    for (size_t i = 0; i < m->source_count; i++) rowsource_release(&m->sources[i]);
    m->source_count = 0;
}

void rowmerge_free(struct rowmerge *m)
{
    for (size_t i = 0; i < m->capacity; i++) rowsource_free(&m->sources[i]);
    mem_free(m->sources);
    mem_free(m->heap);
    *m = (struct rowmerge){.sources = NULL};
}

/* True if source a's row comes before source b's. Equal rows: the newer source, in both directions. */
static bool before(const struct rowmerge *m, uint32_t a, uint32_t b)
{
    const struct lsm_write *ra = &m->sources[a].row, *rb = &m->sources[b].row;
    int c = row_cmp(ra->key, ra->ts, rb->key, rb->ts);
    if (c == 0) return a < b;
    return m->reverse ? c > 0 : c < 0;
}

static void sift_down(struct rowmerge *m, size_t at)
{
    uint32_t moved = m->heap[at];
    for (size_t child; (child = 2 * at + 1) < m->heap_count; at = child) {
        if (child + 1 < m->heap_count && before(m, m->heap[child + 1], m->heap[child])) child++;
        if (!before(m, m->heap[child], moved)) break;
        m->heap[at] = m->heap[child];
    }
    m->heap[at] = moved;
}

enum status rowmerge_seek(struct rowmerge *m, struct slice key, uint64_t ts)
{
    m->heap_count = 0;
    m->at_row = false;
    for (uint32_t i = 0; i < m->source_count; i++) {
        struct rowsource *s = &m->sources[i];
        enum status status = m->reverse ? rowsource_seek_before(s, key) : rowsource_seek(s, key, ts);
        if (status == STATUS_END) continue;
        if (status != STATUS_OK) {
            m->failed = s;
            return status;
        }
        m->heap[m->heap_count++] = i;
    }
    for (size_t i = m->heap_count / 2; i-- > 0;) sift_down(m, i);
    return STATUS_OK;
}

/* The source at that place of the heap has moved. */
static enum status moved(struct rowmerge *m, size_t at, enum status status)
{
    if (status == STATUS_END) {
        m->heap[at] = m->heap[--m->heap_count];
    } else if (status != STATUS_OK) {
        m->failed = &m->sources[m->heap[at]];
        return status;
    }
    if (at < m->heap_count) sift_down(m, at);
    return STATUS_OK;
}

static enum status advance(struct rowmerge *m, size_t at)
{
    struct rowsource *s = &m->sources[m->heap[at]];
    return moved(m, at, m->reverse ? rowsource_prev(s) : rowsource_next(s));
}

enum status rowmerge_skip(struct rowmerge *m, struct slice key, uint64_t ts, bool in_runs)
{
    enum status status = STATUS_OK;
    m->at_row = false;
    while (status == STATUS_OK && m->heap_count > 0) {
        struct rowsource *s = &m->sources[m->heap[0]];
        if ((s->memtable == NULL && !in_runs) || row_cmp(s->row.key, s->row.ts, key, ts) >= 0) break;
        status = moved(m, 0, rowsource_seek(s, key, ts));
    }
    return status;
}

bool rowmerge_ends_key(const struct rowmerge *m)
{
    const struct rowsource *top = &m->sources[m->heap[0]];
    if (top->memtable != NULL || !top->cursor.prev_differs) return false;
    for (size_t child = 1; child <= 2 && child < m->heap_count; child++) {
        if (slice_eq(m->sources[m->heap[child]].row.key, top->row.key)) return false;
    }
    return true;
}

static bool same_row(const struct rowmerge *m, size_t a, size_t b)
{
    const struct lsm_write *ra = &m->sources[m->heap[a]].row, *rb = &m->sources[m->heap[b]].row;
    return ra->ts == rb->ts && slice_eq(ra->key, rb->key);
}

/* Older sources' rows that equal the top are its children in the heap: they go first, then the top itself. */
static enum status step(struct rowmerge *m)
{
    for (size_t child = 1; child <= 2; child++) {
        while (child < m->heap_count && same_row(m, 0, child)) {
            enum status status = advance(m, child);
            if (status != STATUS_OK) return status;
            child = 1;
        }
    }
    return advance(m, 0);
}

enum status rowmerge_next(struct rowmerge *m, struct lsm_write *row)
{
    if (m->at_row) {
        m->at_row = false;
        enum status status = step(m);
        if (status != STATUS_OK) return status;
    }
    if (m->heap_count == 0) return STATUS_END;
    m->at_row = true;
    *row = m->sources[m->heap[0]].row;
    return STATUS_OK;
}
