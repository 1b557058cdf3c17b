//! The views over one saga: where each step stands, and what happened, for sagas of every kind.

use super::{Operated, ask};

#[tokio::test]
async fn the_state_of_each_step_in_one_query() {
    let node = Operated::begin().await;
    for (definition, status, expected) in [
        ("happy", "completed", "a|done|1|0|succeeded b|done|1|0|succeeded"),
        ("sad", "compensated", "a|undone|1|1|succeeded b|failed|1|0|failed"),
        ("doubtful", "stuck", "book|done|1|0|succeeded charge|stuck|1|0|unknown"),
        ("past_the_pivot", "stuck", "pay|done|1|0|succeeded receipt|stuck|1|0|failed"),
        ("not_undone", "stuck", "a|stuck|1|1|failed b|failed|1|0|failed"),
        ("guarded", "running", "a|done|1|0|succeeded sign|asking|0|0| b|waiting|0|0|"),
        ("patient", "running", "approval|awaiting|0|0| a|waiting|0|0|"),
    ] {
        let saga = node.reach(definition, status).await;
        let sql = format!(
            "select string_agg(concat_ws('|', step, state, attempts, compensation_attempts, coalesce(last_outcome, '')),
                               ' ' order by position) from amends.steps where saga = '{saga}'"
        );
        assert_eq!(ask(node.url(), &sql).await, expected, "{definition}");
    }
    node.stop().await;
}

#[tokio::test]
async fn the_journal_in_words() {
    let node = Operated::begin().await;
    let saga = node.reach("sad", "compensated").await;
    let sql = format!("select step, what, error, node from amends.timeline where saga = '{saga}' order by seq");
    assert_eq!(
        ask(node.url(), &sql).await.lines().collect::<Vec<_>>(),
        [
            "|started||one",
            "a|attempt 1 succeeded||one",
            "b|attempt 1 failed without effect of its own (by handler_permanent)|declined: no way|one",
            "a|compensation attempt 1 succeeded||one",
        ]
    );
    node.stop().await;
}

/// The first row of a journal under the first law is of another kind, and says the same to people.
pub(super) const FIRST_LAW: &str = r#"update amends.journal
    set kind = 'started', body = replace(body, '{"begun":{"law":2,', '{"started":{') where kind = 'begun'"#;

#[tokio::test]
async fn a_journal_of_either_law_reads_the_same() {
    let node = Operated::begin().await;
    let saga = node.reach("sad", "compensated").await;
    let words = format!("select seq, step, what from amends.timeline where saga = '{saga}' order by seq");
    let steps = format!("select step, state, attempts from amends.steps where saga = '{saga}'");
    let before = (ask(node.url(), &words).await, ask(node.url(), &steps).await);
    ask(node.url(), FIRST_LAW).await;
    let kind = format!("select kind from amends.timeline where saga = '{saga}' and seq = 1");
    assert_eq!(ask(node.url(), &kind).await, "started");
    assert_eq!((ask(node.url(), &words).await, ask(node.url(), &steps).await), before);
    assert!(before.0.starts_with("1||started\n"), "{}", before.0);
    node.stop().await;
}

/// Bodies that Postgres cannot read as they are must not take the view down with them.
#[tokio::test]
async fn odd_bodies_do_not_break_a_view() {
    let node = Operated::begin().await;
    for (body, expected) in [
        (r#"{"a":"x\u0000y"}"#, "x\u{fffd}y"),
        (r#"{"a":"\ud800"}"#, "\u{fffd}"),
        (r#"{"a":1e999999}"#, "1e999999"),
        (r#"{"a":"plain"}"#, "plain"),
        ("not json", ""),
    ] {
        let sql = format!("select amends.readable($a${body}$a$) ->> 'a'");
        assert_eq!(ask(node.url(), &sql).await, expected, "{body}");
    }
    node.stop().await;
}

#[tokio::test]
async fn the_views_over_the_whole_say_what_is_there() {
    let node = Operated::begin().await;
    node.reach("happy", "completed").await;
    let parked = node.reach("patient", "running").await;
    let url = node.url();
    let parked_sql = format!("select definition, status, overdue from amends.timers where saga = '{parked}'");
    super::until(url, &parked_sql, "patient|running|f").await;
    assert_eq!(ask(url, "select name, state, lanes > 0, schema_version > 0 from amends.nodes").await, "one|live|t|t");
    assert_eq!(ask(url, "select count(*) from amends.definitions where current").await, "7");
    assert_eq!(ask(url, "select events from amends.outbox_lag").await, "0");
    node.stop().await;
    // Nobody takes it now.
    ask(url, "select amends.start('happy', '{}')").await;
    let backlog = "select definition, ready, oldest_age < interval '1 min' from amends.backlog";
    assert_eq!(ask(url, backlog).await, "happy|1|t");
}
