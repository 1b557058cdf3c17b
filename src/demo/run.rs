//! The run of a demo: starts the checkouts, injects failures, waits until all checkouts have ended, and audits sagas
//! and ledgers. Owns the order of these steps. `processes.rs` owns the processes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use uuid::Uuid;

use super::audit;
use super::chaos::{Chaos, Troubles};
use super::evidence;
use super::ledger::{self, LedgerError};
use super::processes::{self, Script, Stage, StageError, fault_arguments};
use super::report::{Reach, Report};
use super::reported::{self, Checkout, ClaimError};
use super::{DatabaseArgs, DemoArgs, Exit, Failure, Interrupt, Output, Place};
use crate::catalog;
use crate::config::demo::{
    CHAOS_STILL_MAX, DRAIN, LOOK_INTERVAL, NODE_BEGIN_MAX, START_INTERVAL, STILL_MAX, UNDER_WAY_MAX,
};
use crate::saga::state::Status;
use crate::saga::{Definition, Json};
use crate::store::{self, AtStart, Filter, PostgresConfig, Store};

/// Error that ends a demo early.
#[derive(Debug, thiserror::Error)]
pub(super) enum DemoError {
    /// Sagas could not be started or read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The claims could not be read.
    #[error(transparent)]
    Claims(#[from] ClaimError),
    /// The ledgers could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A process could not be started, or ended by itself.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The demo's own definition was refused.
    #[error("the demo's definition: {0}")]
    Definition(String),
    /// A condition was not met in time.
    #[error("expected {what} within {} s", STILL_MAX.as_secs())]
    Still {
        /// The condition, and what was found.
        what: String,
    },
    /// SIGINT or SIGTERM came.
    #[error("interrupted; run the demo again on this database to let the checkouts under way go on")]
    Interrupted,
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        let exit = match error {
            DemoError::Store(error) | DemoError::Claims(ClaimError::Store(error)) => return error.into(),
            DemoError::Ledger(_) => Exit::Database,
            DemoError::Claims(ClaimError::Journal { .. })
            | DemoError::Stage(_)
            | DemoError::Definition(_)
            | DemoError::Still { .. } => Exit::Failed,
            DemoError::Interrupted => Exit::Interrupted,
        };
        Self::new(exit, error.to_string())
    }
}

/// Runs the demo and prints its report.
pub(super) fn run(args: &DemoArgs, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    output.remark(&format!(
        "{} checkouts on {} nodes, {}% of the participants' calls fail on purpose (--seed {seed})",
        args.sagas,
        args.nodes,
        args.faults * 100.0
    ));
    if let Some(port) = args.metrics_port {
        output.remark(&format!(
            "each node serves its metrics: http://127.0.0.1:{port}/metrics and the ports that follow"
        ));
    }
    // One thread, the main one: children end with the thread that started them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let mut interrupt = Interrupt::catch(&runtime)?;
    let place = database.open_named()?;
    let played = runtime.block_on(play(args, seed, &place, &mut interrupt, output));
    // Closes the connections before the server.
    drop(runtime);
    let closed = place.close();
    let report = played?;
    closed?;
    if output.is_json() {
        output.value(&report.to_json())?;
    } else {
        for line in report.to_lines() {
            output.line(&line)?;
        }
    }
    if let Some(saga) = report.example {
        let place = database.data_dir.as_ref().map(|dir| format!(" --data-dir {}", dir.display()));
        // A verb would look where the environment says.
        let given = database.database_url.is_some() || std::env::var_os("DATABASE_URL").is_none();
        let program = if given { "amends" } else { "env -u DATABASE_URL amends" };
        output.remark(&format!("see one of them in detail: {program} show {saga}{}", place.unwrap_or_default()));
    }
    Ok(if report.holds() { Exit::Done } else { Exit::Failed })
}

async fn play(
    args: &DemoArgs,
    seed: u64,
    place: &Place,
    interrupt: &mut Interrupt,
    output: &Output,
) -> Result<Report, DemoError> {
    let (begun, url) = (Instant::now(), place.url());
    let store = Store::connect(PostgresConfig::parse(url)?).await?;
    store.migrate().await?;
    let text = processes::definition(args.chaos);
    let mut definitions = register(&store, "hotel_checkout.yaml", &text).await?;
    let definition = definitions.pop().ok_or_else(|| DemoError::Definition("the file is empty".to_owned()))?;
    // The part after `@` keeps bookings of different runs apart. The faults depend only on the part before it.
    let run = Uuid::now_v7().simple().to_string().split_off(24);
    let script = Script { file: "hotel_checkout.yaml", text, faults: fault_arguments(args.faults, seed) };
    let mut stage = Stage::set(&script, url, &run, args.metrics_port).await?;
    let bar = progress(args, output);
    let mut show = Show {
        args,
        seed,
        url,
        run: &run,
        store: &store,
        definition: &definition,
        stage: &mut stage,
        chaos: args.chaos.then(|| Chaos::begin(seed, place.own())),
        troubles: Troubles::default(),
        retried: 0,
        bar: bar.clone(),
        checkouts: Vec::new(),
    };
    let watched = tokio::select! {
        watched = show.watch() => watched,
        () = interrupt.next() => Err(DemoError::Interrupted),
    };
    let (checkouts, troubles) = (std::mem::take(&mut show.checkouts), show.troubles);
    let retried = show.retried;
    bar.finish_and_clear();
    // In any case the nodes hand back their sagas, and late effects land.
    let unwilling = tokio::select! {
        unwilling = stage.strike() => unwilling?,
        // A second signal: the remaining processes are killed with this one.
        () = interrupt.next() => return Err(DemoError::Interrupted),
    };
    for node in unwilling {
        output.remark(&format!("{node} did not end in time and was killed"));
    }
    if matches!(watched, Err(DemoError::Interrupted)) {
        stage.clear();
    }
    watched?;
    let reach = if place.own().is_some() { Reach::Postgres } else { Reach::Nodes };
    let chaos = args.chaos.then_some(reach);
    let report = Report { seed, troubles, retried, chaos, crm_restarts: stage.crm_restarts(), ..Report::default() };
    let report = judge(report, &store, &definition, url, &run, &checkouts).await?;
    let report = Report { wall: begun.elapsed(), ..report };
    if report.holds() {
        stage.clear();
    } else {
        output.remark(&format!("logs and settings: {}", stage.directory().display()));
    }
    Ok(report)
}

/// Builds the definitions of a file and registers them as the current ones.
pub(super) async fn register(
    store: &Store,
    file: &str,
    text: &str,
) -> Result<Vec<std::sync::Arc<Definition>>, DemoError> {
    let refused = |faults: String| DemoError::Definition(faults);
    let drafts = catalog::parse_definitions(file, text).map_err(|faults| refused(faults.to_string()))?;
    let mut definitions = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let definition = Definition::build(draft)
            .map_err(|faults| refused(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")))?;
        let draft = serde_json::to_string(definition.draft()).map_err(|error| refused(error.to_string()))?;
        store.put_definition(definition.digest(), definition.name(), &draft, &AtStart::default()).await?;
        definitions.push(definition);
    }
    Ok(definitions)
}

/// Audits the sagas and ledgers of this run.
async fn judge(
    report: Report,
    store: &Store,
    definition: &Definition,
    url: &str,
    run: &str,
    checkouts: &[Checkout],
) -> Result<Report, DemoError> {
    let (config, tls) = ledger::config(url)?.into_parts();
    let (client, connection) = config.connect(tls).await.map_err(LedgerError::from)?;
    let connection = tokio::spawn(connection);
    evidence::wait_for_participants(&client, 3 * DRAIN).await?;
    let evidence = evidence::read(&client, &format!("@{run}")).await?;
    drop(client);
    // The connection ends with its client; its result does not matter.
    let _ = connection.await;
    let (claims, told) = reported::read(store, definition, checkouts).await?;
    let count = |status| claims.iter().filter(|claim| claim.status == status).count();
    let mut faults = BTreeMap::new();
    for injected in &evidence.faults {
        *faults.entry(injected.fault).or_default() += 1;
    }
    let example = claims.iter().find(|claim| claim.status == Status::Compensated).or(claims.first());
    let asked: Vec<_> = checkouts.iter().map(|checkout| checkout.booking.clone()).collect();
    Ok(Report {
        sagas: checkouts.len(),
        completed: count(Status::Completed),
        compensated: count(Status::Compensated),
        stuck: count(Status::Stuck),
        faults,
        told,
        example: example.map(|claim| claim.saga),
        violations: audit::audit(&asked, &claims, &evidence, report.troubles),
        ..report
    })
}

/// A demo under way.
struct Show<'a> {
    args: &'a DemoArgs,
    seed: u64,
    url: &'a str,
    run: &'a str,
    store: &'a Store,
    definition: &'a Definition,
    stage: &'a mut Stage,
    chaos: Option<Chaos<'a>>,
    troubles: Troubles,
    /// Sagas that were stuck after chaos and retried.
    retried: usize,
    bar: ProgressBar,
    checkouts: Vec<Checkout>,
}

/// Counts of checkouts by status.
#[derive(Clone, Debug, Default, PartialEq)]
struct Standing {
    completed: usize,
    compensated: usize,
    /// Sagas that are stuck or abandoned.
    halted: Vec<Uuid>,
}

impl Standing {
    fn at_rest(&self) -> usize {
        self.completed + self.compensated + self.halted.len()
    }
}

impl Show<'_> {
    /// Starts the nodes and all checkouts, and waits until they are at rest. After chaos, retries the sagas whose
    /// processes died too often.
    async fn watch(&mut self) -> Result<(), DemoError> {
        for _ in 0..self.args.nodes {
            self.stage.add_node(self.url)?;
        }
        self.until_at_rest().await?;
        if self.chaos.take().is_some() {
            self.retry_put_aside().await?;
            self.until_at_rest().await?;
        }
        Ok(())
    }

    /// Starts the missing checkouts and waits until all are at rest, or none has come to rest for too long.
    async fn until_at_rest(&mut self) -> Result<(), DemoError> {
        let sagas = self.args.sagas as usize;
        let still_max = if self.chaos.is_some() { CHAOS_STILL_MAX } else { STILL_MAX };
        let under_way_max = UNDER_WAY_MAX * self.args.nodes as usize;
        let mut standing = Standing::default();
        let (mut looked, mut moved) = (Instant::now(), Instant::now());
        while standing.at_rest() < sagas && moved.elapsed() < still_max {
            let under_way = self.checkouts.len() - standing.at_rest();
            let share = self.chaos.as_ref().map_or(sagas, |chaos| chaos.share(self.troubles, sagas));
            if self.checkouts.len() < share && under_way < under_way_max {
                match self.start(self.checkouts.len() + 1).await {
                    Ok(checkout) => self.checkouts.push(checkout),
                    // The checkout's key makes the next start find this saga, if it was started.
                    Err(error) if self.args.chaos && is_passing(&error) => {}
                    Err(error) => return Err(error),
                }
                tokio::time::sleep(START_INTERVAL).await;
            } else {
                tokio::time::sleep(LOOK_INTERVAL).await;
            }
            if looked.elapsed() < LOOK_INTERVAL {
                continue;
            }
            self.stage.check(self.args.chaos.then_some(self.url))?;
            let now = match self.look().await {
                Err(error) if self.args.chaos && is_passing(&error) => standing.clone(),
                now => now?,
            };
            let waits_for_trouble = share < sagas && now.at_rest() >= share;
            if now != standing || waits_for_trouble {
                moved = Instant::now();
            }
            (looked, standing) = (Instant::now(), now);
            self.bar.set_position(standing.at_rest() as u64);
            self.bar.set_message(format!(
                "{} completed, {} compensated, {} stuck",
                standing.completed,
                standing.compensated,
                standing.halted.len()
            ));
            if standing.at_rest() < sagas {
                self.trouble(&standing).await?;
            }
        }
        Ok(())
    }

    /// Injects the failure that is due: with chaos all the time, else one killed node in mid-run.
    async fn trouble(&mut self, standing: &Standing) -> Result<(), DemoError> {
        if let Some(chaos) = &mut self.chaos {
            let made = chaos.next(&mut self.troubles, self.stage, self.url).await?;
            if let Some(made) = made {
                self.bar.println(made);
            }
        } else if self.args.kill && !self.args.chaos && self.troubles.nodes_killed == 0 && self.is_mid_run(standing) {
            self.kill().await?;
            self.troubles.nodes_killed += 1;
        }
        Ok(())
    }

    /// Waits until the database answers, and returns the counts.
    async fn calm(&self) -> Result<Standing, DemoError> {
        let begun = Instant::now();
        loop {
            match self.look().await {
                Err(error) if is_passing(&error) && begun.elapsed() < STILL_MAX => {}
                looked => return looked,
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Ends chaos: continues stopped nodes, and retries as an operator the sagas that are stuck because too many
    /// nodes died during them.
    async fn retry_put_aside(&mut self) -> Result<(), DemoError> {
        // These nodes are not counted: they may have been stopped for less than their lease.
        self.stage.continue_nodes(Duration::ZERO);
        let before = self.calm().await?.halted;
        let put_aside = reported::put_aside(self.store, self.definition, &before).await?;
        for (saga, request) in &put_aside {
            self.store.signal(*saga, request).await?;
        }
        self.retried = put_aside.len();
        let begun = Instant::now();
        while self.look().await?.halted.len() + self.retried > before.len() && begun.elapsed() < NODE_BEGIN_MAX {
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    /// Returns whether a third of the checkouts is at rest and others are under way.
    fn is_mid_run(&self, standing: &Standing) -> bool {
        let (sagas, at_rest) = (self.args.sagas as usize, standing.at_rest());
        at_rest >= sagas / 3 && at_rest < self.checkouts.len()
    }

    /// Kills a node, and starts another if it was the only one.
    async fn kill(&mut self) -> Result<(), DemoError> {
        if let Some(name) = self.stage.kill_node(self.seed).await? {
            self.bar.println(format!("{name} was killed"));
        }
        if self.stage.is_empty() {
            self.stage.add_node(self.url)?;
        }
        Ok(())
    }

    /// Starts the checkout with this number. After a lost answer, its key makes a second start find the first saga.
    async fn start(&self, number: usize) -> Result<Checkout, DemoError> {
        let booking = format!("B{number:05}@{}", self.run);
        let amount_cents = 5_000 + (number as i64 * 7_919) % 90_000;
        let input = json!({
            "booking": booking,
            "guest": format!("guest-{number}@example.com"),
            "room": format!("room {}", 100 + number % 400),
            "amount_cents": amount_cents,
        });
        let saga = self.store.start("hotel_checkout", &Json::from(input), Some(&booking)).await?;
        Ok(Checkout { saga, booking, amount_cents })
    }

    /// Counts this run's checkouts at rest. They are the newest of their definition, so the first pages have them.
    async fn look(&self) -> Result<Standing, DemoError> {
        let mut standing = Standing::default();
        let Some(oldest) = self.checkouts.iter().map(|checkout| checkout.saga).min() else {
            return Ok(standing);
        };
        let mine: std::collections::HashSet<_> = self.checkouts.iter().map(|checkout| checkout.saga).collect();
        let mut filter = Filter { definition: Some("hotel_checkout".to_owned()), ..Filter::default() };
        loop {
            let page = self.store.list(&filter).await?;
            for row in page.iter().filter(|row| mine.contains(&row.id)) {
                match row.status {
                    Status::Completed => standing.completed += 1,
                    Status::Compensated => standing.compensated += 1,
                    Status::Stuck | Status::Abandoned => standing.halted.push(row.id),
                    Status::Queued | Status::Running | Status::Compensating | Status::Paused => {}
                }
            }
            match page.last() {
                Some(last) if last.id > oldest => filter.before = Some(last.id),
                Some(_) | None => return Ok(standing),
            }
        }
    }
}

/// Returns whether an error of the database passes by itself.
fn is_passing(error: &DemoError) -> bool {
    matches!(error, DemoError::Store(store::Error::Unavailable(_) | store::Error::Busy(_)))
}

fn progress(args: &DemoArgs, output: &Output) -> ProgressBar {
    if output.is_json() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::from(args.sagas));
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
