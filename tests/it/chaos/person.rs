//! What is left to a person when all misfortune is over. Owns which stuck sagas truly need one, by evidence of the
//! test's own, and what that person then does; any other stuck saga is a broken promise.

use std::collections::BTreeMap;
use std::fmt;

use amends::saga::event::{Finding, Request};
use amends::store::Store;
use serde_json::json;
use tokio_postgres::Client;
use uuid::Uuid;

use super::HABITS;

/// Deaths of its process after which a call is put aside.
const DEATHS: i64 = 3;

/// Why a step truly needs a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// It is in doubt, and its participant knows no keys and cannot be asked.
    NoMeans,
    /// Processes died during it again and again.
    Deaths,
}

/// Whoever looks at what is stuck.
#[derive(Default)]
pub(super) struct Person {
    /// Steps that needed one.
    found: BTreeMap<(Uuid, String), Need>,
    /// Sagas that are stuck for no true reason, with their journals.
    faults: BTreeMap<Uuid, String>,
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |need| self.found.values().filter(|found| **found == need).count();
        let (means, deaths) = (count(Need::NoMeans), count(Need::Deaths));
        write!(f, "looked up by a person: {means} in doubt without key or probe, {deaths} after {DEATHS} deaths")
    }
}

impl Person {
    /// Sagas that need nobody and are stuck.
    pub(super) fn is_given_up(&self, saga: Uuid) -> bool {
        self.faults.contains_key(&saga)
    }

    pub(super) fn faults(self) -> impl Iterator<Item = String> {
        self.faults.into_values()
    }

    /// What was put aside since processes died that took it up is to be tried again; nothing else is stuck as a whole.
    async fn look_at_whole(&mut self, client: &Client, store: &Store, saga: Uuid, reason: &str) {
        let sql = "select deaths from amends.saga where id = $1";
        let counted = client.query_opt(sql, &[&saga]).await.unwrap().map_or(0, |row| row.get::<_, i16>(0));
        if reason != "process_died" || i64::from(counted) < DEATHS {
            let fault = format!("{saga} is stuck ({reason}) after {counted} deaths, and needs nobody");
            self.faults.insert(saga, fault);
            return;
        }
        self.found.insert((saga, "all of it".to_owned()), Need::Deaths);
        // What has gone on since does not need it.
        let _ = store.signal(saga, &Request::Resume { reason: "looked at it".into() }).await;
    }

    /// Looks at each stuck step of a saga and does what only a person can.
    pub(super) async fn look_at(&mut self, client: &Client, store: &Store, saga: Uuid, definition: &str) {
        let sql = "select step, direction, reason, in_doubt, legal, attempts from amends.stuck where saga = $1";
        for row in client.query(sql, &[&saga]).await.unwrap() {
            let (step, direction, reason): (Option<String>, Option<String>, String) =
                (row.get(0), row.get(1), row.get(2));
            let (Some(step), Some(direction)) = (step, direction) else {
                self.look_at_whole(client, store, saga, &reason).await;
                continue;
            };
            let (in_doubt, legal): (bool, Vec<String>) = (row.get(3), row.get(4));
            let attempts = row.get::<_, i32>(5).try_into().unwrap();
            // Those definitions have one step whose participant knows no keys and cannot be asked.
            let is_bare = definition.starts_with("bare") && step == "x" && direction == "action";
            let need = match &*reason {
                "in_doubt" if in_doubt && is_bare => Some(Need::NoMeans),
                "process_died" if deaths(client, saga, &step, &direction).await >= DEATHS => Some(Need::Deaths),
                _ => None,
            };
            let Some(need) = need else {
                let journal = journal(client, saga).await;
                let fault = format!(
                    "{definition} {saga}: {direction} of {step} is stuck ({reason}), and needs nobody\n{journal}"
                );
                self.faults.insert(saga, fault);
                continue;
            };
            self.found.insert((saga, step.clone()), need);
            let request = match is_bare && in_doubt {
                true if !has_settled(client, saga).await => continue,
                true => resolve(client, saga, &step, attempts).await,
                false => Request::Retry { step: step.clone(), new_key: false, reason: "looked at it".into() },
            };
            let verb = if is_bare && in_doubt { "resolve" } else { "retry" };
            if !legal.iter().any(|legal| legal.starts_with(&format!("{verb} {step}"))) {
                let journal = journal(client, saga).await;
                let fault = format!("{definition} {saga}: {step} cannot be told to {verb}: {legal:?}\n{journal}");
                self.faults.insert(saga, fault);
                continue;
            }
            // What has gone on since does not need it.
            let _ = store.signal(saga, &request).await;
        }
    }
}

/// Tells what the participants' ledger says.
async fn resolve(client: &Client, saga: Uuid, step: &str, attempts: u32) -> Request {
    let sql = "select key from ledger.effect where saga = $1 and step = $2";
    let found = client.query_opt(sql, &[&saga.to_string(), &step]).await.unwrap();
    let finding = match found.map(|row| row.get::<_, String>(0)) {
        Some(key) => Finding::Applied { output: json!({ "key": key }).into() },
        None => Finding::Absent,
    };
    Request::Resolve { step: step.to_owned(), finding, attempts: Some(attempts), reason: "looked it up".into() }
}

/// An absence proves nothing while an effect can still land; a person knows that as well as a probe.
async fn has_settled(client: &Client, saga: Uuid) -> bool {
    let sql = "select coalesce(max(j.at), '-infinity') < clock_timestamp() - $2::bigint * interval '1 ms'
        from amends.journal j where j.id = $1 and j.kind in ('attempt_ended', 'owner_lost')";
    let window_ms = i64::try_from(HABITS.settle_ms).unwrap();
    client.query_one(sql, &[&saga, &window_ms]).await.unwrap().get(0)
}

/// How often a process died when this call may have been under way: after all that comes before it had ended.
async fn deaths(client: &Client, saga: Uuid, step: &str, direction: &str) -> i64 {
    let sql = "with d as (
            select amends.step_names(g.id, d.draft::json) as names,
                   case when $3 = 'compensation' then array[$2::text]
                        else array(select json_array_elements_text(s -> 'needs')
                                   from json_array_elements(d.draft::json -> 'steps') s where s ->> 'name' = $2)
                   end as before
            from amends.live_saga g join amends.definition d on d.id = g.definition where g.id = $1
        ), ended as (
            select j.seq, amends.readable(j.body) -> j.kind as e from amends.journal j
            where j.id = $1 and j.kind in ('attempt_ended', 'probe_answered')
        )
        select count(*) from amends.journal j
        where j.id = $1 and j.kind = 'owner_lost' and j.seq > (
            select coalesce(max(ended.seq), 0) from ended cross join d
            where e ->> 'direction' = 'action' and d.names[(e ->> 'step')::int + 1] = any (d.before))";
    client.query_one(sql, &[&saga, &step, &direction]).await.unwrap().get(0)
}

async fn journal(client: &Client, saga: Uuid) -> String {
    let sql =
        "select string_agg(format('  %s %s %s %s', j.seq, j.at, j.kind, left(j.body, 300)), E'\\n' order by j.seq)
        from amends.journal j where j.id = $1";
    client.query_one(sql, &[&saga]).await.unwrap().get::<_, Option<String>>(0).unwrap_or_default()
}
