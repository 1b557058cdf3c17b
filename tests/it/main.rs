//! The one integration binary: real Postgres, real participants in other processes.

mod demo_cluster;
mod demo_participant;
mod tidy;
