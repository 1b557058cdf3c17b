//! `cargo fuzz run yaml`: see `fuzz/entries.rs`.
#![no_main]

#[path = "../entries.rs"]
#[allow(dead_code)]
mod entries;
#[path = "../seeds.rs"]
mod seeds;

libfuzzer_sys::fuzz_target!(init: seeds::sow("yaml", &entries::corpus("yaml")), |bytes: &[u8]| entries::yaml(bytes));
