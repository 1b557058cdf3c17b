//! The agents' door, over the wire: real nodes, a ledger that counts effects, and clients that retry.

mod agent;
mod approvals;
mod auth;
mod calls;
mod checkout;
mod clients;
mod conformance;
mod flood_variants;
mod floods;
mod fuzz;
mod home;
mod issuer;
mod malformed;
mod nodes;
mod ownership;
mod people;
mod rounds;
mod stdio;
mod tasks;
mod tools;
mod who_calls;
