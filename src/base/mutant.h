/* Planted bugs. Each is a classic mistake behind a switch that exists only in a build of its own (-DQUORATE_MUTANTS, made by
 * `make sim-mutants`): there one of them is on, and the simulator must find it. Everywhere else MUTANT is `false`, and the
 * compiler removes it; `make check` proves that production objects know nothing of it.
 * X(name, trap of docs/testing.md, what it does). A new feature brings the mistakes that it guards against. */
#ifndef QUORATE_BASE_MUTANT_H
#define QUORATE_BASE_MUTANT_H

#include <stdbool.h>

#define MUTANT_MAP(X)                                                                                                  \
    /* reads */                                                                                                        \
    X(read_before_noop, "T1", "a new leader serves reads before an entry of its term has committed")                   \
    X(read_without_quorum, "T2", "a leader takes its own word for its leadership")                                     \
    X(read_round_shared, "T5", "a read rides on a round that left before it came")                                     \
    X(follower_answers, "T6", "whoever is asked answers from its own rows")                                            \
    X(follower_read_before_apply, "T6", "a follower does not wait for the index that the leader named")                \
    X(flights_ignored, "T42", "a latest read does not wait for writes that have asked for their timestamp already")    \
    X(bounded_without_bound, "T6", "a bounded read is served however old the replica's rows are")                      \
    X(drop_forgotten, "T33", "peers are not told that a range is no longer resolved by its former leader")             \
    X(floor_forgotten, "T6", "rows from another node are read below what that one had let go")                         \
    X(snapshot_not_held, "T44", "nodes are not told of registered snapshots")                                          \
    X(snapshot_below_line, "T44", "a snapshot is registered where versions may be gone already")                       \
    X(resolved_unconfirmed, "T6", "a range is told to be resolved though nobody confirmed its leader")                 \
    X(resolved_without_tail, "T6", "a range is resolved at what has committed, whatever is in flight behind it")       \
    X(rest_outlives_change, "T6", "a range at rest is resolved where it was, although something happens to it")        \
    X(old_decision_bounds, "T33", "the first version after a restart is taken for the newest of the range")            \
    X(closed_timestamp_passed, "T33", "a write takes a timestamp below one at which rows have been read")              \
    X(read_before_apply, "T7", "a read does not wait until its index has been applied")                                \
    X(scan_of_many_moments, "T42", "each row of a page is read as of the moment when its turn comes")                  \
    X(watch_beyond_undecided, "T45", "a watch tells what is resolved, although a transaction below is undecided")      \
    X(watch_resolved_early, "T45", "a watch tells the newest timestamp that its node has heard of for resolved")       \
    X(watch_never_too_old, "T45", "a watch begins where versions are gone already")                                    \
    /* leases */                                                                                                       \
    X(vote_despite_promise, "T3", "a bound follower votes for another")                                                \
    X(promise_forgotten, "T3", "a node that starts votes at once, whatever an earlier life promised")                  \
    X(lease_outlives_transfer, "T4", "a leader that told another to campaign still reads by its lease")                \
    X(doubt_outlives_transfer, "T4", "a leader whose transfer was given up never has a lease again")                   \
    X(lease_outlives_removal, "T4", "a leader reads by its lease although the configuration leaves it out")            \
    X(lease_not_seen_to_hold, "T2", "nobody looks at the lease again when the rows have been read")                    \
    X(get_behind_lease, "T2", "a get that has waited for a block does not look at the lease again")                    \
    X(scan_behind_lease, "T2", "a scan that has waited for a block does not look at the lease again")                  \
    X(overtaken_answer_counts, "T29", "an answer that was overtaken by a later one shortens what that one gave")       \
    X(lease_from_receipt, "T3", "a lease counts from when the answer came")                                            \
    /* consensus */                                                                                                    \
    X(quorum_too_small, "T11", "half of the members are a majority")                                                   \
    X(leader_counts_unsynced, "T19", "a leader counts itself before its own disk has the entry")                       \
    X(ack_before_sync, "T19", "a follower acknowledges before its disk has the entry")                                 \
    X(speaks_before_term_saved, "T20", "votes and requests leave before term and vote are durable")                    \
    X(vote_not_saved, "T20", "the term is saved, the vote is not")                                                     \
    X(vote_for_shorter_log, "T20", "a vote is given whatever the candidate's log")                                     \
    X(commit_of_older_term, "T1", "entries of earlier terms commit by counting (thesis, figure 3.7)")                  \
    X(changes_overlap, "T10", "a change of voters begins while another is under way")                                  \
    X(learner_not_told, "T14", "a leader that steps down asks voters only, and a learner stays bound to it")           \
    X(lapse_ends_rest, "T29", "a leader at rest whose support lapses was last heard of when its group last spoke")     \
    X(newcomer_not_asked, "T12", "nobody asks one for its vote whom only entries bring in that are not applied")       \
    X(joint_left_early, "T12", "the new voters alone count before the joint configuration has committed")              \
    X(heartbeat_commits_unknown, "T40", "a heartbeat commits what the follower may not have, or has differently")      \
    X(takes_without_bound, "T28", "a follower takes entries however full its store is")                                \
    X(silent_heir, "T28", "a leadership is given to a node whose heartbeats have ceased")                              \
    X(probe_never_resumes, "T37", "a follower whose probe was lost is never tried again")                              \
    /* the log */                                                                                                      \
    X(log_not_synced, "T19", "the log is written and not synced")                                                      \
    X(log_failure_ignored, "T21", "a failed write of the log is taken for a success")                                  \
    X(torn_batch_replayed, "T23", "recovery replays a batch without looking at its checksum")                          \
    X(damage_taken_for_tail, "T23", "damaged durable batches are taken for a torn tail and cut off")                   \
    X(damage_not_admitted, "T24", "a replica whose log was damaged goes on with what is left of it")                   \
    X(recovering_backs, "T24", "a replica that has lost what it promised backs a lease")                               \
    X(fence_not_awaited, "T24", "a replica that has lost data votes again before its fence has committed")             \
    X(unread_state_guessed, "T24", "a range whose state cannot be read goes on as it was created")                     \
    X(segment_name_not_synced, "T26", "the folder is not synced after a segment was made")                             \
    X(former_life_replayed, "T27", "batches of a recycled segment's former life are replayed")                         \
    X(no_spares, "T22", "the log makes a segment when it needs one, not in advance")                                   \
    X(log_freed_early, "T18", "segments are used again although the store needs them")                                 \
    /* the store */                                                                                                    \
    X(flush_claims_newer, "T18", "a flush says that what was applied after its memtable is durable as well")           \
    X(table_not_synced, "T26", "a table is named by the manifest before it was synced")                                \
    X(table_name_not_synced, "T26", "the folder is not synced after tables were made")                                 \
    X(block_checksum_ignored, "T24", "blocks of tables are not verified")                                              \
    X(block_place_ignored, "T25", "a block is good wherever it lies, and in whichever table")                          \
    X(damage_in_the_way, "T24", "a damaged table that nobody replaces keeps compaction from the others")               \
    X(oldest_memtable_first, "T18", "frozen memtables are searched from the oldest on")                                \
    X(tombstone_dropped_early, "T30", "compaction drops a deletion that still hides older versions")                   \
    X(versions_dropped_early, "T42", "versions that a page may still read are dropped")                                \
    X(expiry_after_the_vote_ignored, "T42", "a transaction commits at a timestamp at which what it read has expired")  \
    /* snapshots */                                                                                                    \
    X(snapshot_without_ids, "T39", "a snapshot leaves the idempotency rows behind")                                    \
    X(install_leaves_memtable, "T36", "rows in memory survive the snapshot that replaces them")                        \
    X(snapshot_fits_for_ever, "T31", "a snapshot replaces keys that became another range's while it came")             \
    X(snapshot_failure_forgotten, "T37", "Raft is not told that a snapshot did not arrive")                            \
    X(version_ungated, "T50", "a new format is used before it has been finalised")                                     \
    /* moves */                                                                                                        \
    X(conf_ver_not_compared, "T46", "a change of replicas is taken whatever conf_ver it expects")                      \
    X(learner_promoted_blank, "T35", "a learner gets a vote before it has caught up")                                  \
    X(given_up_let_in, "T17", "a node that was given up may come back")                                                \
    X(stale_orders_obeyed, "T46", "orders of a deposed metadata leader are carried out")                               \
    X(zombie_returns, "T14", "a replica that left is made again when an old map says so")                              \
    X(empty_member_votes, "T14", "a metadata member that has lost its disk votes again as if it were new")             \
    X(founded_by_some, "T14", "a metadata service is founded before all its members were heard of")                    \
    X(emptied_member_trusted, "T14", "a metadata member whose disk was replaced counts before a leader has mended it") \
    X(lost_store_not_admitted, "T14", "what a lost store had taken in is made again as if it had never voted")         \
    X(member_ahead_unknown, "T46", "a metadata member knows no address of one whom only its log brings in")            \
    X(unfounded_log_doubted, "T14", "a metadata member whose log was damaged before the founding gets no vote")        \
    X(tombstone_forgotten, "T14", "a replica that leaves keeps no tombstone")                                          \
    X(keyspace_short, "T16", "a keyspace has fewer replicas than asked for where nodes are missing")                   \
    X(leaves_without_room, "T49", "the replica of a node that leaves goes, though no other node can take it")          \
    /* transactions and clients */                                                                                     \
    X(repeated_without_id, "T39", "the router repeats a transaction that has no id after an unknown outcome")          \
    X(attempts_pile_up, "T42", "a transaction tries again while its former attempt holds locks")                       \
    X(unknown_called_definite, "T39", "who does not know what happened says that nothing did")                         \
    X(answer_of_another_entry, "T40", "the entry at a proposal's index answers it, whichever term it is of")           \
    X(proposal_doubled, "T40", "a proposal is appended twice")                                                         \
    X(id_not_looked_up, "T39", "a repetition is evaluated again")                                                      \
    X(refusal_not_remembered, "T43", "a refusal leaves no idempotency row")                                            \
    X(guard_ignored, "T43", "the lower bound of a guarded add is not looked at")                                       \
    /* over several ranges */                                                                                          \
    X(locks_not_seen, "T41", "reads do not wait for the locks of prepared transactions")                               \
    X(locks_not_rebuilt, "T42", "a replica that is opened does not take the locks that its rows speak of")             \
    X(passing_rows_lost, "T42", "rows that were expected to go soon are not written when a memtable freezes")          \
    X(stretch_not_locked, "T42", "a Prepare does not lock the stretches of keys that were scanned")                    \
    X(reads_take_no_lock, "T42", "a Prepare locks what it writes, not what it has read")                               \
    X(compares_take_no_lock, "T42", "a Prepare does not lock the keys that it has compared")                           \
    X(commit_at_own_time, "T42", "each range commits at its own timestamp, not at the highest")                        \
    X(missing_vote_is_yes, "T41", "a coordinator commits although a range has not voted")                              \
    X(seal_leaves_nothing, "T41", "a Seal says aborted, and a late Prepare is welcome")                                \
    X(decide_without_floor, "T42", "what comes behind a Decide may get a lower timestamp")                             \
    X(answer_not_kept, "T39", "the answer of a transaction over several ranges is not kept for its id")                \
    X(reservations_ignored, "T43", "a guard is judged by what is decided alone")                                       \
    X(cut_away_from_forget, "T39", "a split parts a committed transaction from where it will be asked for")            \
    X(abort_keeps_adds, "T43", "the adds of an aborted transaction stay")                                              \
    X(abandoned_left_alone, "T41", "nobody settles a transaction whose coordinator is gone")                           \
    X(untaken_branch_not_checked, "T42", "a Prepare takes locks that others hold, for the branch that is not taken")   \
    X(rows_differ_by_node, "T18", "apply depends on which node it runs on")                                            \
    /* the ledger */                                                                                                   \
    X(ledger_limit_ignored, "T43", "debits may exceed credits")                                                        \
    X(ledger_refusal_forgotten, "T43", "a refused transfer's id may be used again")                                    \
    X(ledger_id_taken_over, "T43", "a transfer is written over an earlier one with its id")                            \
    X(ledger_posts_twice, "T43", "a pending transfer is posted although it has been resolved")                         \
    X(ledger_chain_half_done, "T43", "a chain that fails leaves what it did before")                                   \
    X(ledger_posting_lost, "T43", "a balance changes without its posting")                                             \
    /* ranges that change */                                                                                           \
    X(split_forgets_held, "T33", "transactions held in a range that splits are forgotten by both halves")              \
    X(split_without_rows, "T31", "a range whose rows are not here yet applies its log all the same")                   \
    X(split_at_start, "T34", "a range is cut at its first key: one side has no keys")                                  \
    X(start_key_chosen, "T34", "who looks for a key to cut a range at takes its first one")                            \
    X(stale_range_served, "T9", "a read is served whatever has become of the range meanwhile")                         \
    X(get_from_former_range, "T9", "a get that has waited for a block does not look at the epoch again")               \
    X(scan_from_former_range, "T9", "a scan that has waited for a block does not look at the epoch again")             \
    X(leaderless_unknown, "T30", "a range that has no leader is told to nobody")                                       \
    X(absorbed_without_tombstone, "T14", "of an absorbed range nothing stays when who took it in has left the node")   \
    X(absorbed_left_behind, "T14", "an absorbed range stays behind when who took it in leaves the node")               \
    X(keys_free_too_early, "T30", "keys of one that left are free before its tombstone no longer names them")          \
    X(children_left_behind, "T31", "a replica leaves whose log alone has what its children are made from")             \
    X(born_before_loss_votes, "T31", "what was split off before a log was lost is taken for split off behind that")    \
    X(cut_rows_remembered, "T30", "the store says how far one had come whose rows another took along")                 \
    X(lost_log_takes_rows, "T30", "one that a lost log has back drops rows that are another range's by now")           \
    X(blank_in_the_way, "T30", "a replica without rows keeps its keys although somebody later has them")               \
    X(merge_forgets_held, "T33", "transactions held in a range that is absorbed are forgotten")                        \
    X(change_leaves_unloaded, "T33", "what a split has emptied in memory is loaded when somebody asks for it")         \
    X(waiting_wake_each_other, "T32", "of two merges that wait each looks again because the other did")                \
    X(merge_unaligned, "T32", "a merge does not wait until every replica has all of the right range's log")            \
    X(moves_behind_freeze, "T32", "replicas change while the entry that freezes the range is not applied yet")         \
    X(lagging_told_definite, "T39", "proposals to a range that is taken in by a snapshot are said to be void")         \
    X(merge_serves_frozen, "T32", "a range goes on with writes while it is frozen")                                    \
    X(miss_overtaken, "T33", "what a transaction is told hangs on which rows are in memory")                           \
    X(settled_not_told, "T41", "a commit that was forgotten, then settled, ends who is asked for it")                  \
    X(gone_says_nothing, "T14", "nobody says of a destroyed replica that it leads no more")                            \
    X(left_gone_awaited, "T32", "a frozen range waits for a left one that was taken in itself")                        \
    X(left_gone_early, "T32", "the left range changes before a frozen one has seen that it gave the merge up")         \
    X(freeze_ahead_unseen, "T32", "the left range looks at who is frozen only, not at a freeze in the log")            \
    X(thaws_unproven, "T32", "a frozen range takes any later version of its left neighbour for an abort")              \
    X(merge_drops_log_early, "T32", "the absorbed range's log goes before the store holds the merge")                  \
    /* front */                                                                                                        \
    X(any_host_admitted, "T51", "a page of another name that leads to this machine is answered")                       \
    /* backups */                                                                                                      \
    X(backup_with_holes, "T48", "a backup in which spans of keys are missing is good")                                 \
    X(backup_rest_forgotten, "T48", "a chunk that ends early is said to reach the end of its span")                    \
    X(backup_of_later, "T48", "a backup as of a time holds changes behind it")                                         \
    X(archive_ahead, "T48", "changes are archived up to a timestamp that a keyspace's watch has not reached")          \
    X(mark_over_a_late_one, "T48", "a restore puts its mark over one that came late, which rows follow from already")  \
    X(restore_without_ids, "T39", "batches of a restore have no ids, so that one that is repeated acts twice")         \
    /* leases of the etcd surface */                                                                                   \
    X(lease_by_timestamps, "T47", "a lease ends by timestamps, which leap with the wall clock of whoever issues them") \
    X(standstill_counts, "T47", "a lease ends although nobody could have renewed it")                                  \
    /* timestamps */                                                                                                   \
    X(timestamps_from_the_clock, "T44", "a new metadata leader begins at its clock, not at the bound")                 \
    X(timestamps_unconfirmed, "T44", "a deposed metadata leader goes on handing out timestamps")                       \
    X(timestamp_before_bound, "T44", "a new metadata leader takes one before it knows where the last one stopped")     \
    X(rebuilt_at_the_clock, "T38", "a metadata service made anew looks at clocks, not at what was handed out")         \
    X(timestamp_of_older_term, "T44", "a transaction uses a timestamp asked for in an earlier leadership")

#define MUTANT_ENUM(name, trap, what) MUTANT_##name,
enum mutant { MUTANT_NONE, MUTANT_MAP(MUTANT_ENUM) MUTANT_COUNT };
#ifdef QUORATE_MUTANTS
extern enum mutant mutant_planted; /* tests/sim/mutants.c sets it, once, before anything runs */
#define MUTANT(name) (mutant_planted == MUTANT_##name)
#else
#define MUTANT(name) false
#endif

#endif
