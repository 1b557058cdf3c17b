//! Whose a start key is: the keys of a caller are out of reach of other callers and of all other doors, and so are the
//! sagas that they started.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::agent::Agent;
use super::auth::token;
use super::home::Home;
use crate::admin::{ask, psql, until};
use crate::door::login;

fn saga(answer: &Value) -> String {
    answer["structuredContent"]["saga_id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

/// The sagas that a caller sees in the list.
async fn seen(agent: &Agent) -> Vec<String> {
    let listed = agent.call("saga_list", json!({})).await;
    let sagas = listed["structuredContent"]["sagas"].as_array().unwrap_or_else(|| panic!("{listed}")).clone();
    sagas.iter().map(|saga| saga["saga_id"].as_str().unwrap().to_owned()).collect()
}

/// Every door but MCP is refused the key, and learns nothing of the saga.
async fn refused_everywhere(home: &Home, producer: &str, key: &str) {
    for call in [
        format!("amends.start('bell', '{{}}', '{key}')"),
        format!("amends.start('bell', '{{\"other\": 1}}', '{key}')"),
        format!("amends.start('bell', '{{}}', '{key}', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01')"),
        format!("amends.start(definition => 'bell', key => '{key}', input => '{{}}')"),
        format!("(select amends.start('bell', '{{}}', k) from unnest(array['fine', '{key}']) k limit 1 offset 1)"),
    ] {
        let said = psql(producer, &format!("select {call}")).await;
        assert!(!said.ok && said.errors.contains("AM005"), "{call}: {said:?}");
        assert!(said.errors.contains("expected a key of your own"), "{call}: {said:?}");
    }
    let (code, answer, errors) = home.run(&["start", "bell", "--key", key]);
    assert!(code == 2 && errors.contains("expected a key of your own"), "{code} {answer} {errors}");
    let (code, _, errors) = home.run(&["erase", "--start-key", key, "--reason", "curious"]);
    assert!(code == 4 && !errors.contains("has not ended"), "{code} {errors}");
}

#[tokio::test]
async fn no_other_door_and_no_other_caller_takes_joins_or_reads_the_key_of_a_caller() {
    let home = Home::with("ownership", "mcp: { auth: bearer, wait: 200ms }\n").await;
    let node = home.node(&[]);
    let url = home.database.url.clone();
    let (_, ada) = token(&home, &["ada", "--scope", "start:*"]);
    let (_, bob) = token(&home, &["bob", "--scope", "start:*"]);
    let (_, odd) = token(&home, &["ada-k", "--scope", "start:*"]);
    let [ada, bob, odd] = [&ada, &bob, &odd].map(|token: &String| Agent::of_new(&node.url).with_token(token));
    let producer = login(&home.database, "producer", "amends_producer").await;
    let call = |key: &str| json!({ "idempotency_key": key });

    // Before its caller has used it: no other caller can take it in advance.
    for key in ["mcp:ada:k:K9", "mcp:ada:u:1", "mcp:ada:w:60000:1:00", "mcp:ada%3Ak:k:K9", "mcp:~0a:k:K9"] {
        refused_everywhere(&home, &producer, key).await;
    }
    let own = ada.call("bell", call("K9")).await;
    assert_eq!(own["structuredContent"]["status"], "in_progress", "{own}");
    let own = saga(&own);
    // Afterwards: no other caller joins it.
    refused_everywhere(&home, &producer, "mcp:ada:k:K9").await;

    // The same texts are other keys for other owners.
    let others = [saga(&bob.call("bell", call("K9")).await), saga(&odd.call("bell", call("K9")).await)];
    let mut mine = Vec::new();
    for key in ["K9", "k:K9", "mcp:ada:K9", "mcp:ada", "mcp::k:K9"] {
        mine.push(ask(&producer, &format!("select amends.start('bell', '{{}}', '{key}')")).await);
        let (code, again, errors) = home.run(&["start", "bell", "--key", key]);
        assert_eq!((code, again["id"].as_str()), (0, mine.last().map(String::as_str)), "{errors}");
    }
    let all: BTreeSet<&String> = others.iter().chain(&mine).chain([&own]).collect();
    assert_eq!(all.len(), 8, "{all:?}");
    let rows = "select string_agg(coalesce(owner, '-') || ' ' || key, ', ' order by key collate \"C\")
                from amends.start_key where key like '%k:K9'";
    assert_eq!(
        ask(&url, rows).await,
        "- k:K9, - mcp::k:K9, mcp:ada-k mcp:ada-k:k:K9, mcp:ada mcp:ada:k:K9, mcp:bob mcp:bob:k:K9"
    );

    let again = ada.call("bell", call("K9")).await;
    assert_eq!((saga(&again), &again["_meta"]["amends/replay"]), (own.clone(), &json!(true)));
    assert_eq!(seen(&ada).await, std::slice::from_ref(&own));
    for stranger in others.iter().chain(&mine) {
        let told = ada.call("saga_status", json!({ "saga_id": stranger })).await;
        assert!(told["isError"] == json!(true) && told.to_string().contains("There is no saga"), "{told}");
    }
    let told = odd.call("saga_cancel", json!({ "saga_id": own, "reason": "x" })).await;
    assert!(told.to_string().contains("There is no saga"), "{told}");

    // An erasure reaches the key of the owner that it names, and only that.
    ask(&url, "select amends.cancel(saga, 'over') from amends.sagas where status = 'running'").await;
    until(&url, "select count(*) from amends.sagas where status <> 'compensated'", "0").await;
    let erase = |args: &[&str]| home.run(&[&["erase", "--reason", "asked for it"], args].concat());
    let erased = "select string_agg(saga::text, ' ') from amends.sagas where erased_at is not null";
    assert_eq!(erase(&["--start-key", "k:K9", "--owner", "mcp:eve"]).0, 4);
    assert_eq!(ask(&url, erased).await, "");
    assert_eq!(erase(&["--start-key", "k:K9", "--owner", "mcp:ada"]).0, 0);
    assert_eq!(ask(&url, erased).await, own);
    let erased = format!("select erased_at is not null from amends.sagas where saga = '{}'", mine[1]);
    assert_eq!(erase(&["--start-key", "k:K9"]).0, 0);
    assert_eq!(ask(&url, &erased).await, "t");
    assert_eq!(erase(&["--owner", "mcp:ada", "--saga", &own]).0, 2);
}

/// Rows of an older version say whose they are only in their key, and its nodes go on writing such rows beside ours.
#[tokio::test]
async fn the_keys_of_an_older_version_are_still_their_callers() {
    let home = Home::with("owned-before", "mcp: { auth: bearer, wait: 200ms }\n").await;
    let node = home.node(&[]);
    let url = home.database.url.clone();
    let (_, ada) = token(&home, &["ada", "--scope", "start:*"]);
    let (_, bob) = token(&home, &["bob", "--scope", "start:*"]);
    let [ada, bob] = [&ada, &bob].map(|token: &String| Agent::of_new(&node.url).with_token(token));
    let call = |key: &str| json!({ "idempotency_key": key });
    let first = saga(&ada.call("bell", call("then")).await);
    ask(&url, "update amends.start_key set owner = null").await;
    // What a node of an older version sends: a start that goes to the queue, and a start on its lane.
    let queued = "select amends.start_as(amends.uuid7(), 'bell', '{}', 'mcp:ada:k:queued', null, 'ada over MCP')";
    let queued = ask(&url, queued).await;
    let write = "insert into amends.start_key (name, key, id, digest, at)
                 select 'bell', 'mcp:ada:k:' || k, gen_random_uuid(), amends.input_digest('{}'), amends.now()
                 from unnest(array['then', 'lane']) k on conflict (name, key) do nothing returning key || ' ' || id";
    let written = ask(&url, write).await;
    let lane = written.strip_prefix("mcp:ada:k:lane ").unwrap_or_else(|| panic!("{written}"));

    for (key, id) in [("then", first.as_str()), ("queued", &queued), ("lane", lane)] {
        let again = ada.call("bell", call(key)).await;
        assert_eq!(saga(&again), id, "{key}");
        assert_ne!(saga(&bob.call("bell", call(key)).await), id, "{key}");
    }
    let mut found = seen(&ada).await;
    found.sort();
    let mut expected = [first.clone(), queued];
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(seen(&bob).await.len(), 3);
    let producer = login(&home.database, "producer", "amends_producer").await;
    refused_everywhere(&home, &producer, "mcp:ada:k:then").await;
    let told = bob.call("saga_status", json!({ "saga_id": first })).await;
    assert!(told.to_string().contains("There is no saga"), "{told}");
    // What an application had named before it stays its own.
    let plain = "select amends.start_as(null, 'bell', '{}', 'mcp:order:5')";
    assert_eq!(ask(&url, plain).await, ask(&producer, "select amends.start('bell', '{}', 'mcp:order:5')").await);
}

#[tokio::test]
async fn no_owner_takes_no_byte_of_a_row() {
    let home = Home::new("bytes").await;
    let url = &home.database.url;
    ask(url, "create table bare (name text, key text, id uuid, digest bytea, at timestamptz)").await;
    let insert = |table: &str| {
        format!(
            "insert into {table} (name, key, id, digest, at)
             values ('bell', 'order-1', '00000000-0000-0000-0000-000000000000', sha256(''), 'epoch')"
        )
    };
    ask(url, &insert("bare")).await;
    ask(url, &insert("amends.start_key")).await;
    let sizes =
        "select (select pg_column_size(k.*) from amends.start_key k) - (select pg_column_size(b.*) from bare b)";
    assert_eq!(ask(url, sizes).await, "0");
}
