//! `amends verify`: verifies journals against their chains. Owns the options, the keys and the report.

use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use super::bulk::millis;
use super::database::{DatabaseArgs, Schema};
use super::failure::{Exit, Failure};
use super::output::Output;
use crate::config::cli::VERIFY_SHOWN_MAX;
use crate::saga::definition::Millis;
use crate::store::{ChainKey, SagaRange, Store, Verified};

/// `amends verify`.
///
/// Verifies journals that are chained (`journal.chain` of the settings): finds rows that were changed, removed,
/// inserted or moved, and tells an erasure from a change. The exit code is 1 at a fault.
///
/// Not found: rows that were removed from the end of a saga that has not ended, a saga that was removed with its
/// journal, and without a key a chain that was made again.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Verification {
    /// Id of a saga. It is a fault if its journal is not chained.
    #[arg(value_name = "ID", required_unless_present_any = ["definition", "since", "before", "all"],
          conflicts_with_all = ["definition", "since", "before", "all"])]
    saga: Option<Uuid>,
    /// All sagas of this definition.
    #[arg(long, value_name = "NAME")]
    definition: Option<String>,
    /// Only sagas that were started at this time or later, such as 2026-03-01T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = millis)]
    since: Option<Millis>,
    /// Only sagas that were started before this time.
    #[arg(long, value_name = "TIME", value_parser = millis)]
    before: Option<Millis>,
    /// All sagas.
    #[arg(long)]
    all: bool,
    /// It is a fault if a journal is not chained.
    #[arg(long)]
    chained: bool,
    /// Key of the chains. Set it in the environment: other users of the machine see options. Default: the keys of the
    /// settings, if there is a settings file.
    #[arg(long, env = "AMENDS_CHAIN_KEY", hide_env_values = true, value_name = "KEY")]
    chain_key: Option<String>,
}

impl Verification {
    fn keys(&self, database: &DatabaseArgs) -> Result<Vec<ChainKey>, Failure> {
        if let Some(key) = self.chain_key.as_deref().filter(|key| !key.is_empty()) {
            return Ok(vec![ChainKey::new(key)]);
        }
        let Some(settings) = database.settings()? else { return Ok(Vec::new()) };
        let keys = settings.journal.chain_key.iter().chain(&settings.journal.former_chain_keys);
        Ok(keys.map(|key| ChainKey::new(key.expose())).collect())
    }
}

/// What is wrong with a journal that must be chained and is not.
const UNCHAINED: &str = "no row has a link that counts: the journal is not chained, or not with the key that is \
                         given, or the links were removed";

/// What was found so far.
#[derive(Debug, Default)]
struct Report {
    sagas: u64,
    rows: u64,
    unchained: u64,
    erased: u64,
    faulty: u64,
    faults: u64,
    /// The first `VERIFY_SHOWN_MAX` faults.
    shown: Vec<Value>,
    /// The last link of the last saga.
    head: Option<String>,
}

impl Report {
    /// Adds a saga. `chained`: it must be chained.
    fn add(&mut self, id: Uuid, verified: Verified, chained: bool) {
        let Verified { rows, linked, erased, faults, mut found, head } = verified;
        let mut show = |row: Option<i32>, word: &str, text: String| {
            if self.shown.len() < VERIFY_SHOWN_MAX {
                self.shown.push(json!({ "saga": id, "row": row, "fault": word, "found": text }));
            }
        };
        for fault in &faults {
            show(fault.row(), fault.word(), fault.to_string());
        }
        if linked == 0 {
            self.unchained += 1;
            if chained {
                found += 1;
                show(None, "unchained", UNCHAINED.to_owned());
            }
        }
        self.sagas += 1;
        self.rows += rows;
        self.erased += u64::from(erased > 0);
        self.faulty += u64::from(found > 0);
        self.faults += found;
        self.head = head;
    }
}

/// Verifies journals and prints what does not fit.
pub(super) fn run(args: &Verification, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let keys = args.keys(database)?;
    let report = database.run(Schema::Current, async |store| match args.saga {
        Some(id) => one(store, id, &keys).await,
        None => many(store, args, &keys).await,
    })?;
    let exit = if report.faults == 0 { Exit::Done } else { Exit::Failed };
    let Report { sagas, rows, unchained, erased, faulty, faults, shown, head } = report;
    if output.is_json() {
        let mut value = json!({ "ok": faults == 0, "sagas": sagas, "rows": rows, "unchained": unchained,
                                "erased": erased, "faulty": faulty, "found": faults, "faults": shown });
        if args.saga.is_some() {
            value["head"] = json!(head);
        }
        output.value(&value)?;
        return Ok(exit);
    }
    for one in &shown {
        let [saga, found] = ["saga", "found"].map(|name| one[name].as_str().unwrap_or_default());
        output.line(&format!("fault in {saga}: {found}"))?;
    }
    if faults > shown.len() as u64 {
        output.line(&format!("and {} more faults", faults - shown.len() as u64))?;
    }
    let erasures = if erased == 0 { "" } else { "; amends.erasures says who erased by request, when and why" };
    output.line(&format!(
        "verified {sagas} sagas with {rows} rows: {faulty} with a fault, {unchained} not chained, {erased} \
         erased{erasures}"
    ))?;
    if let Some(head) = head.filter(|_| args.saga.is_some()) {
        output.line(&format!("last link {head}"))?;
    }
    Ok(exit)
}

async fn one(store: &Store, id: Uuid, keys: &[ChainKey]) -> Result<Report, Failure> {
    let verified = store.verify(id, keys).await?;
    let verified = verified.ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("expected the id of a saga, found {id}, which no saga has"))
    })?;
    let mut report = Report::default();
    report.add(id, verified, true);
    Ok(report)
}

/// Verifies sagas page by page, so that the memory does not grow with them.
async fn many(store: &Store, args: &Verification, keys: &[ChainKey]) -> Result<Report, Failure> {
    let range = SagaRange { definition: args.definition.clone(), since: args.since, before: args.before };
    let (mut report, mut after) = (Report::default(), Uuid::nil());
    loop {
        let page = store.to_verify(&range, after).await?;
        let Some(last) = page.last() else { return Ok(report) };
        after = *last;
        for id in page {
            // None: its rows went with their retention meanwhile.
            if let Some(verified) = store.verify(id, keys).await? {
                report.add(id, verified, args.chained);
            }
        }
    }
}
