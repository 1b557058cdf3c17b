//! `cargo fuzz run journal`: see `fuzz/entries.rs`.
#![no_main]

#[path = "../entries.rs"]
#[allow(dead_code)]
mod entries;
#[path = "../seeds.rs"]
mod seeds;

libfuzzer_sys::fuzz_target!(init: seeds::sow("journal", &entries::corpus("journal")), |bytes: &[u8]| entries::journal(bytes));
