//! The scenarios that other engines test or had to mend: S1 to S13 of steno and omicron, D1 to D8 of DTM. Owns the list
//! of where each is tested; most are in `src/saga/tests/scenarios.rs`, as far as a pure core can meet them. So too the
//! twenty known failures of systems like this on Postgres, and the twenty-two ways of a participant to go wrong.

/// Scenario, the tests that play it, and what of it does not apply.
const SCENARIOS: &[(&str, &[&str], &str)] = &[
    (
        "S1",
        &["s1_each_action_runs_once_and_nothing_starts_twice", "the_same_key_starts_one_saga"],
        "there is no saga that is created and not started, so none to start, twice or by an unknown id",
    ),
    ("S2", &["s2_repeats_of_actions_and_of_compensations_are_counted_and_end"], ""),
    ("S3", &["s3_one_failing_node_of_a_graph_unwinds_in_order"], ""),
    ("S4", &["s4_any_beginning_of_a_journal_can_be_resumed_and_an_ended_one_asks_for_nothing"], ""),
    ("S5", &["s5_a_failed_compensation_is_stuck_and_stays_so_when_it_is_read_again"], ""),
    ("S6", &["s6_a_crash_with_parallel_parents_leaves_none_behind", "a_process_may_die_anywhere"], ""),
    ("S7", &["s7_a_crash_amid_an_action_or_its_compensation_is_a_doubt", "a_process_may_die_anywhere"], ""),
    ("S8", &["s8_two_failures_at_once_are_one_turning_back"], ""),
    (
        "S9",
        &["takes_only_definitions_that_it_can_run_and_lets_none_starve"],
        "a node does not claim what it cannot run",
    ),
    ("S10", &["s10_every_node_may_fail_and_leaves_no_residue"], ""),
    (
        "S11",
        &[
            "a_saga_that_its_lane_owns_and_nobody_runs_is_taken_up",
            "a_sweep_and_the_batch_that_ends_a_saga_exclude_each_other",
            "two_sweepers_do_not_get_in_each_others_way",
        ],
        "there is no list of sagas to recover that could go stale: a sweep is one statement",
    ),
    (
        "S12",
        &[
            "a_zombie_writes_nothing_and_its_sagas_go_on_elsewhere",
            "a_batch_sent_again_changes_nothing",
            "a_lane_that_is_missing_is_a_dead_lane",
        ],
        "",
    ),
    ("S13", &["s13_an_insert_that_landed_before_a_crash_is_found_although_the_repeat_is_refused"], ""),
    (
        "D1",
        &[
            "a_list_runs_in_order_and_completes",
            "unwinds_in_reverse_before_the_pivot",
            "what_was_accepted_is_asked_for_later",
            "the_same_key_starts_one_saga",
        ],
        "an empty address is refused when the definition is checked",
    ),
    ("D2", &["d2_a_branch_that_did_not_start_is_not_compensated_and_ongoing_is_no_end"], ""),
    (
        "D3",
        &[
            "a_failure_is_repeated_with_growing_pauses_until_the_budget_is_spent",
            "no_attempt_begins_after_the_limit_of_its_step",
            "a_participant_may_ask_for_a_longer_pause_but_not_for_ever",
            "requests_carry_what_the_definition_says_and_the_key",
        ],
        "",
    ),
    (
        "D4",
        &[
            "d4_a_late_action_does_not_race_its_compensation",
            "a_compensation_before_its_action_bars_it",
            "any_order_of_calls_at_once_keeps_the_books",
        ],
        "",
    ),
    (
        "D5",
        &[
            "d5_a_probe_that_comes_before_the_effect_does_not_prove_its_absence",
            "a_probe_that_answers_absent_bars_the_late_action",
            "a_commit_whose_answer_is_lost_is_resolved_from_the_journal",
        ],
        "",
    ),
    (
        "D6",
        &["d6_done_steps_are_not_done_again_after_any_crash", "batches_that_meet_in_the_journal_do_not_deadlock"],
        "",
    ),
    (
        "D7",
        &[
            "abandon_closes_the_saga_as_it_is_and_says_why",
            "retry_tries_again_now_with_a_fresh_budget",
            "ends_and_halts_are_told_with_all_that_there_is_to_say",
            "a_receiver_that_is_away_is_told_later_and_no_saga_waits_for_it",
        ],
        "",
    ),
    (
        "D8",
        &["fifty_claimers_get_each_saga_once", "a_signal_is_answered_once"],
        "a status is never changed by its old value",
    ),
];

/// What is known to have failed in queues and engines on Postgres.
const ON_POSTGRES: &[(&str, &[&str], &str)] = &[
    ("P1 more rows than the limit", &["takes_no_more_than_its_limit_under_any_plan"], ""),
    ("P2 a stale read", &["loads_in_a_later_statement_what_the_owner_before_wrote_after_the_snapshot"], ""),
    ("P3 a lost wake", &["forwards_a_wake_of_a_saga_that_got_an_owner_after_the_snapshot"], ""),
    (
        "P4 a signal races with its wait",
        &["a_saga_is_not_parked_past_a_signal_that_it_has_not_seen", "no_signal_is_lost_in_a_crowd"],
        "",
    ),
    ("P5 a claim in a crowd", &["fifty_claimers_get_each_saga_once"], ""),
    (
        "P6 a rescuer overwrites an end",
        &["a_beat_under_way_saves_a_node", "a_sweep_and_the_batch_that_ends_a_saga_exclude_each_other"],
        "",
    ),
    ("P7 a number used again", &["numbers_of_nodes_and_lanes_are_never_used_again"], ""),
    (
        "P8 nobody's sagas",
        &[
            "a_lane_that_is_missing_is_a_dead_lane",
            "a_lane_whose_node_is_missing_dies",
            "a_saga_that_its_lane_owns_and_nobody_runs_is_taken_up",
            "a_promoted_standby_has_what_was_acknowledged_and_the_nodes_go_on",
        ],
        "",
    ),
    (
        "P9 a rescue by time alone",
        &["a_step_may_take_longer_than_a_lease", "nobody_is_called_dead_by_a_node_that_stood_still_itself"],
        "a step may take longer than a lease: only its node's beats count",
    ),
    (
        "P10 clocks that differ",
        &[
            "timers_fire_by_the_databases_clock_in_their_order",
            "carries_the_databases_time_on_and_trusts_from_the_sending",
            "a_sagas_time_never_steps_back_though_clocks_do",
            "rows_of_a_clock_far_off_lie_in_the_default_partition_until_theirs_is_made",
        ],
        "",
    ),
    (
        "P11 a commit of unknown outcome",
        &[
            "a_commit_whose_answer_is_lost_is_resolved_from_the_journal",
            "any_word_may_be_lost_and_nothing_is_done_twice_or_never",
            "acknowledged_rows_survive_a_crash_and_a_promotion_fences",
        ],
        "",
    ),
    (
        "P12 a row changes its partition",
        &["partitions_are_made_while_writers_write"],
        "the partition follows from the id, which never changes",
    ),
    ("P13 a stranded lock", &["no_statement_takes_a_lock_that_outlives_its_transaction"], ""),
    (
        "P14 deadlocks",
        &[
            "batches_that_meet_in_the_journal_do_not_deadlock",
            "locks_are_taken_in_one_order",
            "the_victim_of_a_deadlock_or_of_a_serialization_failure_is_repeated",
        ],
        "",
    ),
    (
        "P15 bloat of small tables",
        &["dead_rows_do_not_pile_up_while_somebody_holds_a_snapshot"],
        "measured by `amends bench --held-xmin`",
    ),
    ("P16 plans that flip", &["hot_statements_use_their_index_on_empty_and_on_full_tables"], ""),
    (
        "P17 tasks that are never reaped",
        &["calls_share_one_child_and_a_dropped_one_harms_nobody"],
        "memory is measured by `amends bench --workload resident` and the soak",
    ),
    ("P18 a zombie writes", &["a_zombie_writes_nothing_and_its_sagas_go_on_elsewhere", "sagas_survive_a_nemesis"], ""),
    ("P19 a stale plan", &["a_stale_plan_is_not_the_callers_business"], ""),
    ("P20 poison", &["a_saga_that_kills_its_process_each_time_is_put_aside_and_the_nodes_live"], ""),
];

/// How calls of tools go wrong.
const OF_PARTICIPANTS: &[(&str, &[&str], &str)] = &[
    ("F1 never sent", &["f1_f2_never_sent_and_lost_answer_look_different_and_end_the_same"], ""),
    ("F2 the answer is lost", &["f1_f2_never_sent_and_lost_answer_look_different_and_end_the_same"], ""),
    ("F3 a late effect", &["f3_f22_a_timeout_while_the_call_still_runs_is_waited_for"], ""),
    ("F4 sent twice", &["any_order_of_calls_at_once_keeps_the_books", "sagas_survive_a_nemesis"], ""),
    (
        "F5 cancelled by a disconnect",
        &[
            "f5_a_call_that_is_given_up_is_in_doubt_whatever_its_server_makes_of_that",
            "a_late_effect_outlives_its_caller",
        ],
        "",
    ),
    ("F6 a failure in the text of a success", &["success_turns_an_answer_that_only_looks_good"], ""),
    (
        "F7 errors of tools and of the protocol",
        &["every_answer_of_a_tool_has_its_outcome", "few_protocol_errors_prove_that_nothing_was_done"],
        "",
    ),
    ("F8 an error cached under its key", &["f8_an_error_cached_under_a_key_needs_a_new_key"], ""),
    ("F9 a key expires", &["f9_f10_a_key_is_used_for_one_call_only_and_not_after_it_expired"], ""),
    ("F10 a key with other arguments", &["f9_f10_a_key_is_used_for_one_call_only_and_not_after_it_expired"], ""),
    ("F11 a conflict with oneself", &["f11_a_conflict_with_the_attempt_in_flight_is_not_its_failure"], ""),
    ("F12 reads that lag", &["absence_proves_nothing_while_a_late_effect_can_land"], ""),
    ("F13 a rate limit", &["f13_a_rate_limit_is_respected"], ""),
    ("F14 no way back", &["f14_a_window_for_compensation_that_closed_needs_a_person"], ""),
    ("F15 irreversible", &["f15_what_cannot_be_undone_comes_last_or_is_declared"], ""),
    (
        "F16 the tool has changed meanwhile",
        &[
            "f16_a_tool_that_changed_amid_a_saga_refuses_its_compensation_which_is_stuck",
            "few_protocol_errors_prove_that_nothing_was_done",
        ],
        "a call that no longer fits is refused before its effect; a compensation is then stuck, and can be retried",
    ),
    ("F17 a child crashes", &["a_child_that_dies_in_a_call_is_started_again"], ""),
    ("F18 a session is gone", &["f18_a_server_that_forgot_the_session_did_nothing_and_is_greeted_anew"], ""),
    (
        "F19 done in part",
        &["f19_what_was_done_in_part_is_what_the_definition_makes_of_it", "the_first_rule_that_matches_wins"],
        "a 207 is a success unless a rule of the definition reads its body",
    ),
    (
        "F20 an agent dies, or comes back",
        &["f20_an_agent_that_dies_or_comes_back_too_late_finds_its_saga_turned_back"],
        "",
    ),
    (
        "F21 two agents with one handle",
        &["two_answers_at_once_are_one", "a_storm_of_one_key_at_two_nodes_is_one_saga"],
        "",
    ),
    (
        "F22 a compensation races with its action",
        &["d4_a_late_action_does_not_race_its_compensation", "a_compensation_before_its_action_bars_it"],
        "",
    ),
];

/// Session locks would outlive a transaction whose client is gone, and a pooler hands them to strangers.
#[test]
fn no_statement_takes_a_lock_that_outlives_its_transaction() {
    let mut statements = String::new();
    collect(std::path::Path::new("sql"), "sql", &mut statements);
    for lock in statements.match_indices("advisory").map(|(at, _)| &statements[at..]) {
        let word = lock.split(|letter: char| letter != '_' && !letter.is_alphanumeric()).next().unwrap();
        assert!(word == "advisory" || word.starts_with("advisory_xact_lock"), "{word}");
    }
    assert!(statements.contains("pg_advisory_xact_lock"), "the statements were not read");
    assert!(!statements.to_lowercase().contains("listen "), "a listener needs a session of its own");
}

#[test]
fn every_scenario_of_our_peers_has_its_test() {
    let mut sources = String::new();
    for root in ["src", "tests"] {
        collect(std::path::Path::new(root), "rs", &mut sources);
    }
    for (scenario, tests, _) in SCENARIOS.iter().chain(ON_POSTGRES).chain(OF_PARTICIPANTS) {
        assert!(!tests.is_empty(), "{scenario} has no test");
        for test in *tests {
            assert!(sources.contains(&format!("fn {test}(")), "{scenario}: there is no test {test}");
        }
    }
    let names: Vec<String> = (1..=13).map(|n| format!("S{n}")).chain((1..=8).map(|n| format!("D{n}"))).collect();
    assert!(SCENARIOS.iter().map(|(name, ..)| *name).eq(names.iter()), "a scenario is missing");
    assert_eq!((ON_POSTGRES.len(), OF_PARTICIPANTS.len()), (20, 22), "a failure is missing");
}

fn collect(folder: &std::path::Path, kind: &str, sources: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, kind, sources);
        } else if path.extension().is_some_and(|found| found == kind) {
            sources.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}
