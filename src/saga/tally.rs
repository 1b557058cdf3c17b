//! Counts, times and evidence of one call. Owns the types; `retry.rs` and `doubt.rs` decide by them.

use super::definition::Millis;
use super::outcome::Error;

/// Counts and times of one call: the action or the compensation.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    /// Attempts begun.
    pub attempts: u32,
    /// Attempts begun before an operator granted a new budget.
    pub attempts_forgiven: u32,
    /// Probes begun.
    pub probes: u32,
    /// Probes that do not count against the budget: those begun before the present doubt or before an operator
    /// granted a new budget, and those that found no effect before the settle window ended.
    pub probes_forgiven: u32,
    /// Attempts, conditions and renderings in a row that were lost with their process.
    pub lost: u32,
    /// Probes in a row that were lost with their process. They are counted apart from `lost`: a probe that answers
    /// does not clear a call that kills its process. A call that is probed for weeks may see several processes die.
    pub probes_lost: u32,
    /// Generation of the idempotency key of the last attempt.
    pub generation: u32,
    /// When the first attempt of this generation began. None before, and none when the next attempt takes a new key.
    pub generation_at: Option<Millis>,
    /// When the first attempt of this budget began. None before.
    pub first_at: Option<Millis>,
    /// When the last attempt began. None before.
    pub attempt_at: Option<Millis>,
    /// The last error. Boxed, like `shown`, because most calls have none and a node holds tens of thousands of
    /// waiting sagas.
    pub error: Option<Box<Error>>,
    /// Further facts. None while every answer was a success. Boxed for the same reason.
    evidence: Option<Box<Evidence>>,
}

/// Facts about a call beside its counts: what the participant asked for, and what is in doubt.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// When the last probe was sent. None before.
    pub probed_at: Option<Millis>,
    /// Pause that the participant asked for: no attempt and no probe begins before this time.
    pub not_before: Option<Millis>,
    /// Latest possible end of the last attempt of this generation whose effect is unknown. None when not in doubt.
    pub doubt_at: Option<Millis>,
    /// When the saga learned of that end. A finding from before this time says nothing about the attempt.
    pub heard_at: Option<Millis>,
    /// The participant accepted an attempt of this generation and may carry it out at any time. Only word from the
    /// participant ends the doubt.
    pub pending: bool,
    /// The present doubt came from an error that the participant answered. A repeat would meet the same error.
    pub errored: bool,
    /// The last definite failure ruled out another attempt.
    pub final_failure: bool,
}

impl Evidence {
    /// Evidence of a call with only successful answers.
    const NONE: Self = Self {
        probed_at: None,
        not_before: None,
        doubt_at: None,
        heard_at: None,
        pending: false,
        errored: false,
        final_failure: false,
    };
}

impl Tally {
    /// Counts of a call that was never made.
    pub(super) const NONE: Self = Self {
        attempts: 0,
        attempts_forgiven: 0,
        probes: 0,
        probes_forgiven: 0,
        lost: 0,
        probes_lost: 0,
        generation: 0,
        generation_at: None,
        first_at: None,
        attempt_at: None,
        error: None,
        evidence: None,
    };

    /// Returns the facts beside the counts.
    pub fn evidence(&self) -> &Evidence {
        self.evidence.as_deref().unwrap_or(&Evidence::NONE)
    }

    /// Returns the facts beside the counts, to add to them.
    pub(super) fn evidence_mut(&mut self) -> &mut Evidence {
        self.evidence.get_or_insert_with(|| Box::new(Evidence::NONE))
    }

    /// Corrects the facts beside the counts, if there are any.
    pub(super) fn correct(&mut self, take_back: impl FnOnce(&mut Evidence)) {
        if let Some(evidence) = &mut self.evidence {
            take_back(evidence);
        }
    }
}
