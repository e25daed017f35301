/* A line that is being edited, key by key, with the lines before it. Pure: what a terminal sends goes in, text comes out.
 *
 *   arrows, Home, End, Ctrl-A, Ctrl-E: move; Up, Down: former lines; Backspace, Delete, Ctrl-W, Ctrl-U, Ctrl-K: erase; Tab: asked
 *   for a completion; Ctrl-C: begin anew; Ctrl-D in an empty line: the end */
#ifndef QUORATE_CLI_LINE_H
#define QUORATE_CLI_LINE_H

#include "base/buf.h"

#define LINE_MAX_BYTES 8192u
#define LINE_HISTORY_MAX 1000u

enum line_event { LINE_GOES_ON, LINE_DONE, LINE_ENDED, LINE_DROPPED, LINE_COMPLETES };

struct line {
    char text[LINE_MAX_BYTES];
    size_t size, cursor;
    char *history[LINE_HISTORY_MAX]; /* oldest first */
    size_t history_count, history_at;
    char draft[LINE_MAX_BYTES]; /* what was being written before history was looked at */
    unsigned escape;            /* of a sequence that has begun: 0 none, 1 ESC, 2 ESC [, 3 ESC [ digit */
    uint8_t escape_digit;
};
void line_init(struct line *l);
void line_free(struct line *l);
void line_begin(struct line *l); /* an empty line */
enum line_event line_key(struct line *l, uint8_t byte);
void line_insert(struct line *l, struct slice text); /* at the cursor */
void line_remember(struct line *l, struct slice text);
/* Splits like a shell: blanks, quotes, backslash. `text` is changed. False: a quote is not closed, or there are too many words. */
bool line_split(char *text, char **words, size_t words_max, size_t *count);

#endif
