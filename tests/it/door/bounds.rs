//! Arguments of the functions that make and drop partitions: the present stays, for each argument and each caller.

use super::login;
use crate::admin::{ask, psql};
use crate::harness::Database;

const PARTITIONS: &str = "select count(*) from pg_class
    where relnamespace = 'amends'::regnamespace and relkind = 'r' and relispartition";

#[tokio::test]
async fn no_argument_of_expire_drops_the_present_or_makes_partitions_without_end() {
    let database = Database::create().await;
    let before = ask(&database.url, PARTITIONS).await;
    let runtime = login(&database, "runtime", "amends_runtime").await;
    let refused = [
        "expire(-1)",
        "expire(0)",
        "expire(1)",
        "expire(86399999)",
        "expire(315360000001)",
        "expire(9223372036854775807)",
        "expire(-9223372036854775808)",
        "expire(null)",
        "ensure_partitions(-1, 7)",
        "ensure_partitions(4, -1)",
        "ensure_partitions(61, 7)",
        "ensure_partitions(4, 61)",
        "ensure_partitions(2147483647, 2147483647)",
        "ensure_partitions(null, 7)",
        "ensure_partitions(4, null)",
        "erase_expired(0)",
        "erase_expired(-5)",
        "erase_expired(1001)",
        "erase_expired(null)",
    ];
    for url in [&database.url, &runtime] {
        for call in refused {
            let said = psql(url, &format!("select amends.{call}")).await;
            assert!(!said.ok && said.errors.contains("AM005") && said.errors.contains("found"), "{call}: {said:?}");
        }
        for call in ["expire('infinity')", "expire('NaN'::float8::bigint)", "ensure_partitions('infinity', 7)"] {
            assert!(!psql(url, &format!("select amends.{call}")).await.ok, "{call}");
        }
        // What is legal leaves the present, too, whatever definitions a node has made up.
        let forged = "insert into amends.definition (digest, name, draft)
                      values (gen_random_uuid()::text, 'forged', '{\"retention_ms\":-9223372036854775808}'),
                             (gen_random_uuid()::text, 'forged', '{\"retention_ms\":1e400}'),
                             (gen_random_uuid()::text, 'forged', 'not even JSON')";
        ask(url, forged).await;
        ask(url, "select amends.expire(86400000), amends.erase_expired(1000)").await;
        assert_eq!(ask(&database.url, PARTITIONS).await, before);
    }
    for role in ["", "amends_observer", "amends_viewer", "amends_producer", "amends_operator"] {
        let url = login(&database, &format!("door_{role}"), role).await;
        for call in ["expire(86400000)", "ensure_partitions(4, 7)", "erase_expired(10)"] {
            let said = psql(&url, &format!("select amends.{call}")).await;
            assert!(said.errors.contains("42501"), "{role} {call}: {said:?}");
        }
    }
    assert_eq!(ask(&database.url, PARTITIONS).await, before);
    assert_eq!(ask(&runtime, "select amends.ensure_partitions(60, 60) > 0").await, "t");
}
