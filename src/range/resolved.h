/* Resolved timestamps of one replica, pure: docs/reads.md.
 *
 * (ts, index) says of a group's log, for ever: no entry behind index has a timestamp at or below ts, none up to index has one
 * above. Usable where index is applied. */
#ifndef QUORATE_RANGE_RESOLVED_H
#define QUORATE_RANGE_RESOLVED_H

#include <stdbool.h>
#include <stdint.h>

#define RESOLVED_NO_FLOOR UINT64_MAX

struct resolved {
    uint64_t ts, index; /* ts 0: none */
    uint64_t
        since_ns; /* our own clock read this before ts was issued: what was acknowledged earlier is below ts; 0: unknown */
};

/* now is usable. Behind it two wait for apply, the oldest and the newest that came: so a replica that always lags a little
 * gets on, and one that caught up is at the newest at once. ts of now < next < last, unless none. */
struct resolved_ahead {
    struct resolved next, last;
};
struct resolved_state {
    struct resolved now;
    struct resolved_ahead *ahead; /* NULL: nothing waits */
    uint64_t floor_ts;            /* no row from before has a version above; RESOLVED_NO_FLOOR: it is not known yet */
    uint64_t floor_index;         /* what was here up to this index came from before */
};

/* The rows up to index came from another life or another host. With index 0 there is no past that could be lacking. */
void resolved_forget_past(struct resolved_state *s, uint64_t index);
void resolved_free(struct resolved_state *s);
void resolved_note(struct resolved_state *s, const struct resolved *r, uint64_t applied);
void resolved_applied(struct resolved_state *s, uint64_t applied);
void resolved_check(const struct resolved_state *s, uint64_t applied);

#endif
