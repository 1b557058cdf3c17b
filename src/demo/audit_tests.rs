//! Tests of the audit: a sound world passes, and each way to corrupt one of its rows is found.

use uuid::Uuid;

use super::Breach::{Doubled, Lost, Orphaned, Unexplained, Unfinished};
use super::*;

/// A world with a checkout of each end, and ledgers that keep every promise.
#[derive(Clone)]
struct World {
    asked: Vec<String>,
    claims: Vec<Claim>,
    evidence: Evidence,
    troubles: Troubles,
}

impl World {
    fn sound() -> Self {
        let (evidence, troubles) = (Evidence::default(), Troubles::default());
        let mut world = Self { asked: Vec::new(), claims: Vec::new(), evidence, troubles };
        world.checkout("whole", Status::Completed, &Kind::DEEDS);
        world.checkout(
            "undone",
            Status::Compensated,
            &[
                Kind::Charge,
                Kind::BookingClosed,
                Kind::RoomReleased,
                Kind::RoomOccupied,
                Kind::BookingReopened,
                Kind::Refund,
            ],
        );
        world.checkout("declined", Status::Compensated, &[]);
        world.checkout("halted", Status::Stuck, &[Kind::Charge]);
        world.claims[3].stuck = Some(StuckReason::InDoubt);
        world.inject(Fault::LostAnswer, "halted");
        world
    }

    fn checkout(&mut self, booking: &str, status: Status, kinds: &[Kind]) {
        self.asked.push(booking.to_owned());
        for kind in kinds {
            let amount_cents = if matches!(kind, Kind::Charge | Kind::Refund) { 900 } else { 0 };
            let subject = match kind {
                Kind::Refund | Kind::ReceiptSent => charge_of(booking),
                _ => "room 1".to_owned(),
            };
            let id = if *kind == Kind::Charge { charge_of(booking) } else { format!("{kind}_{booking}") };
            let booking = booking.to_owned();
            self.evidence.effects.push(Entered { kind: *kind, id, booking, subject, amount_cents });
        }
        self.claims.push(Claim {
            saga: Uuid::from_u128(self.claims.len() as u128),
            booking: booking.to_owned(),
            amount_cents: 900,
            status,
            charge: (status == Status::Completed).then(|| charge_of(booking)),
            stuck: None,
        });
    }

    fn inject(&mut self, fault: Fault, booking: &str) {
        self.evidence.faults.push(Injected { fault, booking: booking.to_owned() });
    }

    fn row(&mut self, booking: &str, kind: Kind) -> &mut Entered {
        self.evidence.effects.iter_mut().find(|effect| effect.booking == booking && effect.kind == kind).unwrap()
    }

    fn without(mut self, booking: &str, kind: Kind) -> Self {
        self.evidence.effects.retain(|effect| effect.booking != booking || effect.kind != kind);
        self
    }

    fn twice(mut self, booking: &str, kind: Kind) -> Self {
        let row = self.row(booking, kind).clone();
        self.evidence.effects.push(row);
        self
    }

    fn breaches(&self) -> Vec<Breach> {
        let mut breaches: Vec<_> = audit(&self.asked, &self.claims, &self.evidence, self.troubles)
            .into_iter()
            .map(|violation| violation.breach)
            .collect();
        breaches.sort();
        breaches
    }
}

fn charge_of(booking: &str) -> String {
    format!("ch_{booking}")
}

#[track_caller]
fn check(world: World, expected: &[Breach]) {
    assert_eq!(world.breaches(), expected);
}

#[test]
fn a_sound_world_passes() {
    check(World::sound(), &[]);
}

#[test]
fn lost_effects_are_found() {
    for deed in Kind::DEEDS {
        check(World::sound().without("whole", deed), &[Lost]);
    }
    let mut refunded = World::sound();
    let refund = Entered { kind: Kind::Refund, ..refunded.row("whole", Kind::Charge).clone() };
    refunded.evidence.effects.push(refund);
    check(refunded, &[Lost]);
}

#[test]
fn doubled_effects_are_found() {
    for deed in Kind::DEEDS {
        check(World::sound().twice("whole", deed), &[Doubled]);
    }
    for undo in [Kind::Refund, Kind::BookingReopened, Kind::RoomOccupied] {
        check(World::sound().twice("undone", undo), &[Doubled]);
    }
    check(World::sound().twice("halted", Kind::Charge), &[Doubled]);
    check(World::sound().twice("whole", Kind::ReceiptSent).twice("whole", Kind::ReceiptSent), &[Doubled; 2]);
}

#[test]
fn orphaned_effects_are_found() {
    for undo in [Kind::Refund, Kind::BookingReopened, Kind::RoomOccupied] {
        check(World::sound().without("undone", undo), &[Orphaned]);
    }
    let mut late = World::sound();
    let mut receipt = late.row("whole", Kind::ReceiptSent).clone();
    receipt.booking = "declined".to_owned();
    late.evidence.effects.push(receipt);
    check(late, &[Orphaned]);
    let mut nobodys = World::sound();
    let mut charge = nobodys.row("whole", Kind::Charge).clone();
    charge.booking = "nobody's".to_owned();
    nobodys.evidence.effects.push(charge);
    check(nobodys, &[Orphaned]);
}

#[test]
fn cents_and_names_are_compared() {
    let mut short = World::sound();
    short.row("whole", Kind::Charge).amount_cents = 899;
    check(short, &[Lost]);
    let mut over = World::sound();
    over.row("whole", Kind::Charge).amount_cents = 901;
    check(over, &[Orphaned]);
    let mut kept = World::sound();
    kept.row("undone", Kind::Refund).amount_cents = 800;
    check(kept, &[Orphaned]);
    let mut renamed = World::sound();
    renamed.claims[0].charge = Some("ch_other".to_owned());
    check(renamed, &[Orphaned]);
    let mut unnamed = World::sound();
    unnamed.claims[0].charge = None;
    check(unnamed, &[Orphaned]);
    let mut misdirected = World::sound();
    misdirected.row("whole", Kind::ReceiptSent).subject = "ch_other".to_owned();
    check(misdirected, &[Orphaned]);
}

#[test]
fn sagas_are_counted() {
    let mut missing = World::sound();
    missing.asked.push("forgotten".to_owned());
    check(missing, &[Lost]);
    let mut twice = World::sound();
    let again = Claim { saga: Uuid::from_u128(99), ..twice.claims[0].clone() };
    twice.claims.push(again);
    check(twice, &[Doubled]);
    for status in [Status::Queued, Status::Running, Status::Compensating, Status::Paused] {
        let mut unfinished = World::sound();
        unfinished.claims[1].status = status;
        check(unfinished, &[Unfinished]);
    }
}

#[test]
fn a_stuck_saga_needs_a_true_reason() {
    let stuck = |reason, faults: &[Fault], nodes_killed, postgres_killed| {
        let mut world = World::sound();
        world.evidence.faults.clear();
        for fault in faults {
            world.inject(*fault, "halted");
        }
        world.claims[3].stuck = reason;
        world.troubles = Troubles { nodes_killed, postgres_killed, ..Troubles::default() };
        world
    };
    check(stuck(Some(StuckReason::InDoubt), &[], 0, 0), &[Unexplained]);
    check(stuck(Some(StuckReason::InDoubt), &[Fault::Refused], 0, 0), &[Unexplained]);
    check(stuck(Some(StuckReason::InDoubt), &[Fault::Slow], 0, 0), &[]);
    check(stuck(Some(StuckReason::InDoubt), &[], 1, 0), &[]);
    check(stuck(Some(StuckReason::InDoubt), &[], 0, 1), &[]);
    check(stuck(Some(StuckReason::Failed), &[], 1, 0), &[Unexplained]);
    check(stuck(Some(StuckReason::Failed), &[], 0, 1), &[]);
    check(stuck(Some(StuckReason::Failed), &[Fault::Busy], 0, 0), &[]);
    check(stuck(Some(StuckReason::ProcessDied), &[Fault::Busy], 0, 1), &[Unexplained]);
    check(stuck(None, &[Fault::Slow], 1, 1), &[Unexplained]);
    let mut elsewhere = stuck(Some(StuckReason::InDoubt), &[], 0, 0);
    elsewhere.inject(Fault::Slow, "whole");
    check(elsewhere.clone(), &[Unexplained]);
    elsewhere.inject(Fault::Crash, "whole");
    check(elsewhere, &[]);
}

/// Every row matters: the audit finds any row that is lost, doubled or moved.
#[test]
fn every_row_matters() {
    let sound = World::sound();
    for index in 0..sound.evidence.effects.len() {
        let booking = sound.evidence.effects[index].booking.clone();
        let mut lost = sound.clone();
        lost.evidence.effects.remove(index);
        // A stuck saga promises nothing about missing effects.
        assert_eq!(lost.breaches().is_empty(), booking == "halted", "row {index} lost");
        let mut doubled = sound.clone();
        doubled.evidence.effects.push(sound.evidence.effects[index].clone());
        assert!(!doubled.breaches().is_empty(), "row {index} doubled");
        let mut moved = sound.clone();
        moved.evidence.effects[index].booking = "elsewhere".to_owned();
        assert!(moved.breaches().contains(&Orphaned), "row {index} moved");
    }
}
