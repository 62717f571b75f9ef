/* How far each partition of the topic was, as far as we know: how a lost log is noticed.
 *
 * After each delivery the partition's end (the offset of its next event) is remembered, and kept
 * beside the cursors. If the topic ever ends before what we remember, events that were delivered
 * are no longer there, and all are sent again. Pure. As text: "0:17 3:4" (partition:end, only ends
 * above 0). */
#ifndef TICKETLAB_ENDS_H
#define TICKETLAB_ENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ENDS_MAX = 1024, ENDS_TEXT_MAX = 32768 };

struct ends {
    int64_t end[ENDS_MAX];
};

/* An event was delivered at `offset` (-1: not known). False if that is before the remembered end:
 * the log was lost. */
bool ends_delivered(struct ends *ends, int32_t partition, int64_t offset);

/* The topic's `count` partitions end there now. False if one ends before the remembered end, or is
 * no more: the log was lost. */
bool ends_compare(const struct ends *ends, const int64_t *now, uint32_t count);

/* Take over what is higher in `text`. False if it is not such a text (what was read before the
 * fault is taken). */
bool ends_merge(struct ends *ends, const char *text);

/* NUL-terminated. Returns the length; require()s room for ENDS_TEXT_MAX. */
size_t ends_write(const struct ends *ends, char *out, size_t capacity);

#endif
