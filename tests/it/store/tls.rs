//! `sslmode` against a server whose certificate is for `localhost`, from an authority of the tests' own.

use amends::store::{Error, PostgresConfig, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Database, cluster, fixture};

/// Connects with `query` added to the URL, and says whether the session is encrypted.
async fn check(database: &Database, host: &str, query: &str) -> Result<bool, Error> {
    let url = format!("{}?{query}", database.tcp_url(host, cluster().port));
    let store = Store::connect(PostgresConfig::parse(&url)?).await?;
    store.join("one", "test", 1_000).await?;
    let sql = "select s.ssl from pg_stat_ssl s join pg_stat_activity a using (pid) \
               where a.application_name = 'amends' and a.datname = current_database()";
    let rows = database.client().await.query(sql, &[]).await.unwrap();
    Ok(rows.iter().all(|row| row.get(0)) && !rows.is_empty())
}

#[tokio::test]
async fn sslmode_has_the_meaning_that_it_has_everywhere() {
    let authority = format!("sslrootcert={}", fixture("ca.crt").display());
    let own = format!("sslrootcert={}", fixture("server.crt").display());
    let other = format!("sslrootcert={}", fixture("other_ca.crt").display());
    let cases = [
        ("127.0.0.1", "sslmode=disable".to_owned(), Some(false)),
        ("127.0.0.1", String::new(), Some(true)),
        ("127.0.0.1", "sslmode=prefer".to_owned(), Some(true)),
        ("127.0.0.1", "sslmode=require".to_owned(), Some(true)),
        ("127.0.0.1", format!("sslmode=require&{authority}"), Some(true)),
        ("127.0.0.1", format!("sslmode=require&{other}"), None),
        ("127.0.0.1", format!("sslmode=verify-ca&{authority}"), Some(true)),
        ("127.0.0.1", format!("sslmode=verify-ca&{own}"), Some(true)),
        ("127.0.0.1", format!("sslmode=verify-ca&{other}"), None),
        ("127.0.0.1", format!("sslmode=verify-full&{authority}"), None),
        ("localhost", format!("sslmode=verify-full&{authority}"), Some(true)),
        ("localhost", format!("sslmode=verify-full&{own}"), Some(true)),
        ("localhost", format!("sslmode=verify-full&{other}"), None),
    ];
    for (host, query, expected) in cases {
        let database = Database::create().await;
        let found = check(&database, host, &query).await;
        match expected {
            Some(encrypted) => assert_eq!(found.unwrap(), encrypted, "{host} {query}"),
            None => assert!(
                matches!(&found, Err(Error::Unavailable(text)) if text.contains("certificate")),
                "{host} {query}: {found:?}"
            ),
        }
    }
}

#[tokio::test]
async fn a_file_that_is_no_certificate_is_named() {
    for file in ["no_such_file.crt", "server.key"] {
        let url = format!("postgres://h/d?sslmode=verify-ca&sslrootcert={}", fixture(file).display());
        let error = PostgresConfig::parse(&url).unwrap_err().to_string();
        assert!(error.contains(file), "{error}");
    }
}

#[tokio::test]
async fn require_does_without_no_server_that_has_no_tls() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            client.read_exact(&mut [0; 8]).await.ok();
            client.write_all(b"N").await.ok();
        }
    });
    for mode in ["require", "verify-ca", "verify-full"] {
        let url = format!("postgres://u@127.0.0.1:{port}/d?sslmode={mode}");
        let error = Store::connect(PostgresConfig::parse(&url).unwrap()).await.unwrap_err();
        assert!(matches!(&error, Error::Unavailable(text) if text.contains("TLS")), "{error}");
    }
}
