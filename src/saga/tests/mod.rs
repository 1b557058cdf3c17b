//! Proves the law in three ways. Example tables check single histories (`forward`, `doubt`, `errors`, `backward`,
//! `pivot`, `requests`, `rerun`, `approvals`, `open`, `lost`, `law1`, `trust`, `validation`, `scenarios`).
//! `properties` runs random sagas against a model of the world that knows the truth. `explore` runs all small sagas
//! against the same model. All use the language of `notation` and `story`. `frozen` checks that recorded journals
//! fold as before. `schema` checks what an input is held against.

mod explore;
mod fingerprint;
mod home;
mod invariants;
mod law1;
mod ledger;
mod moves;
mod notation;
mod properties;
mod steps;
mod story;
mod trust;
mod world;

mod approvals;
mod backward;
mod doubt;
mod errors;
mod forward;
mod frozen;
mod lost;
mod open;
mod pivot;
mod requests;
mod rerun;
mod scenarios;
mod schema;
mod validation;
