//! The demo's faults: which call of which tool goes wrong, and how. Owns the draw, which depends on nothing
//! but the seed, the tool, the booking and the number of the call; carrying a fault out is left to `desk.rs`
//! and `server.rs`.

use sha2::{Digest, Sha256};

/// A way for a call to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// Refused for good before any effect: a business rule.
    Refused,
    /// Refused for now before any effect; the key is not used up.
    Busy,
    /// The refusal is stored under the key and replayed for ever: only a new key helps.
    CachedError,
    /// Nothing happens, and the answer says so in the text of a success.
    FailureAsText,
    /// The effect is made, and its answer never arrives.
    LostAnswer,
    /// The effect is made, and the participant's process exits before it answers.
    Crash,
    /// The effect is made after the caller's time-out, even if the call was cancelled.
    Slow,
    /// The first two calls are refused; for compensations.
    FailsTwice,
}

impl Fault {
    /// All of them, in the order in which they are shown.
    pub(super) const ALL: [Self; 8] = [
        Self::Refused,
        Self::Busy,
        Self::CachedError,
        Self::FailureAsText,
        Self::LostAnswer,
        Self::Crash,
        Self::Slow,
        Self::FailsTwice,
    ];

    /// Returns the word used in the ledger.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Busy => "busy",
            Self::CachedError => "cached_error",
            Self::FailureAsText => "failure_as_text",
            Self::LostAnswer => "lost_answer",
            Self::Crash => "crash",
            Self::Slow => "slow",
            Self::FailsTwice => "fails_twice",
        }
    }

    /// Returns the words for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Refused => "refused before the effect",
            Self::Busy => "busy, nothing done",
            Self::CachedError => "error replayed under its key",
            Self::FailureAsText => "failure reported as success",
            Self::LostAnswer => "effect made, answer lost",
            Self::Crash => "effect made, participant crashed",
            Self::Slow => "effect made after the time-out",
            Self::FailsTwice => "compensation failing twice",
        }
    }

    /// Whether a call that replays the answer to an earlier one can go wrong in this way: only its answer can get lost.
    pub(super) fn fits_replay(self) -> bool {
        match self {
            Self::LostAnswer | Self::Crash => true,
            Self::Refused
            | Self::Busy
            | Self::CachedError
            | Self::FailureAsText
            | Self::Slow
            | Self::FailsTwice => false,
        }
    }
}

impl std::str::FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|fault| fault.as_str() == text).ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|fault| fault.as_str()).collect();
            format!("expected one of {}, found {text:?}", words.join(", "))
        })
    }
}

/// The faults of one run. Two runs with the same seed and the same calls have the same faults, whichever process makes
/// or serves a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FaultPlan {
    /// Seed of the run.
    pub(super) seed: u64,
    /// Share of calls that go wrong, 0 to 1.
    pub(super) rate: f64,
    /// The only kinds that may be drawn; empty means all.
    pub(super) only: Vec<Fault>,
}

impl FaultPlan {
    /// Draws what goes wrong with the `call`th call (from 1) of `tool` for `booking`, out of the tool's `menu`.
    pub(super) fn draw(&self, tool: &str, booking: &str, call: u32, menu: &[Fault]) -> Option<Fault> {
        if call == 2 && self.draw_once(tool, booking, 1, menu) == Some(Fault::FailsTwice) {
            return Some(Fault::FailsTwice);
        }
        self.draw_once(tool, booking, call, menu).filter(|fault| match fault {
            // A rule of the business does not change its mind, and a series of two starts with the first call.
            Fault::Refused | Fault::FailureAsText | Fault::FailsTwice => call == 1,
            Fault::Busy | Fault::CachedError | Fault::LostAnswer | Fault::Crash | Fault::Slow => true,
        })
    }

    fn draw_once(&self, tool: &str, booking: &str, call: u32, menu: &[Fault]) -> Option<Fault> {
        let menu: Vec<_> =
            menu.iter().copied().filter(|fault| self.only.is_empty() || self.only.contains(fault)).collect();
        if menu.is_empty() {
            return None;
        }
        // What follows an `@` tells runs apart, and shall not change what befalls them.
        let booking = booking.split_once('@').map_or(booking, |(name, _run)| name);
        let mut digest = Sha256::new();
        digest.update(self.seed.to_be_bytes());
        digest.update(call.to_be_bytes());
        digest.update(tool.as_bytes());
        digest.update([0]);
        digest.update(booking.as_bytes());
        let digest = digest.finalize();
        let word =
            |at: usize| digest[at..at + 8].iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        // 53 bits: every such integer is a double of its own.
        let chance = (word(0) >> 11) as f64 / (1u64 << 53) as f64;
        let pick = word(8) % menu.len() as u64;
        (chance < self.rate).then(|| menu[pick as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seed: u64, rate: f64) -> FaultPlan {
        FaultPlan { seed, rate, only: Vec::new() }
    }

    fn drawn(plan: &FaultPlan, menu: &[Fault]) -> Vec<Option<Fault>> {
        (0..4_000).map(|n| plan.draw("create_charge", &format!("B-{n}"), 1, menu)).collect()
    }

    #[test]
    fn same_seed_same_faults_and_other_seed_others() {
        let faults = drawn(&plan(7, 0.1), &Fault::ALL);
        assert_eq!(faults, drawn(&plan(7, 0.1), &Fault::ALL));
        assert_ne!(faults, drawn(&plan(8, 0.1), &Fault::ALL));
    }

    #[test]
    fn the_rate_is_kept_and_every_kind_is_drawn() {
        let faults = drawn(&plan(1, 0.1), &Fault::ALL);
        let count = faults.iter().flatten().count();
        assert!((300..500).contains(&count), "expected about 400 of 4000, found {count}");
        for fault in Fault::ALL {
            assert!(faults.contains(&Some(fault)), "{fault:?} was never drawn");
        }
        assert_eq!(drawn(&plan(1, 0.0), &Fault::ALL).iter().flatten().count(), 0);
        assert_eq!(drawn(&plan(1, 1.0), &Fault::ALL).iter().flatten().count(), 4_000);
    }

    #[test]
    fn a_series_of_two_is_two_calls_long() {
        let plan = plan(3, 0.3);
        let menu = [Fault::FailsTwice];
        let mut series = 0;
        for n in 0..200 {
            let booking = format!("B-{n}");
            let draws: Vec<_> =
                (1..=5).map(|call| plan.draw("refund_charge", &booking, call, &menu)).collect();
            assert_eq!(draws[0], draws[1], "{booking}");
            assert_eq!(draws[2..], [None, None, None], "{booking}");
            series += usize::from(draws[0].is_some());
        }
        assert!((30..90).contains(&series), "{series}");
    }

    #[test]
    fn only_the_kinds_asked_for() {
        let plan = FaultPlan { only: vec![Fault::Slow], ..plan(1, 1.0) };
        assert!(drawn(&plan, &Fault::ALL).iter().all(|fault| *fault == Some(Fault::Slow)));
        assert_eq!(plan.draw("find_charge", "B-1", 1, &[Fault::Busy]), None);
    }

    #[test]
    fn runs_of_one_seed_have_the_same_faults() {
        let plan = plan(1, 0.5);
        for n in 0..50 {
            let draw = |run: &str| plan.draw("create_charge", &format!("B-{n}{run}"), 1, &Fault::ALL);
            assert_eq!(draw("@first"), draw("@second"));
            assert_eq!(draw("@first"), draw(""));
        }
    }

    #[test]
    fn words_read_back() {
        for fault in Fault::ALL {
            assert_eq!(fault.as_str().parse(), Ok(fault));
        }
        assert!("other".parse::<Fault>().is_err());
    }
}
