//! Plans of the hot statements: by index whatever the statistics say, on tables of the size of a busy
//! installation.

use std::fmt::Write as _;

use tokio_postgres::Client;

use super::Node;

/// Each hot statement with its parameters, and the index conditions that its plan must show.
const HOT: &[(&str, &str, &[&str])] = &[
    (
        include_str!("../../../sql/queries/transition/commit.sql"),
        "1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', \
        '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', \
         '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'",
        &["saga_pkey", "AND (n >= "],
    ),
    (
        include_str!("../../../sql/queries/transition/resolve.sql"),
        "'{}', '{}', '{}', '{}', '{}', '{}'",
        &["Index Cond: ((id = u.id) AND (seq = u.seq))", "start_key_pkey"],
    ),
    (
        include_str!("../../../sql/queries/saga/claim.sql"),
        "1, '{1}', '{0}', 100, '{9223372036854775807}'",
        &["Index Cond: ((definition = d.definition) AND (n > d.low) AND (n < d.high))", "timer_pkey", "Hash Full Join"],
    ),
    (
        include_str!("../../../sql/queries/start_queue/take.sql"),
        "1, '{1}', '{0}', 100",
        &["Index Cond: ((definition = d.definition) AND (n > d.low) AND (n > 0))", "start_queue_pkey"],
    ),
    (include_str!("../../../sql/queries/start_queue/forget.sql"), "'{1}', '{0}', 100", &["start_queue_order"]),
    (
        include_str!("../../../sql/queries/node/look.sql"),
        "'{1}', '{1}', '{0}', 100, '{}', '{9223372036854775807}', '{timers,turns}', '{1}', '{0}'",
        &[
            "Index Cond: ((definition = d_1.definition) AND (n > d_1.low))",
            "Index Cond: ((definition = d.definition) AND (n > d.low) AND (n < d.high))",
            "Index Cond: (lane = l.id)",
        ],
    ),
    (include_str!("../../../sql/queries/node/beat.sql"), "1, 0, null, 7, 8", &["node_pkey", "node_claims"]),
    (include_str!("../../../sql/queries/saga/park.sql"), "1, '{}', '{}', '{}'", &["saga_pkey"]),
    (include_str!("../../../sql/queries/saga/release.sql"), "1, '{}'", &["saga_pkey"]),
    (include_str!("../../../sql/queries/saga/owned.sql"), "'{1}'", &["saga_lane"]),
    (include_str!("../../../sql/queries/saga/read.sql"), "'00000000-0000-7000-8000-000000000000'", &["saga_pkey"]),
    (
        include_str!("../../../sql/queries/saga/list.sql"),
        "null, null, null, 50, null, null",
        &["Index Scan Backward using saga_pkey"],
    ),
    (include_str!("../../../sql/queries/turn/cancel_waiting.sql"), "'{}', '{}'", &["waiting_id", "knock_pkey"]),
    (include_str!("../../../sql/queries/turn/asked.sql"), "100", &["knock_asked"]),
    (include_str!("../../../sql/queries/turn/ended.sql"), "'', '', 100", &["turn_pkey", "saga_pkey"]),
    (
        include_str!("../../../sql/queries/saga/list_halted.sql"),
        "'stuck', null, null, 50, null, null",
        &["saga_halted"],
    ),
    (include_str!("../../../sql/queries/journal/load.sql"), "'{}'", &["(id = u.id)"]),
    (
        include_str!("../../../sql/queries/journal/walk.sql"),
        "'00000000-0000-7000-8000-000000000000', 3, 32",
        &["Index Cond: ((id = $1) AND (seq > $2))"],
    ),
    (
        include_str!("../../../sql/queries/journal/sagas.sql"),
        "'00000000-0000-7000-8000-000000000000', null, null, null, 100",
        &["Index Cond: ((id > $"],
    ),
    (
        include_str!("../../../sql/queries/saga/ended.sql"),
        "'{}'",
        &["Index Cond: ((id = u.id)", "Index Cond: (id = u.id)"],
    ),
    (include_str!("../../../sql/queries/timer/fire.sql"), "100", &["Index Cond: (fire_at <= now())", "timer_fire_at"]),
    (include_str!("../../../sql/queries/inbox/drain.sql"), "'{1}', 100", &["AND (n >= "]),
    (include_str!("../../../sql/queries/signal/after.sql"), "'{}', '{}'", &["signal_pkey"]),
    (
        include_str!("../../../sql/queries/sweep/requeue.sql"),
        "1, 1000, 2::smallint, 3, '{1000}', 10000",
        &["saga_lane", "Index Cond: (id = o.id)"],
    ),
    (
        include_str!("../../../sql/queries/sweep/orphaned_lanes.sql"),
        "",
        // The first probe has no lower bound; it reads one row.
        &["saga_lane"],
    ),
];

/// The settings of our sessions that bear on plans, as `store/connect.rs` makes them.
const SETTINGS: &str = "set jit = off; set plan_cache_mode = force_generic_plan; \
                        set enable_seqscan = off; set enable_bitmapscan = off; \
                        set enable_mergejoin = off";

/// Tables that grow.
const LARGE: [&str; 9] = ["saga", "journal", "ready", "timer", "inbox", "signal", "start", "waiting", "turn"];

async fn plan(client: &Client, sql: &str, params: &str) -> String {
    let execute = if params.is_empty() { String::new() } else { format!("({params})") };
    client.batch_execute(&format!("deallocate all; prepare hot as {sql}")).await.unwrap();
    let rows = client.query(&format!("explain execute hot{execute}"), &[]).await.unwrap();
    rows.iter().fold(String::new(), |mut text, row| {
        writeln!(text, "{}", row.get::<_, &str>(0)).unwrap();
        text
    })
}

async fn check(node: &Node, when: &str) {
    let client = node.database.client().await;
    client.batch_execute(SETTINGS).await.unwrap();
    let mut faults = String::new();
    for (sql, params, wanted) in HOT {
        let found = plan(&client, sql, params).await;
        for part in *wanted {
            if !found.contains(part) {
                writeln!(faults, "{when}: expected {part:?} in\n{sql}\n{found}").unwrap();
            }
        }
        for index in named_indexes(sql).filter(|index| !uses(&found, index)) {
            writeln!(faults, "{when}: expected {index}, which the header names, in\n{sql}\n{found}").unwrap();
        }
        for unbounded in unbounded_scans(&found) {
            // A page of the list begins at the newest saga, the first probe for lanes at the lowest.
            let first = unbounded.starts_with("Index Scan Backward") || unbounded.ends_with("saga_lane");
            if !first {
                writeln!(faults, "{when}: {unbounded} without a bound in\n{sql}\n{found}").unwrap();
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

/// The indexes that the header of a statement names: `Index: a, then b; why.`
fn named_indexes(sql: &str) -> impl Iterator<Item = &str> {
    let named = sql.split("Index: ").nth(1).and_then(|rest| rest.split(['.', ';', '\n']).next());
    let words = named.unwrap_or_default().split([',', ' ']);
    words.filter(|word| word.contains('_'))
}

/// Whether a plan uses an index; that of a partitioned table has one for each partition.
fn uses(plan: &str, index: &str) -> bool {
    let (table, key) = index.rsplit_once('_').unwrap();
    let words = plan.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    words.filter_map(|word| word.strip_prefix(table)?.strip_suffix(key)).any(|middle| {
        let partition = middle.strip_prefix('_').and_then(|rest| rest.strip_suffix('_'));
        middle == "_" || partition.is_some_and(|name| name == "default" || name.parse::<u32>().is_ok())
    })
}

#[test]
fn an_index_is_found_by_its_name_and_by_that_of_its_partitions() {
    let plan = "Index Scan using journal_20261116_pkey on journal_20261116 j\n\
                Index Only Scan using saga_lane on saga";
    assert!(uses(plan, "journal_pkey") && uses(plan, "saga_lane"));
    assert!(!uses(plan, "saga_pkey") && !uses(plan, "journal_id") && !uses(plan, "20261116_pkey"));
    let named: Vec<&str> = named_indexes("-- Locks: none. Index: timer_fire_at, then timer_pkey.\nselect 1").collect();
    assert_eq!(named, ["timer_fire_at", "timer_pkey"]);
    assert_eq!(named_indexes("-- Index: none; the table is small.\n").count(), 0);
}

/// Scans of tables that grow, and that have no index condition.
fn unbounded_scans(plan: &str) -> Vec<&str> {
    let lines: Vec<&str> = plan.lines().collect();
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let Some((scan, rest)) = line.trim_start_matches([' ', '-', '>']).split_once(" on ") else {
            continue;
        };
        let table = rest.split([' ', '_']).next().unwrap_or_default();
        let bounded = lines.get(number + 1).is_some_and(|next| next.contains("Index Cond"));
        if scan.contains("Scan") && scan != "CTE Scan" && LARGE.contains(&table) && !bounded {
            found.push(scan);
        }
    }
    found
}

#[test]
fn the_plans_are_made_under_the_settings_of_our_sessions() {
    let sessions = include_str!("../../../src/store/connect.rs");
    for setting in SETTINGS.split("; ") {
        assert!(sessions.contains(setting), "store/connect.rs does not {setting}");
    }
}

#[tokio::test]
async fn hot_statements_use_their_index_on_empty_and_on_full_tables() {
    let node = Node::new().await;
    let client = node.database.client().await;
    client.batch_execute("analyze").await.unwrap();
    check(&node, "statistics of empty tables, empty tables").await;
    client
        .batch_execute(
            "insert into amends.saga (id, definition, status, lane, started_at)
             select amends.uuid7(), 1, case when n % 1000 = 0 then 'stuck' else 'running' end,
                    case when n % 10 = 0 then n % 40 end, now()
             from generate_series(1, 1000000) n;
             insert into amends.timer (id, fire_at)
             select id, now() + interval '1 day' * random() from amends.saga where lane is null;
             insert into amends.ready (definition, id) select 1, id from amends.saga;
             insert into amends.start_queue (definition, id, input)
             select 1, amends.uuid7(), '{}' from generate_series(1, 1000000) n;
             insert into amends.journal (id, seq, lane, at, kind, body)
             select id, 1, 1, now(), 'started', '{}' from amends.saga;
             insert into amends.signal (id, n, at, by, application_name, request)
             select (select id from amends.saga limit 1), n, now(), 'x', 'x', '1' from generate_series(1, 100000) n;
             insert into amends.inbox (lane, id, definition) select n % 40, amends.uuid7(), 1
             from generate_series(1, 100000) n;
             insert into amends.start_key (name, key, id, digest, at)
             select 'bench', n::text, amends.uuid7(), '', now() from generate_series(1, 100000) n",
        )
        .await
        .unwrap();
    check(&node, "statistics of empty tables, full tables").await;
    client.batch_execute("vacuum analyze").await.unwrap();
    check(&node, "statistics of full tables").await;
}

/// A clock function that is not STABLE would make the scan of due timers walk over all that are not due.
#[tokio::test]
async fn firing_reads_only_what_is_due() {
    let node = Node::new().await;
    let client = node.database.client().await;
    client
        .batch_execute(
            "insert into amends.timer (id, fire_at)
             select amends.uuid7(), now() + interval '1 h' - interval '1 h 1 s' * (n % 1000 = 0)::int
             from generate_series(1, 50000) n; analyze amends.timer",
        )
        .await
        .unwrap();
    client.batch_execute(SETTINGS).await.unwrap();
    let sql = include_str!("../../../sql/queries/timer/fire.sql");
    client.batch_execute(&format!("prepare fire as {sql}")).await.unwrap();
    let rows = client.query("explain (analyze, buffers, timing off) execute fire(1000)", &[]).await.unwrap();
    let text: String = rows.iter().map(|row| format!("{}\n", row.get::<_, &str>(0))).collect();
    let scan = text.lines().skip_while(|line| !line.contains("timer_fire_at")).find(|line| line.contains("Buffers"));
    let buffers: u32 = scan
        .and_then(|line| line.split("hit=").nth(1))
        .and_then(|rest| rest.split(' ').next())
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or_else(|| panic!("{text}"));
    assert!(buffers < 120, "{text}");
}
