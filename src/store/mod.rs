//! Records: the only room that names tokio_postgres or includes `sql/`. Owns connections, migrations, the
//! fenced batch, claims, timers, signals and sweeps; it never decides a phase.
