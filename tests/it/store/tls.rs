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

/// A server that refuses TLS and asks for the password in cleartext. Returns its port, and what it was told after it
/// had asked.
async fn asks_for_the_password() -> (u16, std::sync::Arc<std::sync::Mutex<Vec<u8>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = std::sync::Arc::clone(&told);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut first = [0; 8];
            client.read_exact(&mut first).await.ok();
            if first == [0, 0, 0, 8, 4, 210, 22, 47] {
                client.write_all(b"N").await.ok();
            }
            // The rest of the startup message, then the question.
            let mut buffer = [0; 4_096];
            if client.read(&mut buffer).await.unwrap_or(0) == 0 {
                continue;
            }
            client.write_all(&[b'R', 0, 0, 0, 8, 0]).await.ok();
            client.write_all(&[0, 0, 3]).await.ok();
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).await.ok();
            heard.lock().unwrap().extend(rest);
        }
    });
    (port, told)
}

#[tokio::test]
async fn a_server_that_nobody_has_verified_is_not_sent_the_password() {
    for query in ["", "?sslmode=prefer", "?sslmode=disable"] {
        for host in ["127.0.0.1", "localhost"] {
            let (port, told) = asks_for_the_password().await;
            let url = format!("postgres://u:hunter2-of-mine@{host}:{port}/d{query}");
            let error = Store::connect(PostgresConfig::parse(&url).unwrap()).await.unwrap_err().to_string();
            assert!(error.contains("password in cleartext") && error.contains("scram-sha-256"), "{query}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
            assert!(!String::from_utf8_lossy(&told.lock().unwrap()).contains("hunter2"), "{host} {query}");
        }
    }
    // With TLS demanded, not even the name of the user is sent.
    let (port, told) = asks_for_the_password().await;
    let url = format!("host=db.example.com,127.0.0.1 hostaddr=127.0.0.1,127.0.0.1 port={port} user=u password=hunter2");
    let authority = fixture("ca.crt").display().to_string();
    let config = PostgresConfig::parse(&format!("{url} sslmode=verify-full sslrootcert={authority}")).unwrap();
    let error = Store::connect(config).await.unwrap_err().to_string();
    assert!(error.contains("TLS") && !String::from_utf8_lossy(&told.lock().unwrap()).contains("hunter2"), "{error}");
}

/// SCRAM proves the password without sending it, and a verified server may ask for it.
#[tokio::test]
async fn a_password_works_where_it_is_safe() {
    let database = Database::create().await;
    let role = format!("{}_scram", database.name);
    let client = database.client().await;
    client.batch_execute(&format!("create role {role} login password 'hunter2'")).await.unwrap();
    let url = database.tcp_url("localhost", cluster().port).replace("postgres@", &format!("{role}:hunter2@"));
    let authority = fixture("ca.crt").display().to_string();
    for query in ["sslmode=disable".to_owned(), format!("sslmode=verify-full&sslrootcert={authority}")] {
        let config = PostgresConfig::parse(&format!("{url}?{query}")).unwrap();
        Store::connect(config).await.unwrap_or_else(|error| panic!("{query}: {error}"));
    }
}

/// Every connection goes through the same door: `doctor` says what it is.
#[tokio::test]
async fn doctor_says_how_the_connection_is_protected() {
    let database = Database::create().await;
    let authority = format!("sslmode=verify-full&sslrootcert={}", fixture("ca.crt").display());
    for (host, query, found) in [
        ("localhost", authority.as_str(), ", the server is verified"),
        ("localhost", "sslmode=prefer", " on this machine, the server is not verified"),
        ("127.0.0.1", "sslmode=disable", "not encrypted, on this machine"),
    ] {
        let url = format!("{}?{query}", database.tcp_url(host, cluster().port));
        let store = Store::connect(PostgresConfig::parse(&url).unwrap()).await.unwrap();
        let finding = store.protection().await.unwrap();
        assert_eq!((finding.subject.as_str(), finding.level.as_str()), ("connection", "ok"));
        assert!(finding.found.ends_with(found), "{finding:?}");
    }
    let store = database.store().await;
    assert_eq!(store.protection().await.unwrap().found, "a Unix socket of this machine");
}
