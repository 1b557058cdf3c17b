//! Operators act on many sagas at once, and on whole definitions.

use serde_json::json;

use super::{Operated, ask, program, psql, until};

#[tokio::test]
async fn many_sagas_are_asked_the_same_a_few_at_a_time() {
    let node = Operated::begin().await;
    for _ in 0..5 {
        node.reach("past_the_pivot", "stuck").await;
    }
    let other = node.reach("not_undone", "stuck").await;
    let retry = "select amends.bulk('retry', 'past_the_pivot', 'they mended it', most => 3)";
    assert_eq!(ask(node.url(), retry).await, "3");
    until(node.url(), "select count(*) from amends.stuck where attempts = 2", "3").await;

    // Spread over time: asked now, seen later.
    let spread = "select amends.bulk('abandon', 'past_the_pivot', 'written off', spread => '1 h')";
    assert_eq!(ask(node.url(), spread).await, "5");
    assert_eq!(ask(node.url(), spread).await, "0", "who was asked and has not answered is not asked again");
    let later = "select count(*) from amends.timers
                 where definition = 'past_the_pivot' and fires_at < now() + interval '2 h'";
    assert_eq!(ask(node.url(), later).await, "5");
    ask(node.url(), "update amends.timer set fire_at = now() where isfinite(fire_at)").await;
    let abandoned = "select count(*) from amends.sagas where definition = 'past_the_pivot' and status = 'abandoned'";
    until(node.url(), abandoned, "5").await;
    let status = format!("select status from amends.sagas where saga = '{other}'");
    assert_eq!(ask(node.url(), &status).await, "stuck", "of other definitions none is asked");

    for (call, code) in [
        ("bulk('skip', 'happy', 'x')", "AM005"),
        ("bulk('retry', 'nobody', 'x')", "AM003"),
        ("bulk('retry', 'happy', 'x', 'completed')", "AM005"),
        ("bulk('cancel', 'happy', 'x', new_key => true)", "AM005"),
        ("bulk('retry', 'happy', 'x', most => 100000)", "AM005"),
    ] {
        let said = psql(node.url(), &format!("select amends.{call}")).await;
        assert!(said.errors.contains(code), "{call}: {}", said.errors);
    }
    node.stop().await;
}

/// A participant that repeats its refusal under the old key is asked under a new one, by any door, and only where
/// nothing is in doubt.
#[tokio::test]
async fn a_step_is_tried_again_under_a_new_key() {
    let node = Operated::begin().await;
    let saga = node.reach("past_the_pivot", "stuck").await;
    let key = format!("select key from amends.stuck where saga = '{saga}'");
    let step = ask(node.url(), &format!("select step from amends.stuck where saga = '{saga}'")).await;
    assert_eq!(ask(node.url(), &key).await, format!("{saga}-{step}-a0"));
    ask(node.url(), &format!("select amends.retry('{saga}', '{step}', 'the same')")).await;
    let attempts = "select count(*) from amends.stuck where attempts =";
    until(node.url(), &format!("{attempts} 2"), "1").await;
    assert_eq!(ask(node.url(), &key).await, format!("{saga}-{step}-a0"));
    ask(node.url(), &format!("select amends.retry('{saga}', '{step}', 'another', true)")).await;
    until(node.url(), &format!("{attempts} 3"), "1").await;
    assert_eq!(ask(node.url(), &key).await, format!("{saga}-{step}-a1"));
    let bulk = "select amends.bulk('retry', 'past_the_pivot', 'another', new_key => true)";
    assert_eq!(ask(node.url(), bulk).await, "1");
    until(node.url(), &format!("{attempts} 4"), "1").await;
    assert_eq!(ask(node.url(), &key).await, format!("{saga}-{step}-a2"));
    let program = |args: &[&str]| program(node.url(), args);
    let (code, said) = program(&["retry", &saga.to_string(), &step, "--new-key", "--reason", "another"]);
    assert_eq!(code, 0, "{said}");
    until(node.url(), &format!("{attempts} 5"), "1").await;
    let key = ask(node.url(), &key).await;
    assert_eq!(key, format!("{saga}-{step}-a3"));
    // A key leads back to its call, in each of its forms.
    let (code, said) = program(&["show", &key]);
    let call = format!("the action of step {step}, generation 3, attempt 5");
    assert!(code == 0 && said.contains(&call), "{said}");
    let hex = amends::saga::key::Key::uuid(&key).as_simple().to_string();
    let (code, said) = program(&["show", &saga.to_string(), &hex]);
    assert!(code == 0 && said.contains(&call), "{said}");
    let (code, said) = program(&["show", &hex]);
    assert!(code == 4 && said.contains("name its saga too: amends show ID KEY"), "{code:?} {said}");
    let (_, said) = program(&["show", &saga.to_string()]);
    let advice = "a retry keeps the key, under which the participant may repeat a saved refusal (--new-key takes";
    assert!(said.replace(['\n', '│'], " ").split_whitespace().collect::<Vec<_>>().join(" ").contains(advice), "{said}");
    let (code, said) = program(&["bulk", "retry", "past_the_pivot", "--new-key", "--reason", "another"]);
    assert_eq!(code, 0, "{said}");
    until(node.url(), &format!("{attempts} 6"), "1").await;
    let key = format!("select key from amends.stuck where saga = '{saga}'");
    assert_eq!(ask(node.url(), &key).await, format!("{saga}-{step}-a4"));
    let doubtful = node.reach("doubtful", "stuck").await;
    let asked = ask(node.url(), &format!("select amends.retry('{doubtful}', 'charge', 'x', true)")).await;
    let fate = format!("select answer as reason from amends.signal_status('{doubtful}', {asked})");
    until(node.url(), &format!("select count(*) from ({fate}) f where reason like '%could take effect twice%'"), "1")
        .await;
    node.stop().await;
}

#[tokio::test]
async fn a_paused_definition_is_left_alone_until_it_is_resumed() {
    let node = Operated::begin().await;
    let pause = "select amends.pause_definition('happy', 'the hotel is closed')";
    let signal = ask(node.url(), pause).await;
    let again = psql(node.url(), pause).await.errors;
    assert!(again.contains("AM009") && again.contains("Legal now: resume_definition"), "{again}");
    let fate = format!("select verb, fate from amends.signal_status(null, {signal})");
    assert_eq!(ask(node.url(), &fate).await, "pause_definition|applied");
    let heard = || node.runtime.store().definitions();
    assert!(heard().await.unwrap().iter().any(|one| one.name == "happy" && one.paused));
    // The node hears of it within seconds; then neither starts from outside nor its own are taken up.
    crate::harness::eventually("a start stays queued", async || {
        let saga = node.runtime.start("happy", &json!({})).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let sql = format!("select status from amends.sagas where saga = '{saga}'");
        ask(node.url(), &sql).await == "queued"
    })
    .await;
    let who = "select definition, held, by, application_name, reason from amends.definition_pauses";
    assert_eq!(ask(node.url(), who).await, "happy|t|postgres|a terminal|the hotel is closed");
    node.reach("sad", "compensated").await;

    let resume = "select amends.resume_definition('happy', 'open again')";
    let lifted = ask(node.url(), resume).await;
    let again = psql(node.url(), resume).await.errors;
    assert!(again.contains("AM009") && again.contains("Legal now: pause_definition"), "{again}");
    until(node.url(), "select count(*) from amends.sagas where status = 'queued'", "0").await;
    let who = "select held, resumed_by, resume_reason, signal, resumed_with from amends.definition_pauses";
    assert_eq!(ask(node.url(), who).await, format!("f|postgres|open again|{signal}|{lifted}"));
    let told = "select signal, asked_by, application_name, fate, request::json -> 'resume_definition' ->> 'reason'
                from amends.signals where saga is null order by signal desc limit 1";
    assert_eq!(ask(node.url(), told).await, format!("{lifted}|postgres|a terminal|applied|open again"));
    for (call, code) in [("pause_definition('happy', '')", "AM005"), ("pause_definition('nobody', 'x')", "AM003")] {
        let said = psql(node.url(), &format!("select amends.{call}")).await;
        assert!(said.errors.contains(code), "{call}: {}", said.errors);
    }
    node.stop().await;
}

/// The command line has the same words, and the same answers.
#[tokio::test]
async fn the_command_line_asks_the_same() {
    let node = Operated::begin().await;
    for _ in 0..3 {
        node.reach("past_the_pivot", "stuck").await;
    }
    let url = node.url().to_owned();
    let amends = async |line: &str| {
        let (url, line) = (url.clone(), line.to_owned());
        let asked = move || {
            let words: Vec<&str> = ["--json"].into_iter().chain(line.split(' ')).collect();
            program(&url, &words)
        };
        tokio::task::spawn_blocking(asked).await.unwrap()
    };
    for (line, code, words) in [
        ("bulk abandon past_the_pivot --reason closed --started-before 2001-01-01T00:00:00Z", 0, "\"asked\":0"),
        ("bulk abandon past_the_pivot --reason closed --most 2", 0, "\"asked\":2"),
        ("bulk skip past_the_pivot --reason closed", 2, "invalid value 'skip'"),
        ("bulk abandon past_the_pivot", 2, "--reason"),
        ("bulk abandon nobody --reason closed", 4, "not_found"),
        ("pause-definition happy --reason closed", 0, "\"paused\":true,\"signal\":1"),
        ("pause-definition happy --reason closed", 5, "Legal now: resume_definition"),
        ("pause-definition nobody --reason closed", 4, "not_found"),
        ("resume-definition happy", 0, "\"paused\":false,\"signal\":"),
        ("resume-definition happy", 5, "Legal now: pause_definition"),
    ] {
        let (exit, said) = amends(line).await;
        assert_eq!(exit, code, "{line}: {said}");
        let said: String = said.replace(", \"", ",\"");
        assert!(words.split(',').all(|word| said.contains(word)), "{line}: {said}");
    }
    until(node.url(), "select count(*) from amends.sagas where status = 'abandoned'", "2").await;
    assert_eq!(ask(node.url(), "select count(*) from amends.stuck").await, "1", "the third was not asked");
    let why = "select distinct reason from amends.timeline t join amends.sagas s using (saga)
               where s.status = 'abandoned' and t.signal is not null";
    assert_eq!(ask(node.url(), why).await, "closed");
    node.stop().await;
}
