//! Who comes in, and what they may do: tokens of our own, names and origins, limits. `issuer.rs` has tokens of an
//! authorization server.

use serde_json::{Value, json};

use super::agent::Agent;
use super::home::Home;
use crate::harness::eventually;

pub(super) fn token(home: &Home, args: &[&str]) -> (String, String) {
    let (code, made, errors) = home.run(&[&["token", "add"], args].concat());
    assert_eq!(code, 0, "{errors}");
    (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_token_opens_what_its_scopes_say_and_no_more() {
    let home = Home::with("token", "mcp: { auth: bearer, wait: 500ms }\n").await;
    let mut node = home.node(&[]);
    let (id, ada) = token(&home, &["ada", "--scope", "start:hotel_*", "--scope", "start:bell"]);
    let (_, bob) = token(&home, &["bob", "--scope", "start:bell"]);
    let (_, eve) = token(&home, &["eve", "--scope", "read:bell"]);
    let (_, desk) = token(&home, &["desk", "--scope", "operate:*"]);
    let of = |token: &str| Agent::of_new(&node.url).with_token(token);

    let refused = Agent::of_new(&node.url).tools_under(&[]).await;
    assert_eq!(
        (refused.status, refused.headers["www-authenticate"].to_str().unwrap()),
        (401, "Bearer realm=\"amends\"")
    );
    let other = if ada.ends_with('0') { '1' } else { '0' };
    let changed = format!("{}{other}", &ada[..ada.len() - 1]);
    for wrong in ["amends_x_y", "x", "", changed.as_str()] {
        let refused = of(wrong).tools_under(&[]).await;
        let challenge = refused.headers["www-authenticate"].to_str().unwrap();
        assert!(refused.status == 401 && challenge.contains("invalid_token"), "{wrong:?} {refused:?}");
    }
    let verbs = ["saga_cancel", "saga_list", "saga_status"];
    assert_eq!(of(&ada).tool_names().await, [&["bell", "hotel_checkout"], &verbs[..]].concat());
    assert_eq!(of(&eve).tool_names().await, verbs);
    let heard = of(&bob).call_with("hotel_checkout", json!({ "guest": "bob" }), json!({})).await;
    assert_eq!(heard.answer["error"]["code"], -32602, "{heard:?}");
    assert_eq!(home.ledger.count("/charge", "bob"), 0);

    // The same key of another caller is another key, and others' sagas do not exist for whoever may not see
    // them.
    let key = json!({ "idempotency_key": "same" });
    let (first, second) = (of(&ada).call("bell", key.clone()).await, of(&bob).call("bell", key).await);
    let saga = |result: &Value| result["structuredContent"]["saga_id"].clone();
    assert_ne!(saga(&first), saga(&second));
    let about = json!({ "saga_id": saga(&first) });
    for verb in ["saga_status", "saga_cancel"] {
        assert_eq!(of(&bob).call(verb, about.clone()).await["isError"], true);
    }
    assert_eq!(of(&eve).call("saga_status", about.clone()).await["structuredContent"]["status"], "in_progress");
    assert_eq!(of(&eve).call("saga_cancel", about.clone()).await["isError"], true);
    let listed = async |token: &str| {
        let listed = of(token).call("saga_list", json!({})).await;
        listed["structuredContent"]["sagas"].as_array().unwrap().len()
    };
    assert_eq!([listed(&ada).await, listed(&bob).await, listed(&eve).await, listed(&desk).await], [1, 1, 2, 2]);
    let cancelled = of(&desk).call("saga_cancel", about).await;
    assert_eq!(cancelled["structuredContent"]["status"], "compensated", "{cancelled}");

    // A session of the old era is nobody else's: to others it is none, to listen to, to ask in or to end.
    let agent = Agent::of_old_with(&node.url, &ada).await;
    assert_eq!(agent.tool_names().await.len(), 5);
    let agent = agent.with_token(&bob);
    assert_eq!((agent.tools_under(&[]).await.status, agent.listen().await.status().as_u16()), (404, 404));
    agent.leave().await;
    let agent = agent.with_token(&ada);
    assert_eq!((agent.listen().await.status().as_u16(), agent.tool_names().await.len()), (200, 5));
    agent.leave().await;
    assert_eq!(agent.tools_under(&[]).await.status, 404);

    assert_eq!(home.run(&["token", "revoke", &id]).0, 0);
    assert_eq!(of(&ada).tools_under(&[]).await.status, 401);
    let (_, tokens, _) = home.run(&["token", "list"]);
    assert_eq!(
        (&tokens[0]["name"], &tokens[0]["live"], &tokens[1]["live"]),
        (&json!("ada"), &json!(false), &json!(true))
    );
    let (_, short) = token(&home, &["short", "--scope", "start:*", "--expires", "1ms"]);
    assert_eq!(of(&short).tools_under(&[]).await.status, 401);
    assert_eq!(home.run(&["token", "add", "Ada", "--scope", "begin:*"]).0, 2);
    let log = tokio::task::spawn_blocking(move || node.end()).await.unwrap();
    assert!([&ada, &bob, &desk].iter().all(|token| !log.contains(&token[20..])), "a token is in the log: {log}");
}

#[tokio::test]
async fn names_origins_sizes_and_counts_are_limited() {
    let pages = "origins: [\"http://localhost:6274\"]";
    let settings = format!("mcp: {{ hosts: [agents.example.com], {pages}, requests_per_minute: 12 }}\n");
    let home = Home::with("limits", &settings).await;
    let node = home.node(&[]);
    let (_, ada) = token(&home, &["ada", "--scope", "start:*"]);
    let agent = node.modern().with_token(&ada);
    let status = async |headers: &[(&str, &str)]| agent.tools_under(headers).await.status;
    for host in ["evil.example", "localhost:80.evil.example", "localhost.evil.example", "agents.example.com.evil"] {
        assert_eq!(status(&[("host", host)]).await, 403, "{host}");
    }
    for origin in ["http://evil.example", "http://localhost:80.evil.example", "http://localhost", "null"] {
        assert_eq!(status(&[("origin", origin)]).await, 403, "{origin}");
    }
    assert_eq!(status(&[("host", "agents.example.com")]).await, 200);
    assert_eq!(status(&[("origin", "http://localhost:6274")]).await, 200);
    let heard = agent.call_with("hotel_checkout", json!({ "guest": "x".repeat(2 << 20) }), json!({})).await;
    assert_eq!(heard.status, 413, "{heard:?}");
    let mut last = None;
    for _ in 0..12 {
        last = Some(agent.tools_under(&[]).await);
    }
    let last = last.unwrap();
    assert!(last.status == 429 && last.headers.contains_key("retry-after"), "{last:?}");
}

#[tokio::test]
async fn what_others_can_reach_asks_for_proof_or_does_not_start() {
    let home = Home::with("outside", "mcp: { auth: none }\n").await;
    let (code, _, errors) = home.run(&["serve", "--http", "0.0.0.0:0"]);
    assert!(code == 2 && errors.contains("mcp.auth is `none`") && errors.contains("amends token add"), "{errors}");
    let home = Home::new("outside-default").await;
    let node = home.node(&["--http", "0.0.0.0:0"]);
    let agent = Agent::of_new(&node.url.replace("0.0.0.0", "127.0.0.1"));
    assert_eq!(agent.tools_under(&[]).await.status, 401);
    let (_, ada) = token(&home, &["ada", "--scope", "start:*"]);
    let agent = agent.with_token(&ada);
    assert_eq!(agent.tools_under(&[]).await.status, 200);
    assert_eq!(agent.tools_under(&[("origin", "http://localhost")]).await.status, 403);
}

/// Pages of this machine may call a node that asks for no token, and no other page may.
#[tokio::test]
async fn an_open_node_hears_pages_of_this_machine_and_no_proxy() {
    let home = Home::new("pages").await;
    let node = home.node(&[]);
    let agent = node.modern();
    let status = async |name: &str, value: &str| agent.tools_under(&[(name, value)]).await.status;
    for origin in ["http://localhost:6274", "http://127.0.0.1", "https://[::1]:1"] {
        assert_eq!(status("origin", origin).await, 200, "{origin}");
    }
    for origin in [
        "http://localhost:80.evil.example",
        "http://localhost.evil.example",
        "http://localhost@evil.example",
        "http://[::1].evil.example",
    ] {
        assert_eq!(status("origin", origin).await, 403, "{origin}");
    }
    // A proxy that keeps or replaces Host brings callers of other machines.
    for (name, value) in [
        ("x-forwarded-for", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1"),
        ("via", "1.1 proxy"),
        ("x-real-ip", "192.0.2.1"),
        ("x-forwarded-host", "agents.example"),
    ] {
        let refused = agent.tools_under(&[(name, value)]).await;
        assert!(refused.status == 403 && refused.answer.to_string().contains("amends token add"), "{refused:?}");
    }
}

#[tokio::test]
async fn whatever_expects_other_machines_asks_for_tokens_on_loopback_too() {
    let oauth = "oauth: { issuer: \"https://login.example\", audience: \"https://agents.example/mcp\" }";
    let hosts = "hosts: [agents.example]";
    for (name, expects) in
        [("hosts", hosts.to_owned()), ("issuer", oauth.to_owned()), ("both", format!("{oauth}, {hosts}"))]
    {
        let home = Home::with(&format!("implied-{name}"), &format!("mcp: {{ {expects} }}\n")).await;
        let (code, said, errors) = home.run(&["check", "amends.yaml"]);
        assert_eq!(code, 0, "{said} {errors}");
        let node = home.node(&[]);
        for host in ["agents.example", "localhost", "127.0.0.1", "[::1]"] {
            let heard = node.modern().tools_under(&[("host", host)]).await;
            assert!(matches!(heard.status, 401 | 403), "{name} {host}: {heard:?}");
        }
        assert_eq!(node.modern().tools_under(&[]).await.status, 401, "{name}");
        let (_, ada) = token(&home, &["ada", "--scope", "start:*"]);
        assert_eq!(node.modern().with_token(&ada).tools_under(&[]).await.status, 200, "{name}");

        let home = Home::with(&format!("denied-{name}"), &format!("mcp: {{ auth: none, {expects} }}\n")).await;
        let (code, said, _) = home.run(&["check", "amends.yaml"]);
        assert!(code == 1 && said.to_string().contains("callers on other machines are expected"), "{name} {said}");
        let (code, _, errors) = home.run(&["serve"]);
        assert!(code != 0 && errors.contains("callers on other machines are expected"), "{name} {errors}");
    }
    // An address that others reach is such a word, too; where nothing is served, nothing is expected.
    let outside = "mcp: { auth: none }\nhttp: { address: \"0.0.0.0:0\" }\n";
    let home = Home::new("denied-address").await;
    let check = |text: &str| {
        std::fs::write(home.folder.join("other.yaml"), text).unwrap();
        home.run(&["check", "other.yaml"])
    };
    assert_eq!(check(outside).0, 1);
    assert_eq!(check(&outside.replace("0.0.0.0", "[::1]")).0, 0);
    assert_eq!(check(&outside.replace("0.0.0.0", "[::]")).0, 1);
    assert_eq!(check(&outside.replace("auth: none", "auth: none, enabled: false")).0, 0);
}

#[tokio::test]
async fn a_live_token_closes_an_open_node_and_its_end_opens_none() {
    let home = Home::new("implied-token").await;
    let node = home.node(&[]);
    assert_eq!(node.modern().tools_under(&[]).await.status, 200);
    let (id, ada) = token(&home, &["ada", "--scope", "start:*"]);
    eventually("the node asks for tokens", async || node.modern().tools_under(&[]).await.status == 401).await;
    assert_eq!(node.modern().with_token(&ada).tools_under(&[]).await.status, 200);
    std::fs::write(home.folder.join("none.yaml"), "http: { address: \"127.0.0.1:0\" }\nmcp: { auth: none }\n").unwrap();
    let (code, _, errors) = home.run(&["serve", "--config", "none.yaml"]);
    assert!(code == 2 && errors.contains("there are live tokens"), "{code} {errors}");
    assert_eq!(home.run(&["token", "revoke", &id]).0, 0);
    let (other, fresh) = (home.node(&[]), node);
    for node in [&other, &fresh] {
        assert_eq!(node.modern().tools_under(&[]).await.status, 401, "a token that ends opens nothing");
    }
    // Who says so in the settings is believed, as long as no token lives.
    let said = home.node(&["--config", "none.yaml"]);
    assert_eq!(said.modern().tools_under(&[]).await.status, 200);
}

#[tokio::test]
async fn tokens_expire_unless_told_otherwise_and_the_list_says_what_lives() {
    let home = Home::new("expiry").await;
    let (_, made, _) = home.run(&["token", "add", "usual", "--scope", "start:*"]);
    assert!(made["expires_at"].is_string(), "{made}");
    let (_, made, _) = home.run(&["token", "add", "ever", "--scope", "start:*", "--expires", "never"]);
    assert_eq!(made["expires_at"], Value::Null, "{made}");
    token(&home, &["week", "--scope", "start:*", "--expires", "7days"]);
    token(&home, &["short", "--scope", "start:*", "--expires", "1ms"]);
    let (gone, _) = token(&home, &["gone", "--scope", "start:*"]);
    assert_eq!(home.run(&["token", "revoke", &gone]).0, 0);
    for odd in ["soon", "200years", ""] {
        let (code, _, errors) = home.run(&["token", "add", "odd", "--scope", "start:*", "--expires", odd]);
        assert!(code == 2 && errors.contains("never"), "{odd:?}: {code} {errors}");
    }
    let (_, listed, _) = home.run(&["token", "list"]);
    let found = |name: &str| listed.as_array().unwrap().iter().find(|token| token["name"] == name).unwrap().clone();
    let status = |name: &str| found(name)["status"].as_str().unwrap().to_owned();
    let all = ["usual", "ever", "week", "short", "gone"].map(status);
    assert_eq!(all, ["live", "live", "live", "expired", "revoked"], "{listed}");
    let rows = home.database.client().await;
    let sql = "select name, extract(epoch from expires_at - created_at)::bigint / 86400 from amends.access_token
               where name in ('usual', 'week') order by name";
    let days: Vec<(String, i64)> =
        rows.query(sql, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(days, [("usual".to_owned(), 90), ("week".to_owned(), 7)]);
    let shown = home.amends(&["token", "list"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let line = |name: &str| shown.lines().find(|line| line.contains(name)).unwrap().to_owned();
    assert!(line("usual").contains(" live ") && !line("usual").contains("revoked"), "{shown}");
    assert!(line("gone").contains("revoked") && line("short").contains("expired"), "{shown}");
    assert!(line("ever").contains("no expiry"), "{shown}");
}

/// Tokens that are not valid reach the database only as far as the budget of their network goes. Callers with valid
/// tokens are not held up, whatever comes from their address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_bad_tokens_stays_before_the_database() {
    const FLOOD: usize = 3_000;
    let home = Home::with("flood", "mcp: { auth: bearer, requests_per_minute: 100000 }\n").await;
    let mut node = home.node(&[]);
    let (_, ada) = token(&home, &["ada", "--scope", "start:*"]);
    let fresh: Vec<_> = (0..5).map(|_| token(&home, &["bob", "--scope", "start:*"]).1).collect();
    let good = node.modern().with_token(&ada);
    assert_eq!(good.tools_under(&[]).await.status, 200);
    let callers = (0..30).map(|caller| {
        let agent = Agent::of_new(&node.url);
        async move {
            let mut heard = Vec::new();
            for number in 0..FLOOD / 30 {
                let bad = format!("amends_{caller:06}{number:06}_{}", "0".repeat(64));
                let bad = format!("Bearer {bad}");
                heard.push(agent.tools_under(&[("authorization", &bad)]).await.status);
            }
            heard
        }
    });
    let valid = async {
        for _ in 0..100 {
            assert_eq!(good.tools_under(&[]).await.status, 200, "a valid token from the same address");
        }
    };
    let (heard, ()) = tokio::join!(futures_util::future::join_all(callers), valid);
    let heard = heard.concat();
    let count = |status: u16| heard.iter().filter(|heard| **heard == status).count();
    assert!(count(401) >= 60 && count(401) < 400 && count(401) + count(429) == FLOOD, "{} {}", count(401), count(429));
    // A token that is new to the node waits with its network, and with no other. One failure a second is forgiven, so
    // on a busy machine a token may come in between.
    let mut has_waited = false;
    for token in &fresh {
        let bad = node.modern().with_token(&format!("amends_y_{}", "2".repeat(64)));
        eventually("the budget is used up", async || bad.tools_under(&[]).await.status == 429).await;
        has_waited |= node.modern().with_token(token).tools_under(&[]).await.status == 429;
    }
    assert!(has_waited);
    assert_eq!(node.modern().from("127.0.0.2").with_token(&fresh[0]).tools_under(&[]).await.status, 200);
    // The same bad token again is refused from memory, from another network, too.
    let bad = Agent::of_new(&node.url).from("127.0.0.3").with_token(&format!("amends_x_{}", "1".repeat(64)));
    for _ in 0..40 {
        assert_eq!(bad.tools_under(&[]).await.status, 401);
    }
    let asked = bad.tools_under(&[]).await;
    assert!(asked.headers["www-authenticate"].to_str().unwrap().contains("invalid_token"), "{asked:?}");
    tokio::task::spawn_blocking(move || node.end()).await.unwrap();
    // A connection reports its look-ups when it ends.
    let rows = home.database.client().await;
    eventually("the node's connections have ended", async || {
        let sql = "select count(*) from pg_stat_activity
                   where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";
        rows.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    let sql = "select seq_scan + coalesce(idx_scan, 0) from pg_stat_user_tables where relname = 'access_token'";
    let looked: i64 = rows.query_one(sql, &[]).await.unwrap().get(0);
    assert!((102..502).contains(&looked), "{looked} look-ups");
}

/// Nodes share the keys of session ids, which the database makes and replaces.
#[tokio::test]
async fn keys_of_session_ids_are_made_once_and_replaced_in_turn() {
    let home = Home::new("session-keys").await;
    let nodes = [home.node(&[]), home.node(&[])];
    let agents = [nodes[0].agent().await, nodes[1].agent().await];
    assert!(agents.iter().all(|agent| agent.session().contains('.')));
    let rows = home.database.client().await;
    let keys = async || {
        let sql = "select key, is_current from amends.session_keys(604800)";
        let rows = rows.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| (row.get::<_, Vec<u8>>(0), row.get::<_, bool>(1))).collect::<Vec<_>>()
    };
    let first = keys().await;
    let [(one, true), (two, false)] = first.as_slice() else { panic!("{first:?}") };
    assert!(one.len() == 32 && two.len() == 32 && one != two);
    // A period passes, and then many.
    rows.execute("update amends.session_key set period = period - 1", &[]).await.unwrap();
    let second = keys().await;
    let [(old, false), (current, true), (next, false)] = second.as_slice() else { panic!("{second:?}") };
    assert!(old == one && current == two && next != one && next != two);
    rows.execute("update amends.session_key set period = period - 2", &[]).await.unwrap();
    let third = keys().await;
    let [(old, false), (current, true), _] = third.as_slice() else { panic!("{third:?}") };
    assert!(old == next && current != next, "keys that are older are deleted");
    let left: i64 = rows.query_one("select count(*) from amends.session_key", &[]).await.unwrap().get(0);
    assert_eq!(left, 3);
    // Sessions go on meanwhile.
    assert_eq!(agents[0].tool_names().await.len(), agents[1].tool_names().await.len());
    // Many nodes that begin together agree.
    rows.execute("delete from amends.session_key", &[]).await.unwrap();
    let others = futures_util::future::join_all((0..8).map(|_| home.database.client())).await;
    let read = others.iter().map(|client| client.query("select key from amends.session_keys(604800)", &[]));
    let read = futures_util::future::join_all(read).await;
    let keys: Vec<Vec<Vec<u8>>> =
        read.into_iter().map(|rows| rows.unwrap().iter().map(|row| row.get(0)).collect()).collect();
    assert!(keys.iter().all(|one| one.len() == 2 && *one == keys[0]), "{keys:?}");
}
