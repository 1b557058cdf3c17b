//! `cargo fuzz run answer`: see `fuzz/entries.rs`.
#![no_main]

#[path = "../entries.rs"]
#[allow(dead_code)]
mod entries;
#[path = "../seeds.rs"]
mod seeds;

libfuzzer_sys::fuzz_target!(init: seeds::sow("answer", &entries::corpus("answer")), |bytes: &[u8]| entries::answer(bytes));
