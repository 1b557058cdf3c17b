//! The demo's faults: which call of which tool fails, and how. Owns the draw, which depends only on the seed, the
//! tool, the booking and the number of the call. `service.rs` and `server.rs` carry faults out.

use sha2::{Digest, Sha256};

/// A way for a call to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The call is refused for good before any effect: a business rule.
    Refused,
    /// The call is refused for now before any effect; its key can be used again.
    Busy,
    /// The refusal is stored under the key and replayed for ever: only a new key helps.
    CachedError,
    /// The call has no effect, and the text of a success says so.
    FailureAsText,
    /// The effect is made, and its answer never arrives.
    LostAnswer,
    /// The effect is made, and the participant's process exits before it answers.
    Crash,
    /// The effect is made after the caller's time-out, even if the call was cancelled.
    Slow,
    /// The first two calls are refused; for compensations.
    FailsTwice,
    /// The effect is made, and the answer is an error of the tool.
    ErrorAfter,
    /// The effect is made, and the answer is an HTTP 503.
    UnavailableAfter,
    /// The effect is made, and the answer is an HTTP 409 that ends after a few bytes.
    ConflictCut,
    /// The call is accepted, and its effect is made later.
    Accepted,
}

impl Fault {
    /// All faults, in the order of the report.
    pub(super) const ALL: [Self; 12] = [
        Self::Refused,
        Self::Busy,
        Self::CachedError,
        Self::FailureAsText,
        Self::LostAnswer,
        Self::Crash,
        Self::Slow,
        Self::FailsTwice,
        Self::ErrorAfter,
        Self::UnavailableAfter,
        Self::ConflictCut,
        Self::Accepted,
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
            Self::ErrorAfter => "error_after_effect",
            Self::UnavailableAfter => "unavailable_after_effect",
            Self::ConflictCut => "conflict_cut_off",
            Self::Accepted => "accepted",
        }
    }

    /// Returns the words for the report.
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
            Self::ErrorAfter => "effect made, answered as an error",
            Self::UnavailableAfter => "effect made, answered with 503",
            Self::ConflictCut => "effect made, 409 cut off",
            Self::Accepted => "accepted, effect made later",
        }
    }

    /// Returns whether the fault fits a call that replays an earlier answer: only the answer of such a call can be
    /// lost.
    pub(super) fn fits_replay(self) -> bool {
        match self {
            Self::LostAnswer | Self::Crash | Self::ErrorAfter | Self::UnavailableAfter | Self::ConflictCut => true,
            Self::Refused
            | Self::Busy
            | Self::CachedError
            | Self::FailureAsText
            | Self::Slow
            | Self::FailsTwice
            | Self::Accepted => false,
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

/// The faults of a tool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Menu {
    /// The kinds, each with its weight.
    pub(super) faults: &'static [(Fault, u64)],
    /// Factor on the run's share of failing calls.
    pub(super) strain: f64,
}

/// The fault plan of one run. Two runs with the same seed and the same calls have the same faults, whichever process
/// makes or serves a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FaultPlan {
    /// Seed of the run.
    pub(super) seed: u64,
    /// Share of calls that fail, 0 to 1.
    pub(super) rate: f64,
    /// Kinds to draw; empty means all.
    pub(super) only: Vec<Fault>,
    /// Tools that fail at every call, and how; nothing is drawn for them.
    pub(super) always: Vec<(String, Fault)>,
}

impl FaultPlan {
    /// Draws the fault of the `call`th call (from 1) of `tool` for `booking` from the tool's `menu`.
    pub(super) fn draw(&self, tool: &str, booking: &str, call: u32, menu: &Menu) -> Option<Fault> {
        if let Some((_, fault)) = self.always.iter().find(|(afflicted, _)| afflicted == tool) {
            return Some(*fault);
        }
        if call == 2 && self.draw_once(tool, booking, 1, menu) == Some(Fault::FailsTwice) {
            return Some(Fault::FailsTwice);
        }
        self.draw_once(tool, booking, call, menu).filter(|fault| match fault {
            // A business rule does not change its mind, and a series of two starts with the first call.
            Fault::Refused | Fault::FailureAsText | Fault::FailsTwice => call == 1,
            Fault::Busy
            | Fault::CachedError
            | Fault::LostAnswer
            | Fault::Crash
            | Fault::Slow
            | Fault::ErrorAfter
            | Fault::UnavailableAfter
            | Fault::ConflictCut
            | Fault::Accepted => true,
        })
    }

    fn draw_once(&self, tool: &str, booking: &str, call: u32, menu: &Menu) -> Option<Fault> {
        let allowed = |fault: &Fault| self.only.is_empty() || self.only.contains(fault);
        let faults: Vec<_> = menu.faults.iter().filter(|(fault, _)| allowed(fault)).collect();
        let weight: u64 = faults.iter().map(|(_, weight)| weight).sum();
        if weight == 0 {
            return None;
        }
        // The part after `@` names the run and must not change the faults.
        let booking = booking.split_once('@').map_or(booking, |(name, _run)| name);
        let mut digest = Sha256::new();
        digest.update(self.seed.to_be_bytes());
        digest.update(call.to_be_bytes());
        digest.update(tool.as_bytes());
        digest.update([0]);
        digest.update(booking.as_bytes());
        let digest = digest.finalize();
        let word = |at: usize| digest[at..at + 8].iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        // 53 bits: each such integer has a double of its own.
        let chance = (word(0) >> 11) as f64 / (1u64 << 53) as f64;
        if chance >= self.rate * menu.strain {
            return None;
        }
        let mut pick = word(8) % weight;
        let mut drawn = None;
        for (fault, weight) in faults {
            drawn = Some(*fault);
            match pick.checked_sub(*weight) {
                Some(rest) => pick = rest,
                None => break,
            }
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Menu = Menu {
        faults: &[
            (Fault::Refused, 1),
            (Fault::Busy, 1),
            (Fault::CachedError, 1),
            (Fault::FailureAsText, 1),
            (Fault::LostAnswer, 1),
            (Fault::Crash, 1),
            (Fault::Slow, 1),
            (Fault::FailsTwice, 1),
            (Fault::ErrorAfter, 1),
            (Fault::UnavailableAfter, 1),
            (Fault::ConflictCut, 1),
            (Fault::Accepted, 1),
        ],
        strain: 1.0,
    };

    fn plan(seed: u64, rate: f64) -> FaultPlan {
        FaultPlan { seed, rate, only: Vec::new(), always: Vec::new() }
    }

    fn drawn(plan: &FaultPlan, menu: &Menu) -> Vec<Option<Fault>> {
        (0..4_000).map(|n| plan.draw("create_charge", &format!("B-{n}"), 1, menu)).collect()
    }

    #[test]
    fn same_seed_same_faults_and_other_seed_others() {
        let faults = drawn(&plan(7, 0.1), &ALL);
        assert_eq!(faults, drawn(&plan(7, 0.1), &ALL));
        assert_ne!(faults, drawn(&plan(8, 0.1), &ALL));
    }

    #[test]
    fn the_rate_is_kept_and_every_kind_is_drawn() {
        let faults = drawn(&plan(1, 0.1), &ALL);
        let count = faults.iter().flatten().count();
        assert!((300..500).contains(&count), "expected about 400 of 4000, found {count}");
        for fault in Fault::ALL {
            assert!(faults.contains(&Some(fault)), "{fault:?} was never drawn");
        }
        assert_eq!(drawn(&plan(1, 0.0), &ALL).iter().flatten().count(), 0);
        assert_eq!(drawn(&plan(1, 1.0), &ALL).iter().flatten().count(), 4_000);
    }

    #[test]
    fn weights_and_strain_are_kept() {
        let menu = Menu { faults: &[(Fault::Busy, 3), (Fault::Slow, 0), (Fault::Crash, 1)], strain: 3.0 };
        let faults = drawn(&plan(1, 0.2), &menu);
        let count = |kind| faults.iter().filter(|fault| **fault == Some(kind)).count();
        let (busy, crash) = (count(Fault::Busy), count(Fault::Crash));
        assert!((2_200..2_600).contains(&(busy + crash)), "expected 2400 of 4000, found {}", busy + crash);
        assert!((1_650..1_950).contains(&busy), "expected three in four, found {busy}");
        assert_eq!(count(Fault::Slow), 0);
    }

    #[test]
    fn a_series_of_two_is_two_calls_long() {
        let plan = plan(3, 0.3);
        let menu = Menu { faults: &[(Fault::FailsTwice, 1)], strain: 1.0 };
        let mut series = 0;
        for n in 0..200 {
            let booking = format!("B-{n}");
            let draws: Vec<_> = (1..=5).map(|call| plan.draw("refund_charge", &booking, call, &menu)).collect();
            assert_eq!(draws[0], draws[1], "{booking}");
            assert_eq!(draws[2..], [None, None, None], "{booking}");
            series += usize::from(draws[0].is_some());
        }
        assert!((30..90).contains(&series), "{series}");
    }

    #[test]
    fn only_the_kinds_asked_for() {
        let plan = FaultPlan { only: vec![Fault::Slow], ..plan(1, 1.0) };
        assert!(drawn(&plan, &ALL).iter().all(|fault| *fault == Some(Fault::Slow)));
        assert_eq!(plan.draw("find_charge", "B-1", 1, &Menu { faults: &[(Fault::Busy, 1)], strain: 1.0 }), None);
    }

    #[test]
    fn what_always_goes_wrong_does_so_whatever_the_menu_and_the_call() {
        let plan = FaultPlan { always: vec![("find_charge".to_owned(), Fault::Refused)], ..plan(1, 0.0) };
        for call in 1..4 {
            assert_eq!(plan.draw("find_charge", "B-1", call, &ALL), Some(Fault::Refused));
            assert_eq!(plan.draw("create_charge", "B-1", call, &ALL), None);
        }
    }

    #[test]
    fn runs_of_one_seed_have_the_same_faults() {
        let plan = plan(1, 0.5);
        for n in 0..50 {
            let draw = |run: &str| plan.draw("create_charge", &format!("B-{n}{run}"), 1, &ALL);
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
