/* Processes of two releases in one cluster (docs/upgrade.md): they go up and down between them until an admin finalises the newer. */
#ifndef QUORATE_TESTS_SIM_UPGRADE_H
#define QUORATE_TESTS_SIM_UPGRADE_H

#include "sim/cluster.h"

struct upgrade;
struct upgrade *upgrade_new(struct cluster *c);
void upgrade_free(struct upgrade *u);
void upgrade_start(struct upgrade *u);
void upgrade_heal(struct upgrade *u); /* in most runs the newer release comes everywhere and is finalised */
bool upgrade_settled(const struct upgrade *u);
/* The release that the process runs in the life that begins: its newest cluster version. */
uint32_t upgrade_draw(struct upgrade *u, struct process *p);

#endif
