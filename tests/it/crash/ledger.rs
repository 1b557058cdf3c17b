//! The participants' own ledger, and what they do. Owns what is true about effects; a runtime's word about a saga is
//! held against it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use amends::participant::{Failure, Handlers, StepContext};
use amends::step_transaction::Transaction;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_postgres::Client;

use super::definitions::{Habits, TIMEOUT_MS};

/// Tables of the participants. What is idempotent is so by its key; the others write whatever they are told.
pub(crate) const SQL: &str = "create schema ledger;
    create table ledger.effect (
        saga text not null, step text not null, key text not null, repeatable boolean not null);
    create unique index on ledger.effect (key) where repeatable;
    create index on ledger.effect (saga, step);
    create table ledger.undo (saga text not null, step text not null, key text primary key);
    create index on ledger.undo (saga, step);
    create table ledger.seen (
        saga text not null, at timestamptz not null default clock_timestamp(),
        node text not null default current_setting('application_name'));
    create table ledger.told (saga text primary key);";

/// How long one connection is used.
const KEPT: Duration = Duration::from_secs(2);

/// The way to the ledger, found anew when it is lost.
pub(crate) struct Ledger {
    url: String,
    /// Since when it is there. One that has fallen silent is never closed, so none is kept for long.
    client: Mutex<Option<(Instant, Arc<Client>)>>,
    habits: Habits,
    calls: AtomicU32,
}

impl Ledger {
    pub(crate) fn at(url: &str, habits: Habits) -> Arc<Self> {
        let (url, client, calls) = (url.to_owned(), Mutex::new(None), AtomicU32::new(0));
        Arc::new(Self { url, client, habits, calls })
    }

    /// A connection of somebody's own, for a transaction.
    pub(crate) async fn own_client(&self) -> Result<Client, String> {
        let opened = tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await;
        let (client, connection) = opened.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn client(&self) -> Result<Arc<Client>, Failure> {
        let mut kept = self.client.lock().await;
        let is_good = |(since, client): &&(Instant, Arc<Client>)| since.elapsed() < KEPT && !client.is_closed();
        if let Some((_, client)) = kept.as_ref().filter(is_good) {
            return Ok(client.clone());
        }
        let opened = tokio_postgres::connect(&self.url, tokio_postgres::NoTls).await;
        let (client, connection) = opened.map_err(|error| Failure::retryable("closed", error.to_string()))?;
        tokio::spawn(connection);
        let client = Arc::new(client);
        *kept = Some((Instant::now(), client.clone()));
        Ok(client)
    }

    /// Makes an effect, unless its time is over: what is sent later than it may still land is not carried out.
    pub(crate) async fn write(&self, effect: &Effect, repeatable: bool) -> Result<Value, Failure> {
        let client = self.client().await?;
        let sql = "insert into ledger.effect select $1, $2, $3, $4
                   where clock_timestamp() < to_timestamp($5) on conflict do nothing";
        let Effect { saga, step, key, until } = effect;
        let written = client.execute(sql, &[saga, step, key, &repeatable, until]).await;
        written.map_err(|error| broken(&error))?;
        Ok(json!({ "key": key }))
    }
}

/// Whoever makes effects in a transaction of their own.
type Transacting<'a> = tokio_postgres::Transaction<'a>;

/// What an effect is written under.
pub(crate) struct Effect {
    saga: String,
    step: String,
    key: String,
    /// Seconds since the Unix epoch.
    until: f64,
}

impl Effect {
    fn from_context(context: &StepContext, habits: Habits) -> Self {
        let (saga, step) = (context.saga().to_string(), context.step().to_owned());
        Self::new(saga, step, context.key().to_owned(), habits)
    }

    /// What is asked for now.
    pub(crate) fn new(saga: String, step: String, key: String, habits: Habits) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let lasts = Duration::from_millis(TIMEOUT_MS + habits.settle_ms * 3 / 4);
        Self { saga, step, key, until: (now + lasts).as_secs_f64() }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Makes it, however late.
    pub(crate) async fn insert(&self, client: &Transacting<'_>) -> Result<u64, tokio_postgres::Error> {
        let sql = "insert into ledger.effect values ($1, $2, $3, false)";
        client.execute(sql, &[&self.saga, &self.step, &self.key]).await
    }

    /// Undoes it; its key is that of the action.
    pub(crate) async fn undo(&self, client: &Transacting<'_>) -> Result<u64, tokio_postgres::Error> {
        let sql = "insert into ledger.undo values ($1, $2, $3) on conflict do nothing";
        client.execute(sql, &[&self.saga, &self.step, &self.key]).await
    }

    /// Whether it was made.
    pub(crate) async fn is_there(&self, client: &Transacting<'_>) -> Result<bool, tokio_postgres::Error> {
        let sql = "select exists (select from ledger.effect where key = $1)";
        Ok(client.query_one(sql, &[&self.key]).await?.get(0))
    }

    /// Whether it was undone; its key is that of the action.
    pub(crate) async fn is_undone(&self, client: &Transacting<'_>) -> Result<bool, tokio_postgres::Error> {
        let sql = "select exists (select from ledger.undo where key = $1)";
        Ok(client.query_one(sql, &[&self.key]).await?.get(0))
    }
}

fn broken(error: &tokio_postgres::Error) -> Failure {
    // Whether it was carried out is not known.
    Failure::unknown("ledger", error.to_string())
}

/// The participants. Naughty ones make an effect twice, lose answers and let effects land after their time-out.
pub(crate) fn handlers(ledger: &Arc<Ledger>) -> Handlers {
    let of = |ledger: &Arc<Ledger>| ledger.clone();
    let (effects, once, slow, flaky) = (of(ledger), of(ledger), of(ledger), of(ledger));
    let (undone, asked, held, told) = (of(ledger), of(ledger), of(ledger), of(ledger));
    Handlers::new()
        .register_transactional("effect_within", |context: StepContext, ledger: Transaction, _: Value| async move {
            let (saga, step) = (context.saga().to_string(), context.step().to_owned());
            let sql = "insert into ledger.effect values ($1, $2, $3, false)";
            ledger.execute(sql, &[&saga, &step, &context.key()]).await?;
            Ok::<_, Failure>(json!({ "key": context.key() }))
        })
        .register_transactional("undo_within", |context: StepContext, ledger: Transaction, _: Value| async move {
            let (saga, step) = (context.saga().to_string(), context.step().to_owned());
            let sql = "insert into ledger.undo values ($1, $2, $3)";
            ledger.execute(sql, &[&saga, &step, &context.action_key().unwrap_or_default()]).await?;
            Ok::<_, Failure>(Value::Null)
        })
        .register("effect", move |context: StepContext, _: Value| {
            let ledger = effects.clone();
            async move { make(&ledger, &context, true).await }
        })
        .register("once", move |context: StepContext, _: Value| {
            let ledger = once.clone();
            async move { make(&ledger, &context, false).await }
        })
        .register("slow", move |context: StepContext, _: Value| {
            let ledger = slow.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(900)).await;
                ledger.write(&Effect::from_context(&context, ledger.habits), true).await
            }
        })
        .register("flaky", move |context: StepContext, _: Value| {
            let ledger = flaky.clone();
            async move {
                // By its own count: by one that others share, chance could refuse one saga each time.
                match context.attempt() % 3 {
                    1 => Err(Failure::retryable("busy", "nothing was done")),
                    _ => ledger.write(&Effect::from_context(&context, ledger.habits), true).await,
                }
            }
        })
        .register("hold", move |context: StepContext, _: Value| {
            let ledger = held.clone();
            async move {
                let sql = "insert into ledger.seen (saga) values ($1)";
                let written = ledger.client().await?.execute(sql, &[&context.saga().to_string()]).await;
                written.map_err(|error| broken(&error))?;
                if context.attempt() == 1 {
                    std::future::pending::<()>().await;
                }
                Ok::<_, Failure>(Value::Null)
            }
        })
        .register("tell", move |context: StepContext, _: Value| {
            let ledger = told.clone();
            async move {
                if ledger.calls.fetch_add(1, Ordering::SeqCst) % 3 == 0 {
                    return Err(Failure::retryable("closed", "nobody is here"));
                }
                let sql = "insert into ledger.told values ($1) on conflict do nothing";
                let written = ledger.client().await?.execute(sql, &[&context.saga().to_string()]).await;
                written.map_err(|error| broken(&error))?;
                Ok::<_, Failure>(Value::Null)
            }
        })
        .register("refuse", move |_: StepContext, _: Value| async move {
            Err::<Value, _>(Failure::permanent("declined", "no"))
        })
        .register("undo", move |context: StepContext, _: Value| {
            let ledger = undone.clone();
            async move {
                let (saga, step) = (context.saga().to_string(), context.step().to_owned());
                let sql = "insert into ledger.undo values ($1, $2, $3) on conflict do nothing";
                let (client, key) = (ledger.client().await?, context.action_key().unwrap_or_default());
                client.execute(sql, &[&saga, &step, &key]).await.map_err(|error| broken(&error))?;
                Ok(Value::Null)
            }
        })
        .register("find", move |context: StepContext, _: Value| {
            let ledger = asked.clone();
            async move {
                let sql = "select exists (select from ledger.effect where key = $1)";
                let client = ledger.client().await?;
                let found = client.query_one(sql, &[&context.key()]).await.map_err(|error| broken(&error))?;
                Ok(json!({ "found": found.get::<_, bool>(0) }))
            }
        })
}

/// Makes an effect in one way or another; every fifth answer is lost.
async fn make(ledger: &Arc<Ledger>, context: &StepContext, repeatable: bool) -> Result<Value, Failure> {
    let (habits, effect) = (ledger.habits, Effect::from_context(context, ledger.habits));
    if habits.forgetful && !repeatable && context.attempt() == 1 {
        ledger.write(&effect, repeatable).await?;
        return Err(Failure::unknown("lost", "the answer was lost"));
    }
    match (ledger.calls.fetch_add(1, Ordering::SeqCst) % 10, habits.naughty) {
        (1 | 6, _) => {
            ledger.write(&effect, repeatable).await?;
            Err(Failure::unknown("lost", "the answer was lost"))
        }
        (3, true) => {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(TIMEOUT_MS + habits.settle_ms / 2)).await;
                // Nobody waits for it any more.
                let _ = ledger.write(&effect, repeatable).await;
            });
            std::future::pending().await
        }
        (4, true) if repeatable => {
            ledger.write(&effect, repeatable).await?;
            // Whatever becomes of the second one, the first was carried out.
            let second = ledger.write(&effect, repeatable).await;
            second.map_err(|_| Failure::unknown("twice", "the second one was not answered"))
        }
        _ => ledger.write(&effect, repeatable).await,
    }
}

/// What breaks the promise: sagas whose word and whose effects differ.
pub(crate) async fn audit(client: &Client) -> Vec<String> {
    let sql = "with call as (
            select s.id::text as saga, d.name as definition, s.status, p.step
            from amends.saga_done s join amends.definition d on d.id = s.definition
            cross join lateral (select x->>'name' as step from json_array_elements(d.draft::json->'steps') x
                                where x->'action'->'await' is null and x->'action'->'sleep' is null) p
        ), counted as (
            select c.*, (select count(*) from ledger.effect e where e.saga = c.saga and e.step = c.step) as done,
                   (select count(*) from ledger.undo u where u.saga = c.saga and u.step = c.step) as undone
            from call c
        )
        select format(E'%s %s is %s, but %s took effect %s times and was undone %s times\n%s',
                      definition, saga, status, step, done, undone,
                      (select string_agg(format('  %s %s %s', j.seq, j.kind, left(j.body, 200)), E'\n' order by j.seq)
                       from amends.journal j where j.id = saga::uuid))
        from counted
        where case status when 'completed' then (done, undone) <> (1, 0) or definition like '%\\_back'
                          when 'compensated' then done <> undone or done > 1 or definition not like '%\\_back'
                          else true end
        union all
        select format('%s was undone and never done', key) from ledger.undo
        where key not in (select key from ledger.effect)
        union all
        select format('%s %s has ended, and nobody was told nor will be', definition, saga) from call
        where definition like 'turns%' and step = 'a'
          and saga not in (select saga from ledger.told union all select id::text from amends.outbox)
        union all
        select format('%s belongs to no saga', key) from ledger.effect
        where saga not in (select id::text from amends.saga_done union all select id::text from amends.live_saga)";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
