//! What the command line answers with `--json`: one saga of each kind, each verb, and errors. What differs from run to
//! run (ids, times, chance) is replaced; texts for people stand in a file of their own.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::check;
use crate::admin::{Operated, ask, program};
use crate::harness::eventually;

/// Fields whose numbers and texts are this run's.
const OF_THIS_RUN: [&str; 8] = ["jitter", "lane", "took_ms", "node", "token", "version", "pid", "bucket"];

static ID: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").unwrap());
static TIME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00(:00)?)").unwrap());

/// The id of a token.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[0-9a-f]{12}\b").unwrap());

/// The answers so far, and what is known of this run.
#[derive(Default)]
struct Answers {
    ids: Vec<String>,
    answers: String,
    texts: BTreeSet<String>,
}

impl Answers {
    /// Numbers ids in the order in which they appear.
    fn known(&mut self, text: &str) -> String {
        let text = TIME.replace_all(text, "TIME").into_owned();
        let text = ID.replace_all(&text, |found: &regex::Captures<'_>| {
            let place = self.ids.iter().position(|id| *id == found[0]).unwrap_or_else(|| {
                self.ids.push(found[0].to_owned());
                self.ids.len() - 1
            });
            format!("ID{}", place + 1)
        });
        TOKEN.replace_all(&text, "OF_THIS_RUN").into_owned()
    }

    fn shape(&mut self, field: &str, value: Value) -> Value {
        match value {
            Value::Object(mut fields) => {
                // How far the saga has come by the time of the answer is this run's.
                if fields.contains_key("fate") {
                    fields.insert("status".to_owned(), json!("OF_THIS_RUN"));
                }
                fields.into_iter().map(|(name, value)| (name.clone(), self.shape(&name, value))).collect()
            }
            Value::Array(items) => items.into_iter().map(|item| self.shape(field, item)).collect(),
            Value::Null | Value::Bool(_) => value,
            _ if OF_THIS_RUN.contains(&field) => json!("OF_THIS_RUN"),
            Value::Number(ref number) if number.as_f64().is_some_and(|it| it > 1e9) => json!("TIME"),
            Value::Number(_) => value,
            Value::String(text) => {
                let text = self.known(&text);
                if text.contains(' ') {
                    self.texts.insert(text);
                    json!("TEXT")
                } else {
                    json!(text)
                }
            }
        }
    }

    /// Asks, and writes down what was answered.
    fn ask(&mut self, url: &str, args: &[&str]) -> Value {
        let (code, said) = program(url, &[args, &["--json"]].concat());
        // `token revoke` says nothing.
        let said = if said.is_empty() { "null" } else { &said };
        let value: Value = serde_json::from_str(said).unwrap_or_else(|error| panic!("{args:?}: {error}: {said}"));
        let (asked, shape) = (self.known(&args.join(" ")), self.shape("", value.clone()));
        self.answers.push_str(&format!("# {asked}: {code}\n{}\n", serde_json::to_string_pretty(&shape).unwrap()));
        value
    }
}

/// Programs read these answers: their fields, words and codes stay.
#[tokio::test(flavor = "multi_thread")]
async fn answers_for_programs_have_the_fields_that_they_had() {
    let operated = Operated::begin().await;
    let mut answers = Answers::default();
    let mut sagas = Vec::new();
    for (definition, status) in [
        ("happy", "completed"),
        ("sad", "compensated"),
        ("doubtful", "stuck"),
        ("past_the_pivot", "stuck"),
        ("not_undone", "stuck"),
        ("patient", "running"),
        ("guarded", "running"),
    ] {
        sagas.push(operated.reach(definition, status).await.to_string());
    }
    let url = operated.url();
    let [happy, sad, doubtful, past, not_undone, patient, guarded] = &sagas[..] else { panic!("{sagas:?}") };
    let shown = format!(
        "select substring(what from 'digest ([0-9a-f]{{64}})') from amends.timeline
         where saga = '{guarded}' and kind = 'approval_shown'"
    );
    eventually("it asks", async || !ask(url, &shown).await.is_empty()).await;
    let digest = ask(url, &shown).await;
    answers.ask(url, &["list"]);
    for saga in &sagas {
        answers.ask(url, &["show", saga]);
    }
    for args in [
        &["pause", patient, "--reason", "lunch"][..],
        &["resume", patient],
        &["provide", patient, "approved", "--payload", "{\"by\": \"Ada\"}"],
        &["approve", guarded, "sign", "--digest", &digest],
        &["resolve", doubtful, "charge", "absent", "--reason", "looked it up"],
        &["skip", not_undone, "a", "--reason", "done by hand"],
        &["abandon", past, "--reason", "written off"],
        &["retry", happy, "a"],
        &["cancel", "00000000-0000-7000-8000-000000000000"],
        &["deny", sad, "sign", "--reason", "no"],
        &["show", "no-id"],
        &["list", "--bogus"],
        &["start", "happy", "--input", "{}", "--key", "k-1", "--wait"],
        &["start", "happy", "--input", "{}", "--key", "k-1"],
        &["start", "happy", "--input", "{\"n\": 1}", "--key", "k-1"],
        &["start", "unheard_of", "--input", "{}"],
        &["bulk", "cancel", "patient", "--reason", "the day is over"],
        &["pause-definition", "happy", "--reason", "inventory"],
        &["resume-definition", "happy"],
        &["rerun-from", sad, "b", "--reason", "again"],
        &["drain-node", "nobody", "--reason", "moving"],
        &["migrate"],
    ] {
        answers.ask(url, args);
    }
    let token = answers.ask(url, &["token", "add", "agent", "--scope", "start:happy"]);
    answers.ask(url, &["token", "list"]);
    answers.ask(url, &["token", "revoke", token["id"].as_str().unwrap()]);
    operated.stop().await;
    check("answers.txt", &answers.answers);
    let texts: Vec<String> = answers.texts.into_iter().collect();
    check("answers_texts.txt", &(texts.join("\n") + "\n"));
}
