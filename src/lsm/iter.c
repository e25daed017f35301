#include "base/mem.h"
#include "lsm/lsm_int.h"

/* Over versions of one key: more of them are skipped by a search, first in memtables, then everywhere. */
enum { STEPS_BEFORE_SKIP = 8, STEPS_BEFORE_SEARCH = 32 };

struct lsm_iter {
    struct lsm *l;
    struct version *version;
    struct rowmerge merge;
    struct keybuf start, end; /* end empty: no bound */
    uint64_t ts;
    bool begun;
    /* The key at hand. Forward: resolved once its newest visible version was found, whatever that is. Reverse: `candidate` is
     * its newest visible version so far, resolved when the next key shows that no newer one comes, or by a search. */
    struct keybuf key, value;
    bool at_key, resolved, have;
    bool searched;  /* reverse: it was, so that the sources still stand among its versions */
    unsigned steps; /* over its versions */
    struct lsm_write candidate;
    uint32_t *allowance; /* NULL: no limit */
};

/* The files of the run that touch [start, end). */
static size_t touched_files(const struct run *run, struct slice start, struct slice end, size_t *first)
{
    size_t i = run_find(run, start), n = 0;
    *first = i;
    while (i + n < run->count && lsm_file_overlaps(run->files[i + n], start, end)) n++;
    return n;
}

struct lsm_iter *lsm_iter_new(struct lsm *l, struct slice start, struct slice end, uint64_t ts, bool reverse)
{
    struct lsm_iter *it = l->spare_iter != NULL ? l->spare_iter : mem_zalloc(sizeof(*it));
    l->spare_iter = NULL;
    it->l = l;
    it->begun = it->at_key = it->resolved = it->have = it->searched = false;
    it->version = version_ref(l->version);
    it->ts = ts;
    it->allowance = NULL; /* a spare one's was another reader's */
    keybuf_set(&it->start, 0, start.data, start.size);
    keybuf_set(&it->end, 0, end.data, end.size);
    size_t sources = 0, runs = 0;
    rowmerge_init(&it->merge, 1 + l->frozen_count + l->version->run_count, reverse);
    struct rowsource *s = it->merge.sources;
    if (l->active->rows > 0) rowsource_init_memtable(&s[sources++], l->active);
    for (size_t i = l->frozen_count; i-- > 0;) rowsource_init_memtable(&s[sources++], l->frozen[i]);
    for (size_t r = 0; r < it->version->run_count; r++) {
        const struct run *run = &it->version->runs[r];
        size_t first, n = touched_files(run, start, end, &first);
        if (n == 0) continue;
        rowsource_init_run(&s[sources++], &run->files[first], n, true);
        runs++;
    }
    if (runs > 1) l->looks += (runs - 1) * LOOKS_OF_ITERATOR;
    it->merge.source_count = sources;
    l->iters++;
    return it;
}

static void iter_release(struct lsm_iter *it)
{
    rowmerge_free(&it->merge);
    keybuf_free(&it->start);
    keybuf_free(&it->end);
    keybuf_free(&it->key);
    keybuf_free(&it->value);
    mem_free(it);
}

void lsm_iter_free(struct lsm_iter *it)
{
    if (it == NULL) return;
    struct lsm *l = it->l;
    l->iters--;
    rowmerge_release(&it->merge);
    version_unref(it->version);
    if (l->spare_iter == NULL) {
        l->spare_iter = it;
    } else {
        iter_release(it);
    }
}

void lsm_iter_spare_free(struct lsm *l)
{
    if (l->spare_iter != NULL) iter_release(l->spare_iter);
    l->spare_iter = NULL;
}

/* Nothing is fetched from behind the end of the span, or of what the file has of its table. */
static int32_t ahead_within(const struct lsm_iter *it, const struct lsm_miss *miss)
{
    const struct lsm_file *f = miss->file;
    const struct table *t = f->table;
    struct slice start = keybuf_slice(&it->start), end = keybuf_slice(&it->end);
    int32_t n = 0;
    for (; n < miss->ahead && miss->block + (uint32_t)n + 1 < t->block_count; n++) {
        struct slice least = table_block_key(t, miss->block + (uint32_t)n + 1);
        if (slice_cmp(least, f->upper) >= 0 || (end.size > 0 && slice_cmp(least, end) >= 0)) break;
    }
    for (; n > miss->ahead && miss->block >= (uint32_t)(1 - n); n--) {
        struct slice above = table_block_key(t, miss->block - (uint32_t)-n);
        if (slice_cmp(above, f->lower) <= 0 || slice_cmp(above, start) <= 0) break;
    }
    return n;
}

static enum status fail(struct lsm_iter *it, enum status s, struct lsm_miss *miss)
{
    struct rowsource *source = it->merge.failed;
    if (source == NULL) return s; /* lsm_get saw to it */
    if (s == STATUS_MISS) {
        *miss = source->miss;
        miss->ahead = ahead_within(it, miss);
        (void)lsm_file_ref(miss->file);
    }
    if (s == STATUS_CORRUPT) lsm_quarantine(it->l, source->bad, source->miss.block);
    return s;
}

static bool same_key(const struct lsm_iter *it, const struct lsm_write *w)
{
    return it->at_key && slice_eq(keybuf_slice(&it->key), w->key);
}

static void enter_key(struct lsm_iter *it, const struct lsm_write *w)
{
    keybuf_set(&it->key, 0, w->key.data, w->key.size);
    it->at_key = true;
    it->resolved = it->have = false;
    it->steps = 0;
}

void lsm_iter_allow(struct lsm_iter *it, uint32_t *allowance)
{
    it->allowance = allowance;
}

/* One more row was looked at. True: that was the last one allowed. Whoever asks stops only where the position has moved. */
static bool used_up(struct lsm_iter *it)
{
    if (it->allowance == NULL) return false;
    if (*it->allowance > 0) (*it->allowance)--;
    return *it->allowance == 0;
}

/* The key's newest visible version is a value, and was not erased. */
static bool seen(const struct lsm_iter *it, const struct lsm_write *w)
{
    return w->kind == LSM_PUT && !lsm_erased(it->l, it->version, w->key, w->ts, it->ts);
}

static enum status next_forward(struct lsm_iter *it, struct lsm_write *w)
{
    struct slice end = keybuf_slice(&it->end);
    for (;;) {
        enum status s = rowmerge_next(&it->merge, w);
        if (s != STATUS_OK) return s;
        bool stop = used_up(it);
        if (!same_key(it, w)) {
            if (end.size > 0 && slice_cmp(w->key, end) >= 0) return STATUS_END;
            bool moved = it->at_key;
            enter_key(it, w);
            if (stop && moved) {
                it->merge.at_row = false; /* the row seen is looked at again */
                return STATUS_RETRY;
            }
        }
        if (it->resolved || w->ts > it->ts) {
            if (stop && it->resolved) return STATUS_RETRY;
            uint64_t to = it->resolved ? 0 : it->ts;
            if (++it->steps % STEPS_BEFORE_SKIP != 0 || w->ts <= to) continue;
            s = rowmerge_skip(&it->merge, keybuf_slice(&it->key), to, it->steps >= STEPS_BEFORE_SEARCH);
            if (s != STATUS_OK) return s;
            continue;
        }
        it->resolved = true;
        if (seen(it, w)) return STATUS_OK;
    }
}

static void set_candidate(struct lsm_iter *it, enum lsm_kind kind, uint64_t ts, struct slice value)
{
    keybuf_set(&it->value, 0, value.data, value.size);
    it->candidate =
        (struct lsm_write){.kind = kind, .key = keybuf_slice(&it->key), .ts = ts, .value = keybuf_slice(&it->value)};
    it->have = true;
}

/* One more version of the key at hand. True: it has so many, or such large ones, that its newest is better searched for. */
static bool many_versions(struct lsm_iter *it, const struct lsm_write *w)
{
    it->steps += 1 + (unsigned)(w->value.size / 1024);
    return it->steps >= STEPS_BEFORE_SEARCH;
}

/* The end is the position of an iterator that missed a block among the versions of this key: they are not gone through again. */
static bool was_left_in(const struct lsm_iter *it, struct slice key)
{
    struct slice end = keybuf_slice(&it->end);
    return end.size == key.size + 1 && end.data[key.size] == 0 && slice_starts(end, key);
}

/* Reverse: STATUS_OK with the key's newest visible version in *w, STATUS_NOT_FOUND, or what keeps it from being read. */
static enum status search(struct lsm_iter *it, struct lsm_write *w, struct lsm_miss *miss)
{
    struct lsm_row row;
    enum status s = lsm_get(it->l, keybuf_slice(&it->key), it->ts, &row, miss);
    it->merge.failed = NULL;
    if (s != STATUS_OK && s != STATUS_NOT_FOUND) return s;
    it->resolved = it->searched = true;
    it->have = false;
    if (s == STATUS_NOT_FOUND) return s;
    set_candidate(it, LSM_PUT, row.ts, row.value);
    it->have = false;
    *w = it->candidate;
    return STATUS_OK;
}

/* The next row; what is left of a key that was searched is passed over. */
static enum status step_back(struct lsm_iter *it, struct lsm_write *w)
{
    if (it->searched) {
        enum status s = rowmerge_seek(&it->merge, keybuf_slice(&it->key), 0);
        if (s != STATUS_OK) return s;
        it->searched = false;
    }
    return rowmerge_next(&it->merge, w);
}

/* Rows come key by key, each key's oldest version first. */
static enum status next_reverse(struct lsm_iter *it, struct lsm_write *w, struct lsm_miss *miss)
{
    struct slice start = keybuf_slice(&it->start);
    for (;;) {
        enum status s = step_back(it, w);
        if (s != STATUS_OK && s != STATUS_END) return s;
        bool ended = s == STATUS_END || slice_cmp(w->key, start) < 0;
        bool stop = used_up(it);
        bool left = it->at_key && !it->resolved && (ended || !same_key(it, w)); /* all of a key's versions were seen */
        if (left) {
            it->resolved = true;
            if (it->have && seen(it, &it->candidate)) {
                it->have = false;
                it->merge.at_row = false; /* the row seen is looked at again */
                *w = it->candidate;
                return STATUS_OK;
            }
            it->have = false;
        }
        if (ended) return STATUS_END;
        if (stop && left) {
            it->merge.at_row = false;
            return STATUS_RETRY;
        }
        bool again = false;
        if (!same_key(it, w)) {
            again = !it->at_key && was_left_in(it, w->key);
            enter_key(it, w);
            it->resolved = !stop && w->ts <= it->ts && rowmerge_ends_key(&it->merge);
            if (it->resolved && seen(it, w)) return STATUS_OK; /* its only version: nothing of it has to be kept */
        }
        if (it->resolved) continue;
        if (many_versions(it, w) || again) {
            s = search(it, w, miss);
            if (s != STATUS_NOT_FOUND) return s;
            if (stop) return STATUS_RETRY;
        } else if (w->ts <= it->ts) {
            set_candidate(it, w->kind, w->ts, w->value);
        }
    }
}

struct slice lsm_iter_position(struct lsm_iter *it)
{
    if (!it->at_key) return keybuf_slice(it->merge.reverse ? &it->end : &it->start);
    /* With a zero byte it is the first key above: a start that leaves the key out, an end that takes it in. */
    if (it->resolved != it->merge.reverse) {
        const uint8_t zero = 0;
        keybuf_set(&it->key, it->key.size, &zero, 1);
        it->at_key = false;
        struct keybuf *bound = it->merge.reverse ? &it->end : &it->start;
        keybuf_set(bound, 0, it->key.data, it->key.size);
        return keybuf_slice(bound);
    }
    return keybuf_slice(&it->key);
}

enum status lsm_iter_next(struct lsm_iter *it, struct lsm_row *row, struct lsm_miss *miss)
{
    enum status s = STATUS_OK;
    if (!it->begun) {
        if (version_is_damaged(it->version, keybuf_slice(&it->start), keybuf_slice(&it->end))) return STATUS_CORRUPT;
        s = rowmerge_seek(&it->merge, keybuf_slice(it->merge.reverse ? &it->end : &it->start), it->ts);
        if (s != STATUS_OK) return fail(it, s, miss);
        it->begun = true;
    }
    struct lsm_write w;
    s = it->merge.reverse ? next_reverse(it, &w, miss) : next_forward(it, &w);
    if (s == STATUS_END || s == STATUS_RETRY) return s;
    if (s != STATUS_OK) return fail(it, s, miss);
    *row = (struct lsm_row){.key = w.key, .ts = w.ts, .value = w.value};
    return STATUS_OK;
}
