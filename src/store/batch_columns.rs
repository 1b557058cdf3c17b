//! A batch as arrays. The statement takes them apart with `unnest`, so each table gets only the rows that concern it.
//! Owns the order of the statement's parameters, which `sql/queries/transition/commit.sql` repeats.

use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::batch_statement::Shape;
use super::payload::Stored;
use super::transition::{AnsweredSignal, End, StartKey, Transition};
use crate::saga::Json;
use crate::saga::state::Status;

/// A batch as arrays. Borrows all texts.
#[derive(Default)]
pub(super) struct Columns<'a> {
    plain: Plain<'a>,
    keyed: Keyed<'a>,
    created: Created<'a>,
    changed: Changed<'a>,
    ended: Ended<'a>,
    answered: Answered<'a>,
    told: Told<'a>,
    linked: Linked<'a>,
}

/// Journal rows, except those of starts with a key.
#[derive(Default)]
struct Plain<'a> {
    ids: Vec<Uuid>,
    seqs: Vec<i32>,
    kinds: Vec<&'a str>,
    bodies: Vec<Stored<'a>>,
}

/// Starts with a key. The journal row is written only if the key is new.
#[derive(Default)]
struct Keyed<'a> {
    ids: Vec<Uuid>,
    definitions: Vec<i32>,
    keys: Vec<&'a str>,
    owners: Vec<Option<&'a str>>,
    inputs: Vec<Stored<'a>>,
    kinds: Vec<&'a str>,
    bodies: Vec<Stored<'a>>,
}

/// Sagas to create.
#[derive(Default)]
struct Created<'a> {
    ids: Vec<Uuid>,
    definitions: Vec<i32>,
    statuses: Vec<&'a str>,
}

/// Sagas with a new status or with new steps that need attention.
#[derive(Default)]
struct Changed<'a> {
    ids: Vec<Uuid>,
    statuses: Vec<&'a str>,
    attentions: Vec<Option<Stored<'a>>>,
}

/// Sagas that end. A definition is there only if the saga starts and ends in one row.
#[derive(Default)]
struct Ended<'a> {
    ids: Vec<Uuid>,
    statuses: Vec<&'a str>,
    results: Vec<Option<Stored<'a>>>,
    definitions: Vec<Option<i32>>,
}

/// Signals that are answered.
#[derive(Default)]
struct Answered<'a> {
    ids: Vec<Uuid>,
    numbers: Vec<i64>,
    fates: Vec<&'a str>,
    answers: Vec<Option<Stored<'a>>>,
}

/// Events for the outbox.
#[derive(Default)]
struct Told<'a> {
    ids: Vec<Uuid>,
    seqs: Vec<i32>,
    bodies: Vec<Stored<'a>>,
}

/// Rows of chained journals.
#[derive(Default)]
struct Linked<'a> {
    ids: Vec<Uuid>,
    links: Vec<&'a [u8]>,
}

/// Types of the statement's parameters.
pub(super) const TYPES: [Type; 31] = [
    Type::INT8,
    Type::UUID_ARRAY,
    Type::INT4_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::UUID_ARRAY,
    Type::INT4_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::UUID_ARRAY,
    Type::INT4_ARRAY,
    Type::TEXT_ARRAY,
    Type::UUID_ARRAY,
    Type::TEXT_ARRAY,
    Type::UUID_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::INT4_ARRAY,
    Type::UUID_ARRAY,
    Type::INT8_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::UUID_ARRAY,
    Type::INT4_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::UUID_ARRAY,
    Type::BYTEA_ARRAY,
    Type::TEXT_ARRAY,
];

impl<'a> Columns<'a> {
    /// Sorts rows into the arrays.
    pub(super) fn from_rows(rows: &[&'a Transition]) -> Self {
        let mut columns = Self::default();
        columns.plain.reserve(rows.len());
        for row in rows {
            columns.push(row);
        }
        columns
    }

    /// Returns which parts of the statement the batch needs.
    pub(super) fn shape(&self) -> Shape {
        let Self { plain: _, keyed, created, changed, ended, answered, told, linked } = self;
        Shape {
            keyed: !keyed.ids.is_empty(),
            created: !created.ids.is_empty(),
            ended: !ended.ids.is_empty(),
            linked: !linked.ids.is_empty(),
            aside: !changed.ids.is_empty() || !answered.ids.is_empty() || !told.ids.is_empty(),
        }
    }

    /// Returns the statement's parameters.
    pub(super) fn params<'b>(&'b self, lane: &'b i64) -> [&'b (dyn ToSql + Sync); 31] {
        let Self { plain, keyed, created, changed, ended, answered, told, linked } = self;
        [
            lane,
            &plain.ids,
            &plain.seqs,
            &plain.kinds,
            &plain.bodies,
            &keyed.ids,
            &keyed.definitions,
            &keyed.keys,
            &keyed.inputs,
            &keyed.bodies,
            &created.ids,
            &created.definitions,
            &created.statuses,
            &changed.ids,
            &changed.statuses,
            &ended.ids,
            &ended.statuses,
            &ended.results,
            &ended.definitions,
            &answered.ids,
            &answered.numbers,
            &answered.fates,
            &answered.answers,
            &told.ids,
            &told.seqs,
            &told.bodies,
            &changed.attentions,
            &keyed.kinds,
            &linked.ids,
            &linked.links,
            &keyed.owners,
        ]
    }

    fn push(&mut self, row: &'a Transition) {
        match (&row.start, row.key()) {
            (Some(start), Some(key)) => self.keyed.push(row, start.definition.0, key),
            (Some(_), None) | (None, _) => self.plain.push(row),
        }
        match (&row.start, &row.end, row.status) {
            (Some(start), Some(end), _) => self.ended.push(row.id, end, Some(start.definition.0)),
            (None, Some(end), _) => self.ended.push(row.id, end, None),
            (Some(start), None, status) => {
                self.created.push(row.id, start.definition.0, status.unwrap_or(Status::Running));
            }
            (None, None, Some(status)) => self.changed.push(row, status),
            (None, None, None) => {}
        }
        if let Some(fate) = &row.signal {
            self.answered.push(row.id, fate);
        }
        if let Some(body) = &row.outbox {
            self.told.push(row.id, row.seq, body);
        }
        if let Some(link) = &row.link {
            self.linked.ids.push(row.id);
            self.linked.links.push(link);
        }
    }
}

impl<'a> Plain<'a> {
    fn reserve(&mut self, rows: usize) {
        self.ids.reserve(rows);
        self.seqs.reserve(rows);
        self.kinds.reserve(rows);
        self.bodies.reserve(rows);
    }

    fn push(&mut self, row: &'a Transition) {
        self.ids.push(row.id);
        self.seqs.push(row.seq);
        self.kinds.push(row.kind);
        self.bodies.push(Stored::of_json(&row.body));
    }
}

impl<'a> Keyed<'a> {
    fn push(&mut self, row: &'a Transition, definition: i32, key: &'a StartKey) {
        self.ids.push(row.id);
        self.definitions.push(definition);
        self.keys.push(&key.key);
        self.owners.push(key.owner.as_deref());
        self.inputs.push(Stored::of_json(&key.input));
        self.kinds.push(row.kind);
        self.bodies.push(Stored::of_json(&row.body));
    }
}

impl Created<'_> {
    fn push(&mut self, id: Uuid, definition: i32, status: Status) {
        self.ids.push(id);
        self.definitions.push(definition);
        self.statuses.push(status.as_str());
    }
}

impl<'a> Changed<'a> {
    fn push(&mut self, row: &'a Transition, status: Status) {
        self.ids.push(row.id);
        self.statuses.push(status.as_str());
        self.attentions.push(row.attention.as_ref().map(Stored::of_json));
    }
}

impl<'a> Ended<'a> {
    fn push(&mut self, id: Uuid, end: &'a End, definition: Option<i32>) {
        self.ids.push(id);
        self.statuses.push(end.status.as_str());
        self.results.push(end.result.as_ref().map(Stored::of_json));
        self.definitions.push(definition);
    }
}

impl<'a> Answered<'a> {
    fn push(&mut self, id: Uuid, fate: &'a AnsweredSignal) {
        self.ids.push(id);
        self.numbers.push(super::signed(fate.n));
        self.fates.push(if fate.refusal.is_none() { "applied" } else { "refused" });
        self.answers.push(fate.refusal.as_deref().map(Stored::of_text));
    }
}

impl<'a> Told<'a> {
    fn push(&mut self, id: Uuid, seq: i32, body: &'a Json) {
        self.ids.push(id);
        self.seqs.push(seq);
        self.bodies.push(Stored::of_json(body));
    }
}
