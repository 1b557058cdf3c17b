//! The one integration binary: real Postgres, a database per test.

mod harness;
mod proxy;
mod store;
