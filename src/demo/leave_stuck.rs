//! `amends demo --leave-stuck`: makes one stuck saga of each kind, and keeps a node that carries out the operator's
//! remedies. Owns the cases, how each comes about and its remedy. `processes.rs` owns the processes.

use std::time::Instant;

use serde_json::json;
use uuid::Uuid;

use super::fault::Fault;
use super::ledger::{self, LedgerError};
use super::participant::PAYMENTS_SCHEMA;
use super::processes::{Script, Stage};
use super::run::{DemoError, register};
use super::{DatabaseArgs, Exit, Failure, Interrupt, Output};
use crate::config::demo::{LOOK_INTERVAL, STILL_MAX};
use crate::saga::Json;
use crate::saga::state::Status;
use crate::store::{PostgresConfig, Store};

/// The definitions, as the nodes load them.
const DEFINITIONS: &str = include_str!("leave_stuck.yaml");
/// Tools that fail at every call, and how.
const ALWAYS: [(&str, Fault); 4] = [
    ("create_charge", Fault::LostAnswer),
    ("email_receipt", Fault::Refused),
    ("release_room", Fault::Refused),
    ("revert_opportunity", Fault::Refused),
];

/// A kind of stuck saga.
struct Case {
    definition: &'static str,
    /// Cause.
    what: &'static str,
    /// Query that shows the operator what happened.
    evidence: &'static str,
    /// SQL function of the remedy, and its arguments after the saga.
    function: &'static str,
    arguments: &'static str,
}

const CASES: [Case; 4] = [
    Case {
        definition: "demo_in_doubt",
        what: "in doubt: the charge was sent, no answer came, and the call must not be repeated",
        evidence: "select * from demo_payments.effect",
        function: "resolve",
        arguments: "'charge', 'applied', null, 'seen in the ledger of payments'",
    },
    Case {
        definition: "demo_past_the_pivot",
        what: "failed past the pivot: the booking is closed, and the receipt cannot be mailed",
        evidence: "select * from demo_crm.fault",
        function: "skip",
        arguments: "'email_receipt', null, 'mailed by hand'",
    },
    Case {
        definition: "demo_not_undone",
        what: "compensation failed: the saga turned back, and the opportunity cannot be reverted",
        evidence: "select * from demo_crm.fault",
        function: "skip",
        arguments: "'advance_opportunity', null, 'reverted by hand'",
    },
    Case {
        definition: DIES,
        what: "process died: each node that tried the charge alone died during it",
        evidence: "select * from demo_payments.effect",
        function: "resolve",
        arguments: "'charge', 'applied', null, 'seen in the ledger of payments'",
    },
];

/// Deaths until the call is stuck: two put the saga into quarantine, three more are lone trials.
const DEATHS: u32 = 5;

/// The case that kills nodes; it runs after the others are at rest.
const DIES: &str = "demo_process_died";

impl Case {
    fn remedy(&self, saga: Uuid) -> String {
        format!("select amends.{}('{saga}', {})", self.function, self.arguments)
    }
}

/// Makes the sagas, prints them, and stays until a signal comes.
pub(super) fn run(metrics_port: Option<u16>, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    // One thread, the main one: children end with the thread that started them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let mut interrupt = Interrupt::catch(&runtime)?;
    let place = database.open_named()?;
    let played = runtime.block_on(play(place.url(), metrics_port, &mut interrupt, output));
    // Closes the connections before the server.
    drop(runtime);
    let closed = place.close();
    played?;
    closed?;
    Ok(Exit::Done)
}

async fn play(url: &str, metrics_port: Option<u16>, interrupt: &mut Interrupt, output: &Output) -> Result<(), Failure> {
    let run = Uuid::now_v7().simple().to_string().split_off(24);
    let script = Script { file: "leave_stuck.yaml", text: DEFINITIONS.into(), faults: faults() };
    let store = Store::connect(PostgresConfig::parse(url)?).await?;
    store.migrate().await?;
    register(&store, script.file, &script.text).await?;
    output.remark("bringing four sagas to where each needs a person; this takes two minutes");
    let mut stage = Stage::set(&script, url, &run, metrics_port).await.map_err(DemoError::from)?;
    let stood = {
        let mut scene = Scene { url, run: &run, store: &store, stage: &mut stage };
        let stays = async {
            let sagas = scene.reach().await?;
            tell(url, &sagas, output)?;
            scene.stay().await
        };
        tokio::select! {
            stood = stays => stood,
            () = interrupt.next() => Ok(()),
        }
    };
    let struck = tokio::select! {
        struck = stage.strike() => struck.map(drop).map_err(|error| DemoError::from(error).into()),
        // A second signal: the remaining processes are killed with this one.
        () = interrupt.next() => Err(DemoError::Interrupted.into()),
    };
    match stood.and(struck) {
        Ok(()) => stage.clear(),
        Err(failure) => {
            output.remark(&format!("logs and settings: {}", stage.directory().display()));
            return Err(failure);
        }
    }
    Ok(())
}

fn faults() -> Vec<String> {
    ALWAYS.iter().flat_map(|(tool, fault)| ["--always".to_owned(), format!("{tool}={}", fault.as_str())]).collect()
}

/// Prints the stuck sagas and the remedy of each.
fn tell(url: &str, sagas: &[(&Case, Uuid)], output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        let stuck: Vec<_> = sagas
            .iter()
            .map(|(case, saga)| {
                json!({
                    "saga": saga,
                    "definition": case.definition,
                    "what": case.what,
                    "evidence": case.evidence,
                    "remedy": case.remedy(*saga),
                })
            })
            .collect();
        return output.value(&json!({ "stuck": stuck }));
    }
    for (case, saga) in sagas {
        output.line(&format!("{saga}  {}", case.what))?;
        output.line(&format!("    evidence  {};", case.evidence))?;
        output.line(&format!("    remedy    {};", case.remedy(*saga)))?;
    }
    output.remark(&format!("see and act: psql '{url}' -c 'select * from amends.stuck'"));
    output.remark("a node carries out your remedies until Ctrl-C; sagas that are still stuck stay in the database");
    Ok(())
}

/// The environment in which the sagas get stuck.
struct Scene<'a> {
    url: &'a str,
    run: &'a str,
    store: &'a Store,
    stage: &'a mut Stage,
}

impl Scene<'_> {
    /// Brings each case to where it needs a person. Kills nodes for the last case only after the others are at rest.
    async fn reach(&mut self) -> Result<Vec<(&'static Case, Uuid)>, DemoError> {
        self.stage.add_node(self.url)?;
        let mut sagas = Vec::new();
        for case in CASES.iter().filter(|case| case.definition != DIES) {
            sagas.push((case, self.start(case).await?));
        }
        for (_, saga) in &sagas {
            self.until_stuck(*saga).await?;
        }
        for case in CASES.iter().filter(|case| case.definition == DIES) {
            let saga = self.start(case).await?;
            self.kill_each_owner(&self.booking(case)).await?;
            self.until_stuck(saga).await?;
            sagas.push((case, saga));
        }
        Ok(sagas)
    }

    /// Watches the processes until one ends unexpectedly.
    async fn stay(&mut self) -> Result<(), Failure> {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            self.stage.check(None).map_err(DemoError::from)?;
        }
    }

    fn booking(&self, case: &Case) -> String {
        format!("{}@{}", case.definition, self.run)
    }

    async fn start(&self, case: &Case) -> Result<Uuid, DemoError> {
        let booking = self.booking(case);
        let input = json!({ "booking": booking, "guest": "guest@example.com", "room": "room 100" });
        Ok(self.store.start(case.definition, &Json::from(input), Some(&booking)).await?)
    }

    async fn until_stuck(&mut self, saga: Uuid) -> Result<(), DemoError> {
        let begun = Instant::now();
        loop {
            self.stage.check(None)?;
            let status = self.store.saga(saga).await?.map(|row| row.status);
            if status == Some(Status::Stuck) {
                return Ok(());
            }
            if begun.elapsed() > STILL_MAX {
                let found = status.map_or("none", Status::as_str);
                return Err(DemoError::Still { what: format!("saga {saga} to be stuck, found {found}") });
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Kills the node that makes the charge for a booking, [`DEATHS`] times.
    async fn kill_each_owner(&mut self, booking: &str) -> Result<(), DemoError> {
        let (config, tls) = ledger::config(self.url)?.into_parts();
        let (client, connection) = config.connect(tls).await.map_err(LedgerError::from)?;
        let connection = tokio::spawn(connection);
        let sql = format!(
            "select coalesce(max(calls), 0)::int from {PAYMENTS_SCHEMA}.call
             where tool = 'create_charge' and booking = $1"
        );
        for death in 1..=DEATHS {
            let begun = Instant::now();
            loop {
                self.stage.check(None)?;
                let row = client.query_one(&sql, &[&booking]).await.map_err(LedgerError::from)?;
                if row.try_get::<_, i32>(0).map_err(LedgerError::from)?.unsigned_abs() >= death {
                    break;
                }
                if begun.elapsed() > STILL_MAX {
                    return Err(DemoError::Still { what: format!("call {death} of create_charge for {booking}") });
                }
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
            self.stage.kill_node(0).await?;
            self.stage.add_node(self.url)?;
        }
        drop(client);
        // The connection ends with its client; its result does not matter.
        let _ = connection.await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tool::{CRM, PAYMENTS};
    use super::*;

    #[test]
    fn every_case_has_its_definition_and_every_fault_its_tool() {
        let drafts = crate::catalog::parse_definitions("leave_stuck.yaml", DEFINITIONS);
        let drafts = drafts.unwrap_or_else(|faults| panic!("{faults}"));
        let mut names: Vec<_> = drafts
            .into_iter()
            .map(|draft| {
                let definition = crate::saga::Definition::build(draft).unwrap_or_else(|faults| panic!("{faults:?}"));
                definition.name().to_owned()
            })
            .collect();
        names.sort_unstable();
        let mut cases = CASES.map(|case| case.definition);
        cases.sort_unstable();
        assert_eq!(names, cases);
        for (tool, _) in ALWAYS {
            assert!(PAYMENTS.iter().chain(CRM).any(|known| known.name == tool), "{tool}");
        }
    }
}
