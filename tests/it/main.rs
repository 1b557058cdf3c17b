//! The one integration binary: real Postgres, real participants in other processes.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands, in its functions too")]

mod admin;
mod barrier;
mod bench;
mod bounds;
mod canary;
mod catalog;
mod catalog_files;
mod catalog_fuzz;
mod chaos;
mod cli;
mod crash;
mod demo;
mod demo_definition;
mod demo_participant;
mod edge;
mod embedded;
mod failover;
mod faults;
mod fuzz;
mod grafana;
mod harness;
mod http;
mod mcp;
mod model;
mod no_room;
mod outbox;
mod participant;
mod poison;
mod pooler;
mod proxy;
mod readme;
mod runtime;
mod scenarios;
mod serve;
mod spans;
mod store;
mod strangers;
mod supply;
mod tidy;
mod traces;
mod turns;
mod upgrade;
mod waiting;
mod within;
