//! The end of a call, as the task that made the call saw it, and the event that it becomes. Leaves the consequences
//! to the core.

use super::messages::EventOccurred;
use crate::actor::node::context::Node;
use crate::participant::DefaultRule;
use crate::saga::Law;
use crate::saga::event::{AttemptEnded, Direction, Event, ProbeAnswered, Withdrawn};
use crate::saga::outcome::{Answer, DecidedBy, Error, Outcome, TRANSACTION_ENDED};
use crate::store::Within;

/// End of a call.
pub(crate) enum End {
    Attempt(Outcome, Option<DecidedBy>),
    /// Success that counts once it is recorded in this transaction and committed.
    Within(Outcome, Option<DecidedBy>, Box<Within>),
    Probe(Answer, Option<DecidedBy>),
    /// The call was withdrawn, or too late, while it waited for its place: nothing was done.
    NeverBegun,
    /// The call had begun, but nothing left this node: it had no free file descriptor.
    NotSent,
}

impl End {
    pub(crate) fn lost_attempt() -> Self {
        let (outcome, decided_by) = lost_call();
        Self::Attempt(outcome, decided_by)
    }

    pub(crate) fn lost_probe() -> Self {
        Self::Probe(Answer::inconclusive(lost()), Some(DefaultRule::Lost.decided()))
    }

    /// Returns the end as one word, and the code of its error.
    pub(crate) fn in_words(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Attempt(Outcome::Succeeded { .. }, _) => ("succeeded", None),
            Self::Attempt(Outcome::Pending { .. }, _) => ("pending", None),
            Self::Attempt(Outcome::Failed { error, .. }, _) => ("failed", Some(&error.code)),
            Self::Attempt(Outcome::Errored { error, .. }, _) => ("errored", Some(&error.code)),
            Self::Attempt(Outcome::Unknown { error, .. }, _) => ("unknown", Some(&error.code)),
            // The success counts only once the transaction is committed.
            Self::Within(..) => ("handled", None),
            Self::NeverBegun => ("withdrawn", None),
            Self::NotSent => ("not_sent", Some(DefaultRule::OutOfFiles.word())),
            Self::Probe(Answer::Applied { .. }, _) => ("applied", None),
            Self::Probe(Answer::Absent, _) => ("absent", None),
            Self::Probe(Answer::Inconclusive { error, .. }, _) => ("inconclusive", Some(&error.code)),
        }
    }

    pub(crate) fn happened(self, node: &Node, step: usize, direction: Direction, number: u32) -> EventOccurred {
        let (at, jitter) = (node.lease.clock.now_ms(), rand::random::<f64>());
        let ended = |outcome, decided_by: Option<DecidedBy>| {
            let (attempt, decided_by) = (number, decided_by.map(Box::new));
            Event::AttemptEnded(AttemptEnded { at, step, direction, attempt, outcome, decided_by, jitter })
        };
        match self {
            Self::Attempt(outcome, decided_by) => EventOccurred { event: ended(outcome, decided_by), within: None },
            Self::Within(outcome, decided_by, within) => {
                EventOccurred { event: ended(outcome, decided_by), within: Some(within) }
            }
            Self::NeverBegun | Self::NotSent => {
                let withdrawn = Withdrawn { at, steps: vec![step] };
                EventOccurred { event: Event::Withdrawn(withdrawn), within: None }
            }
            Self::Probe(answer, decided_by) => {
                let (probe, decided_by) = (number, decided_by.map(Box::new));
                let answered = ProbeAnswered { at, step, direction, probe, answer, decided_by, jitter };
                EventOccurred { event: Event::ProbeAnswered(answered), within: None }
            }
        }
    }
}

/// Returns the outcome of an attempt that was given up, and the rule that decided it.
pub(crate) fn lost_call() -> (Outcome, Option<DecidedBy>) {
    (Outcome::unknown(lost()), Some(DefaultRule::Lost.decided()))
}

fn lost() -> Error {
    Error::new(DefaultRule::Lost.word(), "the call was given up before it answered")
}

/// Translates an outcome into the words of the saga's law, so that an older node can read the journal. The answer
/// itself was already read by that law.
///
/// Law V1 has no `errored`. A rule of the definition can still produce it; it becomes `unknown`, since it proves
/// nothing. A transaction that its handler ended becomes a permanent failure: law V1 would repeat an unknown attempt,
/// and the effect would happen twice.
pub(crate) fn in_words_of(law: Law, outcome: Outcome) -> Outcome {
    match (law, outcome) {
        (Law::V1, Outcome::Errored { error, retry_after_ms }) => Outcome::Unknown { error, retry_after_ms },
        (Law::V1, Outcome::Unknown { error, .. }) if error.code == TRANSACTION_ENDED => Outcome::failed(error),
        (Law::V1 | Law::V2, outcome) => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_of_the_first_law_has_no_word_that_it_does_not_know() {
        let error = || Error::new("tool_error", "no");
        let errored = || Outcome::Errored { error: error(), retry_after_ms: None };
        assert_eq!(in_words_of(Law::V1, errored()), Outcome::unknown(error()));
        assert_eq!(in_words_of(Law::V2, errored()), errored());
        for known in [Outcome::failed(error()), Outcome::retryable(error(), Some(7)), Outcome::unknown(error())] {
            assert_eq!(in_words_of(Law::V1, known.clone()), known);
        }
    }

    #[test]
    fn a_handler_that_ends_its_transaction_has_failed_for_good_under_the_first_law() {
        let ended = || Error::new(TRANSACTION_ENDED, "what it committed stays");
        assert_eq!(in_words_of(Law::V1, Outcome::unknown(ended())), Outcome::failed(ended()));
        assert_eq!(in_words_of(Law::V2, Outcome::unknown(ended())), Outcome::unknown(ended()));
    }

    /// The core recognizes a transactional call in doubt by this code; no other code puts such a call in doubt. The
    /// guide lists the rules under these words.
    #[test]
    fn an_ended_transaction_has_one_code() {
        assert_eq!(crate::step_transaction::ENDED, TRANSACTION_ENDED);
        assert_eq!(crate::step_transaction::ENDED, DefaultRule::TransactionEnded.word());
        assert_eq!(crate::step_transaction::KEPT, DefaultRule::HandlerBrokeTransaction.word());
    }
}
