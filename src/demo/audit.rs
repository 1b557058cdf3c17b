//! The audit: compares the participants' ledgers with what the sagas promised. Owns the judgement, which is pure.
//! `evidence.rs` reads the ledgers, `reported.rs` reads the sagas.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::chaos::Troubles;
use super::effect::Kind;
use super::fault::Fault;
use crate::saga::state::{Status, StuckReason};

/// What amends reports about one checkout.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// The saga.
    pub(super) saga: Uuid,
    /// Its booking.
    pub(super) booking: String,
    /// Cents it was to charge.
    pub(super) amount_cents: i64,
    /// Its status.
    pub(super) status: Status,
    /// Charge named in its output.
    pub(super) charge: Option<String>,
    /// Why it is stuck, if it is.
    pub(super) stuck: Option<StuckReason>,
}

/// One effect in a ledger.
#[derive(Clone, Debug)]
pub(super) struct Entered {
    /// Kind of effect.
    pub(super) kind: Kind,
    /// Id given by the participant.
    pub(super) id: String,
    /// Booking it belongs to.
    pub(super) booking: String,
    /// What it touched.
    pub(super) subject: String,
    /// Cents moved.
    pub(super) amount_cents: i64,
}

/// One injected fault.
#[derive(Clone, Debug)]
pub(super) struct Injected {
    /// Kind of fault.
    pub(super) fault: Fault,
    /// The booking of the call.
    pub(super) booking: String,
}

/// Everything the participants recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    /// All effects, of both ledgers.
    pub(super) effects: Vec<Entered>,
    /// All faults, of both participants.
    pub(super) faults: Vec<Injected>,
}

/// Kind of broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Breach {
    /// A completed checkout lacks an effect, or a checkout has no saga at all.
    Lost,
    /// An effect was made, or undone, more than once.
    Doubled,
    /// An effect is left that no saga accounts for.
    Orphaned,
    /// A saga has not ended in the given time.
    Unfinished,
    /// A saga is stuck, and no fault explains it.
    Unexplained,
}

impl Breach {
    /// Returns the word for messages.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Orphaned => "orphaned",
            Self::Unfinished => "unfinished",
            Self::Unexplained => "unexplained",
        }
    }
}

/// One broken promise.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Violation {
    /// Kind of breach.
    pub(super) breach: Breach,
    /// The saga, if there is one.
    pub(super) saga: Option<Uuid>,
    /// The booking.
    pub(super) booking: String,
    /// What was expected, and what was found.
    pub(super) text: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.breach.as_str(), self.booking, self.text)?;
        match self.saga {
            Some(saga) => write!(f, " (saga {saga})"),
            None => Ok(()),
        }
    }
}

/// Judges the ledgers and returns every broken promise; an empty list is the proof. `asked` are the bookings whose
/// checkout was started, `claims` is what amends reports about their sagas.
pub(super) fn audit(asked: &[String], claims: &[Claim], evidence: &Evidence, troubles: Troubles) -> Vec<Violation> {
    let mut ledgers: BTreeMap<&str, Vec<&Entered>> = BTreeMap::new();
    for effect in &evidence.effects {
        ledgers.entry(&effect.booking).or_default().push(effect);
    }
    let mut violations = Vec::new();
    let mut answered = BTreeSet::new();
    for claim in claims {
        let mut against = |breach, text| {
            let (saga, booking) = (Some(claim.saga), claim.booking.clone());
            violations.push(Violation { breach, saga, booking, text });
        };
        if !answered.insert(claim.booking.as_str()) {
            against(Breach::Doubled, "a second saga for the same booking".to_owned());
            continue;
        }
        let ledger = ledgers.remove(claim.booking.as_str()).unwrap_or_default();
        check_claim(claim, &ledger, &mut against);
        if !is_explained(claim, evidence, troubles) {
            against(Breach::Unexplained, "stuck, and no fault explains it".to_owned());
        }
    }
    let without_saga =
        |breach, booking: &str, text: String| Violation { breach, saga: None, booking: booking.to_owned(), text };
    for booking in asked.iter().filter(|booking| !answered.contains(booking.as_str())) {
        violations.push(without_saga(Breach::Lost, booking, "a checkout was started, and there is no saga".to_owned()));
    }
    for (booking, ledger) in ledgers {
        for effect in ledger {
            let text = format!("the {} {} belongs to no saga", effect.kind, effect.id);
            violations.push(without_saga(Breach::Orphaned, booking, text));
        }
    }
    violations
}

/// Compares one claim with the ledger rows of its booking.
fn check_claim(claim: &Claim, ledger: &[&Entered], against: &mut impl FnMut(Breach, String)) {
    match claim.status {
        Status::Completed => {
            for deed in Kind::DEEDS {
                check_net(deed, net(ledger, deed), 1..=1, Breach::Lost, against);
            }
            check_money(claim, ledger, claim.amount_cents, against);
            check_charge(claim, ledger, against);
        }
        Status::Compensated => {
            for deed in Kind::DEEDS {
                check_net(deed, net(ledger, deed), 0..=0, Breach::Doubled, against);
            }
            check_money(claim, ledger, 0, against);
        }
        // These sagas promise nothing, except that no effect is there twice.
        Status::Stuck | Status::Abandoned => {
            for deed in Kind::DEEDS {
                check_net(deed, net(ledger, deed), 0..=1, Breach::Doubled, against);
            }
        }
        Status::Queued | Status::Running | Status::Compensating | Status::Paused => {
            against(Breach::Unfinished, format!("still {}", claim.status));
        }
    }
}

/// Returns how often an effect was made, less how often it was undone.
fn net(ledger: &[&Entered], deed: Kind) -> i64 {
    let count = |kind| ledger.iter().filter(|effect| effect.kind == kind).count() as i64;
    count(deed) - deed.undone_by().map_or(0, count)
}

/// Checks that a net count is in its range; `under` is the breach if the count is below it.
fn check_net(
    deed: Kind,
    net: i64,
    range: std::ops::RangeInclusive<i64>,
    under: Breach,
    against: &mut impl FnMut(Breach, String),
) {
    let text = || format!("expected a net {deed} of {range:?}, found {net}");
    for _ in net..*range.start() {
        against(under, text());
    }
    // One too many is a double if one was expected, and an orphan if none was.
    for extra in *range.end()..net {
        against(if extra == 0 { Breach::Orphaned } else { Breach::Doubled }, text());
    }
}

/// Checks the cents, if the counts are right.
fn check_money(claim: &Claim, ledger: &[&Entered], expected: i64, against: &mut impl FnMut(Breach, String)) {
    if net(ledger, Kind::Charge) != i64::from(expected != 0) {
        return;
    }
    let sum = |kind| ledger.iter().filter(|effect| effect.kind == kind).map(|effect| effect.amount_cents).sum::<i64>();
    let found = sum(Kind::Charge) - sum(Kind::Refund);
    let text = || format!("expected {expected} cents of {} to be kept, found {found}", claim.amount_cents);
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => against(Breach::Lost, text()),
        std::cmp::Ordering::Equal => {}
        std::cmp::Ordering::Greater => against(Breach::Orphaned, text()),
    }
}

/// Checks that output, charge and receipt of a completed checkout name the same charge.
fn check_charge(claim: &Claim, ledger: &[&Entered], against: &mut impl FnMut(Breach, String)) {
    let refunded = |id: &str| ledger.iter().any(|effect| effect.kind == Kind::Refund && effect.subject == id);
    let Some(charge) = ledger.iter().find(|effect| effect.kind == Kind::Charge && !refunded(&effect.id)) else {
        return;
    };
    if claim.charge.as_deref() != Some(charge.id.as_str()) {
        let named = claim.charge.as_deref().unwrap_or("none");
        against(Breach::Orphaned, format!("the saga's output names the charge {named}, the ledger has {}", charge.id));
    }
    for receipt in ledger.iter().filter(|effect| effect.kind == Kind::ReceiptSent) {
        if receipt.subject != charge.id {
            let text = format!("the receipt {} is for {}, the charge is {}", receipt.id, receipt.subject, charge.id);
            against(Breach::Orphaned, text);
        }
    }
}

/// Returns whether a stuck saga has a true reason: a fault of its own calls, or of a process it ran on.
fn is_explained(claim: &Claim, evidence: &Evidence, troubles: Troubles) -> bool {
    let Some(reason) = claim.stuck else {
        return claim.status != Status::Stuck;
    };
    let crashed = evidence.faults.iter().any(|injected| injected.fault == Fault::Crash);
    let befell = |hides: fn(Fault) -> bool| {
        evidence.faults.iter().any(|injected| injected.booking == claim.booking && hides(injected.fault))
    };
    match reason {
        StuckReason::InDoubt => befell(hides_outcome) || crashed || troubles.any(),
        // A participant refuses or does not answer while its ledger is away.
        StuckReason::Failed => befell(|_| true) || crashed || troubles.postgres_killed > 0,
        // A node that is stopped for longer than its lease counts as dead.
        StuckReason::ProcessDied => troubles.nodes_killed + troubles.nodes_stopped > 0,
    }
}

/// Returns whether a fault leaves its caller in doubt.
fn hides_outcome(fault: Fault) -> bool {
    match fault {
        Fault::LostAnswer
        | Fault::Crash
        | Fault::Slow
        | Fault::ErrorAfter
        | Fault::UnavailableAfter
        | Fault::ConflictCut
        | Fault::Accepted => true,
        Fault::Refused | Fault::Busy | Fault::CachedError | Fault::FailureAsText | Fault::FailsTwice => false,
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
