//! Each verb from psql: it is applied or refused by the runtime, says so, and leaves a trace.

use super::{Operated, ask, psql, until};

/// A verb that a saga must apply.
async fn apply(node: &Operated, call: &str, saga: uuid::Uuid) {
    let signal = ask(node.url(), &format!("select amends.{call}")).await;
    let sql = format!("select fate from amends.signal_status('{saga}', {signal})");
    until(node.url(), &sql, "applied").await;
}

#[tokio::test]
async fn what_is_in_doubt_is_found_understood_and_resolved() {
    let node = Operated::begin().await;
    let saga = node.reach("doubtful", "stuck").await;
    let stuck = "select definition, step, direction, reason, in_doubt, attempts, error_code,
                 key = saga || '/charge/action/0', since > now() - interval '1 min', array_to_string(legal, ', ')
                 from amends.stuck";
    assert_eq!(
        ask(node.url(), stuck).await,
        "doubtful|charge|action|in_doubt|t|1|panic|t|t|\
         cancel, pause, abandon, resolve charge applied, resolve charge absent"
    );
    assert_eq!(ask(node.url(), "select step, stuck from amends.in_doubt").await, "charge|t");

    // What does not apply is refused by the runtime, with what does.
    let skip = format!("select amends.skip('{saga}', 'charge', null, 'I am sure')");
    assert_eq!(ask(node.url(), &skip).await, "1");
    until(node.url(), &format!("select fate from amends.signal_status('{saga}')"), "refused").await;
    let answer = ask(node.url(), &format!("select answer from amends.signal_status('{saga}', 1)")).await;
    assert!(answer.contains("resolve it as applied or absent"), "{answer}");
    assert!(answer.contains("legal now: cancel, pause, abandon, resolve charge applied"), "{answer}");

    let call = format!("resolve('{saga}', 'charge', 'applied', '{{\"id\": 7}}', 'seen in their dashboard')");
    apply(&node, &call, saga).await;
    until(node.url(), &format!("select status from amends.sagas where saga = '{saga}'"), "completed").await;
    assert_eq!(ask(node.url(), "select count(*) from amends.stuck").await, "0");
    let trace = format!(
        "select step, what, asked_by, application_name, address, asked_at <= at, reason
         from amends.timeline where saga = '{saga}' and signal is not null order by seq"
    );
    let trace = ask(node.url(), &trace).await;
    assert!(trace.contains("|skip was refused: step \"charge\" may have taken effect"), "{trace}");
    assert!(trace.contains("|postgres|a terminal||t|I am sure"), "{trace}");
    let applied = "charge|resolve as applied|postgres|a terminal||t|seen in their dashboard";
    assert!(trace.contains(applied), "{trace}");
    node.stop().await;
}

#[tokio::test]
async fn every_verb_works_in_sql() {
    let node = Operated::begin().await;
    let url = node.url();

    let patient = node.reach("patient", "running").await;
    apply(&node, &format!("pause('{patient}', 'wait for Ada')"), patient).await;
    until(url, &format!("select status from amends.sagas where saga = '{patient}'"), "paused").await;
    apply(&node, &format!("resume('{patient}')"), patient).await;
    apply(&node, &format!("signal('{patient}', 'approved', '{{\"by\": \"Ada\"}}')"), patient).await;
    until(url, &format!("select status from amends.sagas where saga = '{patient}'"), "completed").await;
    let output = format!("select output from amends.steps where saga = '{patient}' and step = 'approval'");
    assert_eq!(ask(url, &output).await, "{\"by\" : \"Ada\"}".replace(" :", ":"));

    let cancelled = node.reach("patient", "running").await;
    apply(&node, &format!("cancel('{cancelled}', 'not wanted any more')"), cancelled).await;
    until(url, &format!("select status from amends.sagas where saga = '{cancelled}'"), "compensated").await;

    let past = node.reach("past_the_pivot", "stuck").await;
    let reason = format!("select step, reason, direction from amends.stuck where saga = '{past}'");
    assert_eq!(ask(url, &reason).await, "receipt|failed|action");
    apply(&node, &format!("retry('{past}', 'receipt', 'they mended it')"), past).await;
    until(url, &format!("select attempts from amends.stuck where saga = '{past}'"), "2").await;
    apply(&node, &format!("skip('{past}', 'receipt', '{{}}', 'sent by hand')"), past).await;
    until(url, &format!("select status from amends.sagas where saga = '{past}'"), "completed").await;

    let undo = node.reach("not_undone", "stuck").await;
    let reason = format!("select step, reason, direction, error from amends.stuck where saga = '{undo}'");
    assert_eq!(ask(url, &reason).await, "a|failed|compensation|no way");
    apply(&node, &format!("abandon('{undo}', 'written off')"), undo).await;
    until(url, &format!("select status from amends.sagas where saga = '{undo}'"), "abandoned").await;
    let why = format!("select result::json ->> 'reason' from amends.sagas where saga = '{undo}'");
    assert_eq!(ask(url, &why).await, "written off");
    node.stop().await;
}

#[tokio::test]
async fn what_cannot_be_asked_has_a_sqlstate_of_its_own() {
    let node = Operated::begin().await;
    let ended = node.reach("happy", "completed").await;
    let live = node.reach("patient", "running").await;
    for (call, code, words) in [
        ("cancel(gen_random_uuid(), 'x')".to_owned(), "AM001", "expected the id of a saga"),
        (format!("cancel('{ended}', 'x')"), "AM002", "found completed"),
        ("start('unknown', '{}')".to_owned(), "AM003", "registered definition"),
        (format!("cancel('{live}', ' ')"), "AM005", "expected a reason"),
        (format!("skip('{live}', 'a', null, null)"), "AM005", "expected a reason"),
        (
            format!("resolve('{live}', 'a', 'maybe', null, 'x')"),
            "AM005",
            "'applied' or 'absent', found 'maybe'",
        ),
        (format!("resolve('{live}', 'a', 'absent', '1', 'x')"), "AM005", "no output"),
        (format!("signal('{live}', '')"), "AM005", "name of an event"),
    ] {
        let said = psql(node.url(), &format!("select amends.{call}")).await;
        assert!(!said.ok, "{call}");
        assert!(said.errors.contains(code) && said.errors.contains(words), "{call}: {}", said.errors);
    }
    let count = ask(node.url(), "select count(*) from amends.signals").await;
    assert_eq!(count, "0", "what is refused at once is no signal");
    node.stop().await;
}
