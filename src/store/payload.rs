//! The edge of the store for payloads: what callers and participants send passes here on its way into the database and
//! out of it. These are bodies of journal rows, inputs, results, requests and their answers, events of the outbox with
//! the notices made of them, and what the SQL views show of steps that need a person. Owns both directions.
//!
//! **Prepared for encryption, which is not built.** A payload is stored as it is. Who builds it changes [`Stored`] and
//! nothing else of the store: its constructors encrypt, and [`Stored::text`] decrypts. Then these places see texts that
//! they cannot read, and need an answer of their own:
//!
//! - The doors for SQL (`amends.start`, `amends.signal`) write what they are given, without passing here.
//! - The claim makes row 1 of a queued saga from its input, in SQL (`saga/claim.sql`, `start_queue/take.sql`).
//! - `amends.input_digest` compares inputs of equal start keys, and `transition/resolve.sql` compares bodies: equal
//!   payloads must stay equal, or digests must stand beside them.
//! - The views (`timeline`, `steps`, `stuck`) and the erasure look into bodies. They need what an erasure keeps.
//! - A link of the chain covers the payload as it is outside (`chain.rs`), so a new key changes no link; the erasure
//!   makes its digest of what is stored.

use std::error::Error as StdError;

use bytes::BytesMut;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::Error;
use crate::saga::Json;

/// A payload as the database has it. Borrows its text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored<'a>(&'a str);

impl<'a> Stored<'a> {
    /// Makes the stored form of a payload.
    pub(super) fn of_json(payload: &'a Json) -> Self {
        Self(payload.get())
    }

    /// Makes the stored form of a payload that is a plain text.
    pub(super) fn of_text(payload: &'a str) -> Self {
        Self(payload)
    }

    /// Reads a column with a payload.
    pub(super) fn read(row: &'a Row, column: &str) -> Result<Self, Error> {
        Ok(row.try_get(column)?)
    }

    /// Reads a column that may have a payload.
    pub(super) fn maybe(row: &'a Row, column: &str) -> Result<Option<Self>, Error> {
        Ok(row.try_get(column)?)
    }

    /// Returns the payload as a text.
    pub(super) fn text(self) -> &'a str {
        self.0
    }

    /// Returns the payload as JSON; none if it is no JSON that serde reads.
    pub(super) fn json(self) -> Option<Json> {
        Json::parse(self.0).ok()
    }
}

impl ToSql for Stored<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        self.0.to_sql(ty, out)
    }

    fn accepts(ty: &Type) -> bool {
        <&str as ToSql>::accepts(ty)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Stored<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        FromSql::from_sql(ty, raw).map(Self)
    }

    fn accepts(ty: &Type) -> bool {
        <&str as FromSql<'_>>::accepts(ty)
    }
}
