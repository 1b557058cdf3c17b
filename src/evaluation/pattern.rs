//! The patterns of `matches` and of JSON Schemas. A pattern never backtracks, and its time is known before it is spent:
//! the automaton that reads each byte once is free of charge for its size, and what it cannot read is paid for by the
//! length of the text times the size of the compiled pattern.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};

use regex_automata::Input;
use regex_automata::hybrid::dfa::{self, DFA};
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::nfa::thompson::{self, WhichCaptures};

use crate::config::participant::{
    DATA_PATTERN_BYTES_MAX, DATA_PATTERN_TEXT_BYTES_MAX, EXPRESSION_BYTES_MAX, PATTERN_BYTES_MAX, PATTERNS_CACHED_MAX,
};

/// Where a pattern comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It is written in the definition.
    Definition,
    /// An expression computes it: the input or an answer may bring it.
    Data,
}

impl Origin {
    fn bytes_max(self) -> usize {
        match self {
            Self::Definition => PATTERN_BYTES_MAX,
            Self::Data => DATA_PATTERN_BYTES_MAX,
        }
    }

    fn text_bytes_max(self) -> usize {
        match self {
            Self::Definition => EXPRESSION_BYTES_MAX,
            Self::Data => DATA_PATTERN_TEXT_BYTES_MAX,
        }
    }

    fn cache(self) -> &'static Cache {
        match self {
            Self::Definition => &DEFINITIONS,
            Self::Data => &DATA,
        }
    }
}

type Cache = RwLock<HashMap<String, Arc<Pattern>>>;

/// Compiled patterns: a loop uses the same pattern many times. Those of definitions stay, whatever data brings.
static DEFINITIONS: LazyLock<Cache> = LazyLock::new(RwLock::default);
static DATA: LazyLock<Cache> = LazyLock::new(RwLock::default);

/// Units of work for compiling a pattern, whatever its length.
const COMPILE_UNITS: i64 = 1_000;
/// Units of work for each byte of a pattern's text: one byte can stand for a class of a hundred thousand characters.
const COMPILE_UNITS_OF_BYTE: i64 = 100;
/// States of a compiled pattern that are visited for one unit of work.
const VISITS_OF_UNIT: usize = 4;
/// Bytes that the automaton reads for one unit of work.
const BYTES_OF_UNIT: usize = 16;

/// A compiled pattern.
pub(crate) struct Pattern {
    dfa: DFA,
    /// The states that the automaton has met, kept for the next text.
    met: Mutex<Option<dfa::Cache>>,
    /// Reads what the automaton cannot: Unicode's word boundaries in a text that is not ASCII, and patterns with too
    /// many states.
    vm: PikeVM,
}

impl Pattern {
    /// Returns the compiled pattern. Pays for the compilation, unless the pattern was compiled before.
    pub(crate) fn compiled<E>(
        text: &str,
        origin: Origin,
        pay: impl FnOnce(i64) -> Result<(), E>,
        wrong: impl FnOnce(String) -> E,
    ) -> Result<Arc<Self>, E> {
        let cache = origin.cache();
        if let Some(known) = cache.read().unwrap_or_else(PoisonError::into_inner).get(text) {
            return Ok(Arc::clone(known));
        }
        let most = origin.text_bytes_max();
        if text.len() > most {
            return Err(wrong(format!("expected a pattern of at most {most} bytes, found {}", text.len())));
        }
        pay(COMPILE_UNITS + COMPILE_UNITS_OF_BYTE.saturating_mul(i64::try_from(text.len()).unwrap_or(i64::MAX)))?;
        let fresh = Arc::new(Self::compile(text, origin.bytes_max()).map_err(wrong)?);
        let mut known = cache.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= PATTERNS_CACHED_MAX {
            known.clear();
        }
        known.insert(text.to_owned(), Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Compiles a pattern to at most this size, free of charge.
    pub(crate) fn compile(text: &str, bytes_max: usize) -> Result<Self, String> {
        let config = thompson::Config::new().nfa_size_limit(Some(bytes_max)).which_captures(WhichCaptures::None);
        let nfa = thompson::Compiler::new().configure(config).build(text).map_err(|error| {
            let cause = error.source().map(ToString::to_string);
            cause.unwrap_or_else(|| format!("the pattern is too large: {error}"))
        })?;
        // The automaton gives up when its states do not fit, so that building them stays cheap.
        let config = dfa::Config::new()
            .unicode_word_boundary(true)
            .cache_capacity(PATTERN_BYTES_MAX)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(1));
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa.clone()).map_err(|error| error.to_string())?;
        let vm = PikeVM::new_from_nfa(nfa).map_err(|error| error.to_string())?;
        Ok(Self { dfa, met: Mutex::default(), vm })
    }

    /// Whether the pattern is found in a text. Pays for each way of reading before it takes it.
    pub(crate) fn is_match<E>(&self, text: &str, mut pay: impl FnMut(i64) -> Result<(), E>) -> Result<bool, E> {
        pay(units(text.len() / BYTES_OF_UNIT))?;
        let kept = self.met.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut met = kept.unwrap_or_else(|| self.dfa.create_cache());
        let read = self.dfa.try_search_fwd(&mut met, &Input::new(text).earliest(true));
        if read.is_err() {
            met.reset(&self.dfa);
        }
        *self.met.lock().unwrap_or_else(PoisonError::into_inner) = Some(met);
        match read {
            Ok(found) => Ok(found.is_some()),
            Err(_) => {
                let states = self.vm.get_nfa().states().len();
                pay(units(text.len().saturating_mul(states) / VISITS_OF_UNIT))?;
                Ok(self.vm.is_match(&mut self.vm.create_cache(), text))
            }
        }
    }
}

fn units(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str, origin: Origin) -> Result<Arc<Pattern>, String> {
        Pattern::compiled(text, origin, |_| Ok(()), |why| why)
    }

    /// What a match pays, and whether it is one.
    fn paid(pattern: &Pattern, text: &str) -> (i64, bool) {
        let mut paid = 0;
        let found = pattern.is_match(text, |units| {
            paid += units;
            Ok::<(), ()>(())
        });
        (paid, found.unwrap())
    }

    /// The crate whose syntax definitions are written in is the oracle.
    #[test]
    fn it_finds_what_the_regex_crate_finds() {
        let texts = ["", "a", "Ada", "a b", "é", "xé b", "ab\nc", "aaaaaaaaaab", "日本 a", "A1_é-2"];
        let patterns = [
            "",
            "^a",
            "a$",
            r"\bb\b",
            r"(?i)ADA",
            r"^\w+$",
            "[^a]",
            "(a|b)*c",
            "é",
            r"\s",
            ".",
            r"^\pL+\d?",
            "a{3,9}b",
        ];
        for (pattern_text, text) in patterns.iter().flat_map(|one| texts.iter().map(move |text| (one, text))) {
            let expected = regex::Regex::new(pattern_text).unwrap().is_match(text);
            let pattern = pattern(pattern_text, Origin::Definition).unwrap();
            assert_eq!(paid(&pattern, text).1, expected, "{pattern_text:?} in {text:?}");
            assert_eq!(paid(&pattern, text).1, expected, "{pattern_text:?} in {text:?}, again");
        }
    }

    #[test]
    fn a_match_pays_for_the_way_in_which_it_reads() {
        let plain = pattern("^[a-z]+$", Origin::Definition).unwrap();
        let (units, found) = paid(&plain, &"a".repeat(64_000));
        assert!(found && units < 5_000, "{units}");
        let heavy = pattern(r"(?:[aé]?\b?){60}[x-z]$", Origin::Definition).unwrap();
        let mut paid = 0;
        let refused = heavy.is_match(&"aé".repeat(85_000), |units| {
            paid += units;
            if paid > 2_000_000 { Err(paid) } else { Ok(()) }
        });
        assert!(refused.is_err_and(|units| units > 10_000_000), "it is refused before it is read: {refused:?}");
        // The number of states of this one doubles with each position; the automaton gives up.
        let wide = pattern("(?:a|b)*a(?:a|b){14}c", Origin::Definition).unwrap();
        let text: String = (0..60_000_u32).map(|n| if n.wrapping_mul(n) % 7 < 3 { 'a' } else { 'b' }).collect();
        assert!(!self::paid(&wide, &text).1);
    }

    #[test]
    fn a_pattern_from_data_is_small() {
        for (text, why) in [
            ("a".repeat(DATA_PATTERN_TEXT_BYTES_MAX + 1), "at most 256 bytes"),
            (r"\pL{40}".to_owned(), "too large"),
            ("(".to_owned(), "unclosed"),
        ] {
            let error = pattern(&text, Origin::Data).map(drop).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(pattern(r"^[A-Z]{2}\d{4}$", Origin::Data).is_ok());
        let long = "a".repeat(DATA_PATTERN_TEXT_BYTES_MAX + 1);
        assert!(pattern(&long, Origin::Definition).is_ok());
    }
}
