//! Who starts a saga does not approve it: starts by SQL and by the program record who made them, and an approval needs
//! another role, or another person of the same role.

use std::time::Duration;

use amends::client::Origin;
use amends::participant::{Failure, Handlers, StepContext};
use amends::runtime::Runtime;
use amends::saga::Json;
use amends::saga::definition::{Call, Draft, Step};
use amends::saga::event::Request;
use serde_json::{Value, json};

use super::login;
use crate::admin::{ask, program, psql, until};
use crate::harness::Database;

fn drafts() -> Vec<Draft> {
    let sign = || Step::approval("sign", "Pay?", None, None);
    let pay = || Step::new("pay", Call::handler("good")).compensation(Call::handler("good")).needs(["sign"]);
    let guarded = |name: &str| Draft::new(name).step(sign()).step(pay());
    vec![
        guarded("plain"),
        guarded("in_turn").concurrency("input.guest"),
        guarded("ordered").priority("high"),
        Draft::new("by_caller").step(sign().approved_by_caller()).step(pay()),
        Draft::new("second").step(Step::sleeping("nap", 1)).step(sign().needs(["nap"])).step(pay()),
    ]
}

struct Desk {
    database: Database,
    runtime: Runtime,
    /// Logins of two roles that may do everything that operators may.
    one: String,
    two: String,
}

impl Desk {
    async fn begin() -> Self {
        let database = Database::create().await;
        let good = |_: StepContext, _: Value| async move { Ok::<_, Failure>(json!({})) };
        let builder = Runtime::builder(database.url.clone()).handlers(Handlers::new().register("good", good));
        let runtime =
            drafts().into_iter().fold(builder, |builder, draft| builder.definition(draft)).begin().await.unwrap();
        let one = login(&database, "one", "amends_operator").await;
        let two = login(&database, "two", "amends_operator").await;
        Self { database, runtime, one, two }
    }

    async fn digest(&self, saga: &str) -> String {
        let shown = format!(
            "select substring(what from 'digest ([0-9a-f]+)') from amends.timeline
             where saga = '{saga}' and kind = 'approval_shown'"
        );
        until(&self.database.url, &format!("select count(*) from ({shown}) shown"), "1").await;
        ask(&self.database.url, &shown).await
    }

    /// Approves as this login, for this person. Returns what became of it: `applied`, or `refused` and why.
    async fn approve(&self, url: &str, person: &str, saga: &str) -> String {
        let digest = self.digest(saga).await;
        let approve = format!("select amends.approve('{saga}', 'sign', '{digest}')");
        let n = ask(url, &format!("{}{approve}", naming(person))).await;
        self.fate(saga, &n).await
    }

    async fn fate(&self, saga: &str, n: &str) -> String {
        let url = &self.database.url;
        let status = format!("from amends.signal_status('{saga}', {n})");
        until(url, &format!("select fate <> 'waiting' {status}"), "t").await;
        ask(url, &format!("select concat_ws(' ', fate, answer) {status}")).await
    }

    async fn refuses(&self, url: &str, person: &str, saga: &str) {
        let fate = self.approve(url, person, saga).await;
        assert!(fate.starts_with("refused ") && fate.contains("from another person than who started"), "{fate}");
        assert!(fate.contains("legal now: cancel"), "{fate}");
    }

    async fn takes(&self, url: &str, person: &str, saga: &str) {
        assert_eq!(self.approve(url, person, saga).await, "applied");
        until(&self.database.url, &format!("select status from amends.sagas where saga = '{saga}'"), "completed").await;
    }

    async fn stop(self) {
        self.runtime.stop(Duration::from_secs(5)).await.unwrap();
    }
}

/// Makes the session name a person.
fn naming(person: &str) -> String {
    match person {
        "" => "set application_name = 'web'; ".to_owned(),
        person => format!("set application_name = 'web, claims {person}'; "),
    }
}

#[tokio::test]
async fn a_start_by_sql_is_not_approved_by_who_made_it() {
    let desk = Desk::begin().await;
    let (one, two) = (desk.one.clone(), desk.two.clone());
    let start = async |url: &str, person: &str, call: &str| {
        ask(url, &format!("{}select amends.start({call})", naming(person))).await
    };
    // Through each queue: of starts, of turns, of priorities; with and without a key.
    for call in [
        "'plain', '{}'",
        "'plain', '{}', 'K9'",
        "'plain', '{}', null, '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'",
        "'in_turn', '{\"guest\": 1}'",
        "'ordered', '{}'",
        "'second', '{}'",
    ] {
        let saga = start(&one, "", call).await;
        desk.refuses(&one, "", &saga).await;
        desk.takes(&two, "", &saga).await;
    }
    // The same role is the same person until both name another one.
    for (starter, approver, differs) in
        [("", "", false), ("ada", "ada", false), ("ada", "", false), ("", "ada", false), ("ada", "bo", true)]
    {
        let saga = start(&one, starter, "'plain', '{}'").await;
        if differs {
            desk.takes(&one, approver, &saga).await;
        } else {
            desk.refuses(&one, approver, &saga).await;
            desk.takes(&two, approver, &saga).await;
        }
    }
    // A signal that arrives before any node has the saga changes nothing.
    let begun =
        "begin; select amends.start('plain', '{}') as saga \\gset\nselect amends.pause(:'saga', 'wait') \\g /dev/null
                 commit; select :'saga'";
    let saga = ask_script(&one, begun).await;
    ask(&two, &format!("select amends.resume('{saga}')")).await;
    desk.refuses(&one, "", &saga).await;
    // Who started it may turn it back.
    ask(&one, &format!("select amends.deny('{saga}', 'sign', 'changed my mind')")).await;
    until(&desk.database.url, &format!("select status from amends.sagas where saga = '{saga}'"), "compensated").await;

    let saga = start(&one, "ada", "'by_caller', '{}'").await;
    desk.takes(&one, "ada", &saga).await;
    let told = "select asked_by = current_user || '', application_name from amends.timeline";
    let told = format!("{told} where saga = '{saga}' and kind = 'begun'");
    let by = ask(&one, &told.replace("current_user || ''", "session_user")).await;
    assert_eq!(by, "t|claims ada");
    let approved = format!("select output ->> 'approved_by' from amends.steps where saga = '{saga}' and step = 'sign'");
    assert!(ask(&one, &approved).await.contains("claims ada"));
    desk.stop().await;
}

/// Runs a script that psql reads from its input, where it knows variables.
async fn ask_script(url: &str, script: &str) -> String {
    use std::io::Write as _;
    let mut command = std::process::Command::new(crate::harness::program("psql"));
    command.args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-d", url]);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let script = script.to_owned();
    let output = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    let output = output.await.unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_start_by_the_program_is_not_approved_by_who_made_it() {
    let desk = Desk::begin().await;
    let url = desk.database.url.clone();
    for (start, approve, differs) in [
        (&["--as", "ada"][..], &["--as", "ada"][..], false),
        // The user of the operating system is who asks without a name.
        (&[], &[], false),
        (&["--as", "ada"], &["--as", "bo"], true),
        (&["--as", "ada"], &[], true),
    ] {
        let (code, said) = program(&url, &[&["start", "plain"], start].concat());
        assert_eq!(code, 0, "{said}");
        let saga = said.trim();
        let digest = desk.digest(saga).await;
        let (code, said) = program(&url, &[&["approve", saga, "sign", "--digest", &digest], approve].concat());
        assert_eq!(code, if differs { 0 } else { 5 }, "{start:?} {approve:?}: {said}");
        assert_eq!(said.contains("from another person than who started"), !differs, "{said}");
        if !differs {
            desk.takes(&desk.one, "", saga).await;
        }
    }
    desk.stop().await;
}

/// A program that embeds a node names the people for which it starts and asks; without a name it records no person,
/// whether a lane takes the saga at once or it waits in a queue.
#[tokio::test]
async fn a_start_by_the_program_around_a_node_has_the_person_that_it_names() {
    let desk = Desk::begin().await;
    let client = desk.runtime.client().clone();
    for definition in ["plain", "in_turn"] {
        let input = Json::from(&json!({ "guest": 1 }));
        let start = async |asker: Option<&str>| {
            let origin = Origin { asker: asker.map(str::to_owned), ..Origin::default() };
            let id = client.new_id(definition, &input, None, None).await.unwrap();
            client.start_from(origin, id, definition, input.clone(), None).await.unwrap().id
        };
        let saga = start(Some("ada")).await;
        let (id, digest) = (saga.to_string(), desk.digest(&saga.to_string()).await);
        let approve = || Request::Approve { step: "sign".into(), digest: digest.clone(), reason: String::new() };
        let n = client.signal_for("ada", saga, approve()).await.unwrap();
        assert!(desk.fate(&id, &n.to_string()).await.starts_with("refused "));
        let n = client.signal_for("bo", saga, approve()).await.unwrap();
        assert_eq!(desk.fate(&id, &n.to_string()).await, "applied");
        until(&desk.database.url, &format!("select status from amends.sagas where saga = '{id}'"), "completed").await;

        let unnamed = start(None).await.to_string();
        let by = format!("select asked_by is null from amends.timeline where saga = '{unnamed}' and kind = 'begun'");
        until(&desk.database.url, &by, "t").await;
        desk.takes(&desk.database.url, "", &unnamed).await;
    }
    desk.stop().await;
}

#[tokio::test]
async fn a_rerun_is_not_approved_by_who_asked_for_it() {
    let desk = Desk::begin().await;
    let url = &desk.database.url;
    let first = ask(&desk.one, "select amends.start('second', '{}')").await;
    desk.digest(&first).await;
    ask(&desk.one, &format!("select amends.abandon('{first}', 'mended elsewhere')")).await;
    until(url, &format!("select status from amends.sagas where saga = '{first}'"), "abandoned").await;
    let rerun = ask(&desk.two, &format!("select amends.rerun_from('{first}', 'sign', 'go on')")).await;
    until(url, &format!("select status from amends.sagas where saga = '{rerun}'"), "running").await;
    desk.refuses(&desk.two, "", &rerun).await;
    desk.takes(&desk.one, "", &rerun).await;
    let said = psql(&desk.one, &format!("select 1 from amends.timeline where saga = '{rerun}'")).await;
    assert!(said.ok);
    desk.stop().await;
}
