//! Verifies journals against their chains. Owns the reads: rows and sagas come in pages, so that the memory does not
//! grow with them. `chain/check.rs` decides what fits.

use uuid::Uuid;

use super::chain::{ChainKey, Check, End, Verified};
use super::payload::Stored;
use super::{Error, Store, read};
use crate::config::store as limits;
use crate::saga::definition::Millis;

/// Which sagas to verify.
#[derive(Clone, Debug, Default)]
pub struct SagaRange {
    /// Only sagas of this definition.
    pub definition: Option<String>,
    /// Only sagas that were started at this instant or later.
    pub since: Option<Millis>,
    /// Only sagas that were started before this instant.
    pub before: Option<Millis>,
}

impl Store {
    /// Verifies the journal of one saga; none if there is neither the saga nor a journal. `keys`: with which keys it
    /// may be chained; none: only a chain without a key can be verified. What is written or erased meanwhile is no
    /// fault.
    pub async fn verify(&self, id: Uuid, keys: &[ChainKey]) -> Result<Option<Verified>, Error> {
        let verified = self.look_over(id, keys).await?;
        match verified {
            // A saga that ends or is erased between two pages does not fit. Such a thing comes once.
            Some(Verified { found: 1.., .. }) => self.look_over(id, keys).await,
            verified => Ok(verified),
        }
    }

    async fn look_over(&self, id: Uuid, keys: &[ChainKey]) -> Result<Option<Verified>, Error> {
        let (mut check, mut after, mut has_rows) = (Check::new(id, keys), 0_i32, false);
        let mut end = None;
        loop {
            let rows = self.query(sql!("journal", "walk"), &[&id, &after, &limits::CHAIN_ROWS]).await?;
            if rows.is_empty() {
                match end.take() {
                    // The saga had ended before the last look: no row comes after.
                    Some(end @ (End::Ended { .. } | End::NoSaga)) => {
                        let known = has_rows || matches!(end, End::Ended { .. });
                        return Ok(known.then(|| check.finish(&end)));
                    }
                    Some(End::Live) => return Ok(Some(check.finish(&End::Live))),
                    None => end = Some(self.end(id).await?),
                }
                continue;
            }
            if matches!(end, Some(End::Live)) {
                // It went on, and may have ended.
                end = None;
            }
            has_rows = true;
            for row in &rows {
                let row = read::journal_row(row)?;
                after = row.seq;
                check.push(row);
            }
        }
    }

    async fn end(&self, id: Uuid) -> Result<End, Error> {
        let Some(saga) = self.saga(id).await? else { return Ok(End::NoSaga) };
        if !saga.status.is_end() {
            return Ok(End::Live);
        }
        let is_erased = self.erased_at(id).await?.is_some();
        let result = saga.result.as_ref().map(|result| Stored::of_json(result).text().to_owned());
        Ok(End::Ended { status: saga.status, result, is_erased })
    }

    /// Lists sagas of a range after saga `after`, oldest first, in pages; an empty page is the end. Without a
    /// definition it also lists journals whose saga is not there.
    pub async fn to_verify(&self, range: &SagaRange, after: Uuid) -> Result<Vec<Uuid>, Error> {
        let (since, before) = (range.since.map(super::signed), range.before.map(super::signed));
        let sql = sql!("journal", "sagas");
        let rows = self.query(sql, &[&after, &since, &before, &range.definition, &limits::CHAIN_SAGAS]).await?;
        rows.iter().map(|row| Ok(row.try_get("id")?)).collect()
    }
}
