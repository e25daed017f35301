/* Labels: where a node is, and patterns over them. A node is told "region/zone/host", "zone/host" or "host" (quorate node
 * --host). A pattern is what a keyspace's rules ask for: "zone=a", or several with commas between, of which one has to hold:
 * "region=eu,region=us"; empty: any node. Pure. */
#ifndef QUORATE_PLACEMENT_LABELS_H
#define QUORATE_PLACEMENT_LABELS_H

#include "placement/view.h"

void labels_of(struct slice text, struct slice labels[PLACEMENT_LEVELS]);
bool label_pattern_good(struct slice pattern);
bool label_pattern_fits(struct slice pattern, const struct slice labels[PLACEMENT_LEVELS]);

#endif
