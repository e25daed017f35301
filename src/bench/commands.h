/* The subcommands of this folder: loads that measure, and the two jobs of `make run`. */
#ifndef QUORATE_BENCH_COMMANDS_H
#define QUORATE_BENCH_COMMANDS_H

struct cli;

int run_bench_kv(struct cli *c); /* kv.c */
int run_bench_scan(struct cli *c);
int run_bench_mixed(struct cli *c);
int run_bench_txn(struct cli *c);
int run_bench_ycsb(struct cli *c);
int run_bench_ledger(struct cli *c);   /* ledger.c */
int run_bench_bank(struct cli *c);     /* bank.c */
int run_bench_append(struct cli *c);   /* append.c */
int run_bench_transfer(struct cli *c); /* transfer.c */
int run_demo_records(struct cli *c);   /* demo_records.c */
int run_demo_bank(struct cli *c);      /* demo_bank.c */

#endif
