//! The views stay fast when the tables are large: each is answered by index, whatever it is asked.

use super::ask;
use crate::harness::Database;

const FILL: &str = "
    insert into amends.definition (digest, name, draft) values ('d', 'checkout', '{\"steps\":[]}');
    insert into amends.saga (id, definition, status, started_at, attention)
    select amends.uuid7(), 1, case when n % 1000 = 0 then 'stuck' else 'running' end, now(),
           case when n % 1000 = 0 then '[]' end
    from generate_series(1, 60000) n;
    insert into amends.saga_done (id, definition, status, signals, started_at, ended_at)
    select amends.uuid7(), 1, 'completed', 0, now(), now() + n % 3 * interval '1 day' from generate_series(1, 60000) n;
    insert into amends.timer select id, now() + random() * interval '1 day' from amends.saga;
    insert into amends.ready (definition, id) select 1, id from amends.saga;
    insert into amends.start_queue (definition, id, input)
    select 1, amends.uuid7(), '{}' from generate_series(1, 60000) n;
    insert into amends.signal (id, n, at, by, application_name, request)
    select id, 1, now(), 'somebody', '', '{\"pause\":{}}' from amends.saga;
    insert into amends.passage select date_trunc('minute', now()) - n * interval '1 min', 1, 1, 1, 1, 0, 0, 0
    from generate_series(1, 20000) n;
    analyze";

#[tokio::test]
async fn each_view_is_answered_by_index() {
    let database = Database::create().await;
    ask(&database.url, FILL).await;
    let one = "saga = '01900000-0000-7000-8000-000000000000'";
    for (query, index) in [
        ("select * from amends.stuck".to_owned(), "saga_attention"),
        ("select * from amends.in_doubt".to_owned(), "saga_attention"),
        ("select * from amends.sagas order by saga desc limit 50".to_owned(), "saga_pkey"),
        ("select * from amends.sagas where status = 'stuck' order by saga limit 50".to_owned(), "saga_halted"),
        (format!("select * from amends.sagas where {one}"), "saga_pkey"),
        (format!("select * from amends.steps where {one}"), "saga_pkey"),
        (format!("select * from amends.timeline where {one}"), "saga_pkey"),
        (format!("select * from amends.signals where {one}"), "signal_pkey"),
        ("select * from amends.timers order by fires_at limit 50".to_owned(), "timer_fire_at"),
        ("select * from amends.backlog".to_owned(), "ready_pkey"),
        ("select * from amends.throughput where minute > now() - interval '1 h'".to_owned(), "passage_minute"),
    ] {
        let plan = ask(&database.url, &format!("explain {query}")).await;
        assert!(plan.contains(index), "{query}: {index} is not in\n{plan}");
        // Empty partitions may be read in whole.
        for table in ["saga g", "timer t", "passage p", "ready r", "start_queue s", "signal s"] {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{query}\n{plan}");
        }
    }
}
