/* What breaks, and when. Each kind goes off now and then, independently of the others, until faults_heal. */
#ifndef QUORATE_TESTS_SIM_FAULTS_H
#define QUORATE_TESTS_SIM_FAULTS_H

#include "sim/cluster.h"

struct faults;
struct faults *faults_new(struct cluster *c);
void faults_free(struct faults *f);
void faults_start(struct faults *f);
/* No further fault; the network is whole, disks are quick and sound, whoever is down starts. Pauses run out. */
void faults_heal(struct faults *f);
uint64_t faults_count(const struct faults *f);

#endif
