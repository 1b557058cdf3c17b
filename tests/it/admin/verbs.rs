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
                 key = saga || '-charge-a0', since > now() - interval '1 min', array_to_string(legal, ', ')
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

    // Whoever looked before the last attempt has not seen what it did.
    let early = format!("select amends.resolve('{saga}', 'charge', 'absent', null, 'not there', attempts => 0)");
    assert_eq!(ask(node.url(), &early).await, "2");
    let answered = format!("select fate from amends.signal_status('{saga}', 2)");
    until(node.url(), &answered, "refused").await;
    let answer = ask(node.url(), &format!("select answer from amends.signal_status('{saga}', 2)")).await;
    assert!(answer.contains("find out again, then resolve it"), "{answer}");

    let finding = r#"'applied', '{"id": 7}', 'seen in their dashboard', attempts => 1"#;
    let call = format!("resolve('{saga}', 'charge', {finding})");
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

/// What is shown is on record before anybody can answer; the answer is bound to it; meanwhile no node holds the saga.
#[tokio::test]
async fn a_person_approves_what_was_shown_or_denies_it() {
    let node = Operated::begin().await;
    let url = node.url();
    let status = |saga| format!("select status from amends.sagas where saga = '{saga}'");
    let of_timeline = |what: &str, saga| {
        format!("select {what} from amends.timeline where saga = '{saga}' and kind = 'approval_shown'")
    };
    let digest = |saga| of_timeline("substring(what from 'digest ([0-9a-f]{64})')", saga);

    let saga = node.reach("guarded", "running").await;
    let shown = of_timeline("split_part(what, ' (digest', 1)", saga);
    until(url, &shown, "asks: Pay ch_1? {\"id\":\"ch_1\"}").await;
    until(url, &format!("select node is null from amends.sagas where saga = '{saga}'"), "t").await;
    let signed = ask(url, &digest(saga)).await;
    let other = "0".repeat(64);
    assert_eq!(ask(url, &format!("select amends.approve('{saga}', 'sign', '{other}')")).await, "1");
    until(url, &format!("select fate from amends.signal_status('{saga}')"), "refused").await;
    let answer = ask(url, &format!("select answer from amends.signal_status('{saga}')")).await;
    assert!(answer.contains(&signed) && answer.contains("approve sign, deny sign"), "{answer}");
    apply(&node, &format!("approve('{saga}', 'sign', '{signed}', 'within budget')"), saga).await;
    until(url, &status(saga), "completed").await;
    let output = "state, output ->> 'reason', output ->> 'approved_by'";
    let output = format!("select {output} from amends.steps where saga = '{saga}' and step = 'sign'");
    let by = ask(url, &output).await;
    assert!(by.starts_with("done|within budget|postgres (a terminal"), "{by}");
    let result = format!("select result::json #>> '{{sign,reason}}' from amends.sagas where saga = '{saga}'");
    assert_eq!(ask(url, &result).await, "within budget");

    let denied = node.reach("guarded", "running").await;
    until(url, &format!("select count(*) from ({}) shown", digest(denied)), "1").await;
    apply(&node, &format!("deny('{denied}', 'sign', 'too much')"), denied).await;
    until(url, &status(denied), "compensated").await;
    let states = "string_agg(state, ' ' order by position)";
    let states = ask(url, &format!("select {states} from amends.steps where saga = '{denied}'")).await;
    assert_eq!(states, "undone failed not_begun");
    let late = psql(url, &format!("select amends.approve('{denied}', 'sign', '{signed}')")).await;
    assert!(!late.ok && late.errors.contains("AM002"), "{}", late.errors);
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
        (format!("resolve('{live}', 'a', 'maybe', null, 'x')"), "AM005", "'applied' or 'absent', found 'maybe'"),
        (format!("resolve('{live}', 'a', 'absent', '1', 'x')"), "AM005", "no output"),
        (format!("resolve('{live}', 'a', 'absent', null, 'x', -1)"), "AM005", "number of attempts, found -1"),
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
