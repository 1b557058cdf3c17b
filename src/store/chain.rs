//! The chain of a journal: each row has a link, a digest over the row and over the link before it. Owns what a link
//! covers, its bytes, and the chain of a saga that a node goes on with. `chain/check.rs` finds rows that do not fit.
//!
//! **What a link covers.** The saga, the row's number, lane and kind, the status if the row ended the saga, what of the
//! body an erasure keeps (`chain/facts.rs`), and the content: the body and the result, as the database keeps them. It
//! also covers the link before, and the rows since then that have no link. Such rows are the first row of a saga that
//! was started by SQL, and those from before the chain began.
//!
//! **Erasure.** The content is digested with a random salt, and the salt stands beside the link. An erasure replaces
//! the salt by the digest of the content (`sql/admin/erasure.sql`). So every link still holds, and a short content
//! cannot be found out from the digest by trial.
//!
//! **Bytes.** A mark of the key, which is 0 without one; the link (32 bytes); then the salt (16 bytes) or, once it was
//! erased, the digest of the content (32 bytes). A row without a link that was erased has that digest alone.

mod check;
mod facts;

use std::sync::Arc;

use ring::hmac;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use check::{ChainFault, Verified};
pub(super) use check::{Check, End};

use super::lane::LaneId;
use super::read::JournalRow;
use super::transition::Transition;
use crate::saga::Json;

/// Bytes of a digest.
const DIGEST: usize = 32;

/// Bytes of a salt.
const SALT: usize = 16;

/// What a link covers besides its rows, so that it is no digest of anything else.
const DOMAIN: &[u8] = b"amends journal chain 1\n";

type Hash = [u8; DIGEST];

/// Key of the links. A login that may change the journal can make links without a key, but not with it.
#[derive(Clone, Debug)]
pub struct ChainKey {
    key: Arc<hmac::Key>,
    mark: u8,
}

impl ChainKey {
    /// Makes the key of a secret.
    pub fn new(secret: &str) -> Self {
        let digest: Hash = Sha256::new().chain_update(b"amends chain key\n").chain_update(secret).finalize().into();
        Self { key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())), mark: 1 + digest[0] % 255 }
    }

    /// Makes the key of a chain without a secret: every login has it.
    fn open() -> Self {
        Self { key: Arc::new(hmac::Key::new(hmac::HMAC_SHA256, b"")), mark: 0 }
    }

    fn is_open(&self) -> bool {
        self.mark == 0
    }
}

/// Whether a node chains journals, and its key.
#[derive(Clone, Debug, Default)]
pub struct Chaining {
    /// Whether sagas that begin here are chained.
    pub is_on: bool,
    /// Key of the links. None: the chain is open, and a login that may change the journal can make it again.
    pub key: Option<ChainKey>,
}

impl Chaining {
    /// Returns the chain of a saga that begins here; none if it is not chained.
    pub fn begin(&self) -> Option<Box<Chain>> {
        self.is_on.then(|| Box::new(Chain::new(self.own_key())))
    }

    /// Returns the chain of a saga with these rows, to go on with. A saga that is chained stays so, whatever this node
    /// chains. None: it is not chained, or its key is not here.
    pub fn resume(&self, id: Uuid, rows: &[JournalRow]) -> Option<Box<Chain>> {
        let mark = rows.iter().rev().find_map(|row| row.link.as_deref().and_then(mark_of));
        match (self.is_on, &self.key, mark) {
            (false, _, None) => return None,
            (_, None, Some(mark)) if mark != 0 => {
                tracing::warn!(saga.id = %id, "the journal is chained with a key that this node does not have (\
                               journal.chain_key); the rows that this node writes have no link");
                return None;
            }
            (..) => {}
        }
        let mut chain = Chain::new(self.own_key());
        for row in rows {
            match row.link.as_deref().and_then(Link::read) {
                Some(link) => chain.advance(link.hash),
                None => chain.span.push(Entry::stored(id, row, None)),
            }
        }
        Some(Box::new(chain))
    }

    fn own_key(&self) -> ChainKey {
        self.key.clone().unwrap_or_else(ChainKey::open)
    }
}

/// The end of a journal's chain: what the next link goes on from.
#[derive(Debug)]
pub struct Chain {
    key: ChainKey,
    /// The last link; zeros before the first one.
    head: Hash,
    /// The rows after it, which have no link.
    span: Vec<Entry>,
}

impl Chain {
    fn new(key: ChainKey) -> Self {
        Self { key, head: [0; DIGEST], span: Vec::new() }
    }

    /// Gives the next row its link. The chain goes on from it once the row is durable: [`Chain::accept`].
    pub fn link(&self, row: &mut Transition, lane: LaneId) {
        let salt: [u8; SALT] = rand::random();
        let end = row.end.as_ref().map(|end| (end.status.as_str(), end.result.as_ref().map(Json::get)));
        let entry = Entry::new(row.id, (row.seq, lane, row.kind), row.body.get(), end);
        let hash = link(&self.key, &self.head, self.span.iter().chain([&entry]), &salt);
        row.link = Some([&[self.key.mark][..], &hash, &salt].concat().into());
    }

    /// Goes on from the link of a row that is durable.
    pub fn accept(&mut self, link: &[u8]) {
        if let Some(link) = Link::read(link) {
            self.advance(link.hash);
        }
    }

    fn advance(&mut self, hash: Hash) {
        self.head = hash;
        self.span = Vec::new();
    }
}

/// A stored link.
struct Link {
    mark: u8,
    hash: Hash,
    rest: Rest,
}

/// What stands beside a link.
enum Rest {
    /// Salt of the content.
    Salt([u8; SALT]),
    /// Digest of the content that was erased.
    Erased(Hash),
}

impl Link {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (&mark, rest) = bytes.split_first()?;
        let (hash, rest) = rest.split_first_chunk::<DIGEST>()?;
        let rest = match rest.len() {
            SALT => Rest::Salt(rest.try_into().ok()?),
            DIGEST => Rest::Erased(rest.try_into().ok()?),
            _ => return None,
        };
        Some(Self { mark, hash: *hash, rest })
    }
}

/// Returns the mark of the key of a stored link; none for what is no link.
fn mark_of(bytes: &[u8]) -> Option<u8> {
    Link::read(bytes).map(|link| link.mark)
}

/// A row as a link covers it.
#[derive(Debug)]
struct Entry {
    /// What an erasure keeps, and where the row stands.
    head: Vec<u8>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Digest of the content, without the salt.
    Whole(Hash),
    /// Digest of the content with its salt; the content itself is gone.
    Erased(Hash),
}

impl Entry {
    /// `end`: status and result, if the row ended the saga.
    fn new(
        id: Uuid,
        (seq, lane, kind): (i32, LaneId, &str),
        body: &str,
        end: Option<(&'static str, Option<&str>)>,
    ) -> Self {
        let status = end.map_or("", |(status, _)| status);
        let mut head = Vec::with_capacity(160);
        head.extend_from_slice(id.as_bytes());
        head.extend_from_slice(&seq.to_be_bytes());
        head.extend_from_slice(&lane.0.to_be_bytes());
        for word in [kind, status] {
            head.extend_from_slice(&(word.len() as u64).to_be_bytes());
            head.extend_from_slice(word.as_bytes());
        }
        head.extend_from_slice(&Sha256::digest(facts::of_body(body)));
        let mut content = Sha256::new_with_prefix(body);
        if let Some((_, Some(result))) = end {
            // No body has a NUL: Postgres keeps none in a text.
            content.update([0]);
            content.update(result);
        }
        Self { head, content: Content::Whole(content.finalize().into()) }
    }

    /// Returns a row as it is stored.
    fn stored(id: Uuid, row: &JournalRow, end: Option<(&'static str, Option<&str>)>) -> Self {
        let entry = Self::new(id, (row.seq, row.lane, &row.kind), &row.body, end);
        let erased = match row.link.as_deref() {
            Some(bytes) => match Link::read(bytes).map(|link| link.rest) {
                Some(Rest::Erased(content)) => Some(content),
                Some(Rest::Salt(_)) => None,
                None => bytes.try_into().ok(),
            },
            None => None,
        };
        match erased {
            Some(content) => Self { content: Content::Erased(content), ..entry },
            None => entry,
        }
    }
}

/// Digests rows and the link before them.
fn link<'a>(key: &ChainKey, before: &Hash, rows: impl Iterator<Item = &'a Entry>, salt: &[u8]) -> Hash {
    let mut context = hmac::Context::with_key(&key.key);
    context.update(DOMAIN);
    context.update(before);
    for Entry { head, content } in rows {
        context.update(&(head.len() as u64).to_be_bytes());
        context.update(head);
        context.update(&match content {
            Content::Whole(content) => salted(salt, content),
            Content::Erased(content) => *content,
        });
    }
    let mut hash = [0; DIGEST];
    hash.copy_from_slice(context.sign().as_ref());
    hash
}

/// Digests a content with its salt, as `amends.erased_link` does.
fn salted(salt: &[u8], content: &Hash) -> Hash {
    Sha256::new_with_prefix(salt).chain_update(content).finalize().into()
}
