//! Bytes from outside, made of good ones by chance: the entries of `fuzz/`, driven by a seeded mutator on any
//! toolchain. Owns the mutations; what is done to a node's own doors is in `mcp/fuzz`. `AMENDS_FUZZ_CASES` and
//! `AMENDS_FUZZ_SEED` make a run longer, or the same again.

#[path = "../../fuzz/entries.rs"]
mod entries;

use std::panic::catch_unwind;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// What means something to one of the readers.
const WORDS: &[&str] = &[
    "null",
    "true",
    "-1",
    "0",
    "18446744073709551615",
    "1e999",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "\\u0000",
    ",",
    ":",
    "\n",
    "\r\n",
    "${",
    "(",
    ")",
    "?",
    ".map(x, x)",
    ".matches('(a*)*')",
    "'",
    "step",
    "at",
    "attempt",
    "4294967295",
    "<<: *a",
    "&a ",
    "- ",
    "\u{202e}",
    "content-length: 99999999999\r\n",
    "HTTP/1.1 999 \r\n",
    "data: ",
    "succeeded",
    "compensation",
];

/// A good input with some damage.
pub(crate) fn damaged(corpus: &[Vec<u8>], chance: &mut StdRng) -> Vec<u8> {
    let mut bytes = corpus[chance.random_range(0..corpus.len())].clone();
    for _ in 0..chance.random_range(1..6) {
        let at = chance.random_range(0..=bytes.len());
        let end = (at + chance.random_range(0..24)).min(bytes.len());
        match chance.random_range(0..7) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let part = bytes[at..end].to_vec();
                let times = 1 + chance.random_range(0..3_usize).pow(5);
                bytes.splice(at..at, part.repeat(times));
            }
            2 => {
                let word = WORDS[chance.random_range(0..WORDS.len())];
                bytes.splice(at..end, word.bytes());
            }
            3 if at < bytes.len() => bytes[at] ^= 1 << chance.random_range(0..8),
            4 if at < bytes.len() => bytes[at] = chance.random_range(b' '..=b'~'),
            5 => {
                // Lines change places: rows of a journal come in another order.
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let mut lines: Vec<&str> = text.split('\n').collect();
                let (one, other) = (chance.random_range(0..lines.len()), chance.random_range(0..lines.len()));
                lines.swap(one, other);
                bytes = lines.join("\n").into_bytes();
            }
            _ => {
                let other = &corpus[chance.random_range(0..corpus.len())];
                let from = chance.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
        bytes.truncate(64 << 10);
    }
    bytes
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// How many cases a run has, unless somebody asks for more, and its seed.
pub(crate) fn run(cases: u64) -> (u64, u64) {
    let seed = number("AMENDS_FUZZ_SEED").unwrap_or_else(rand::random);
    (number("AMENDS_FUZZ_CASES").unwrap_or(cases), seed)
}

fn check(name: &str, cases: u64, entry: fn(&[u8])) {
    let (cases, seed) = run(cases);
    let corpus = entries::corpus(name);
    corpus.iter().for_each(|bytes| entry(bytes));
    let mut chance = StdRng::seed_from_u64(seed);
    for case in 0..cases {
        let bytes = damaged(&corpus, &mut chance);
        if let Err(panic) = catch_unwind(|| entry(&bytes)) {
            eprintln!("{name}, seed {seed}, case {case}: {:?}", String::from_utf8_lossy(&bytes));
            std::panic::resume_unwind(panic);
        }
    }
    println!("{name}: {cases} cases, seed {seed}");
}

#[test]
fn files() {
    check("yaml", 400, entries::yaml);
}

#[test]
fn expressions() {
    check("expression", 1_000, entries::expression);
}

#[test]
fn journals() {
    check("journal", 5_000, entries::journal);
}

#[test]
fn answers() {
    check("answer", 60, entries::answer);
}

/// What is mutated is good to begin with: every row can be read, and the first ones fit.
#[test]
fn the_corpus_is_sound() {
    let definition = entries::definition();
    for text in entries::corpus("journal") {
        let text = String::from_utf8(text).unwrap();
        let row = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let events: Vec<amends::saga::event::Event> = text.lines().map(row).collect();
        amends::saga::replay(&definition, &events[..2]).unwrap_or_else(|illegal| panic!("{illegal}\n{text}"));
    }
}
