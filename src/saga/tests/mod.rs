//! The proof of the law, in three kinds. Tables say by example what follows from what (`forward`, `doubt`,
//! `backward`, `pivot`, `requests`, `rerun`, `open`, `lost`, `validation`, `scenarios`); `properties` tries random
//! sagas against a model of the world that knows the truth; `explore` tries all small ones. `notation` is the
//! language in which all three speak.

mod explore;
mod fingerprint;
mod home;
mod invariants;
mod law1;
mod ledger;
mod moves;
mod notation;
mod properties;
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
mod validation;
