//! `cargo fuzz run expression`: see `fuzz/entries.rs`.
#![no_main]

#[path = "../entries.rs"]
#[allow(dead_code)]
mod entries;
#[path = "../seeds.rs"]
mod seeds;

libfuzzer_sys::fuzz_target!(init: seeds::sow("expression", &entries::corpus("expression")), |bytes: &[u8]| entries::expression(bytes));
