//! The scenarios that other engines test or had to mend: S1 to S13 of steno and omicron, D1 to D8 of DTM. Owns the list
//! of where each is tested; most are in `src/saga/tests/scenarios.rs`, as far as a pure core can meet them.

/// Scenario, the tests that play it, and what of it does not apply.
const SCENARIOS: &[(&str, &[&str], &str)] = &[
    ("S1", &["s1_each_action_runs_once_and_nothing_starts_twice", "the_same_key_starts_one_saga"], ""),
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
            "two_sweepers_and_the_owner_do_not_get_in_each_others_way",
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
        &[
            "d6_done_steps_are_not_done_again_after_any_crash",
            "batches_that_meet_in_the_journal_do_not_deadlock",
        ],
        "",
    ),
    (
        "D7",
        &["abandon_closes_the_saga_as_it_is_and_says_why", "retry_tries_again_now_with_a_fresh_budget"],
        "",
    ),
    (
        "D8",
        &["fifty_claimers_get_each_saga_once", "a_signal_is_answered_once"],
        "a status is never changed by its old value",
    ),
];

#[test]
fn every_scenario_of_our_peers_has_its_test() {
    let mut sources = String::new();
    for root in ["src", "tests"] {
        collect(std::path::Path::new(root), &mut sources);
    }
    for (scenario, tests, _) in SCENARIOS {
        assert!(!tests.is_empty(), "{scenario} has no test");
        for test in *tests {
            assert!(sources.contains(&format!("fn {test}(")), "{scenario}: there is no test {test}");
        }
    }
    let names: Vec<String> =
        (1..=13).map(|n| format!("S{n}")).chain((1..=8).map(|n| format!("D{n}"))).collect();
    assert!(SCENARIOS.iter().map(|(name, ..)| *name).eq(names.iter()), "a scenario is missing");
}

fn collect(folder: &std::path::Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            sources.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}
