//! The embedded default: finds installed Postgres binaries and runs a private, durable cluster.
