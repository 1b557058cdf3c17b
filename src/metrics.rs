//! The metrics: one line each with name, labels and help. Owns the names and the text for Prometheus. The rooms do the
//! counting, and `http` serves the text.
//!
//! Names follow the conventions of Prometheus. The values of a label are a closed set: words of the vocabulary, names
//! of definitions and of their steps, never an id. All steps that a driver appends share the value [`APPENDED`].
//!
//! ```
//! use amends::metrics;
//!
//! let started = metrics::SAGAS_STARTED.with(["hotel_checkout".into()]); // keep it where it is hot
//! started.increment(1);
//! ```

mod anonymous;

use std::sync::OnceLock;

use metrics::{Key, Label, Level, Metadata, SharedString, Unit};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Value of the label `step` for all steps that drivers append: drivers may choose any name.
pub const APPENDED: &str = "(appended)";

/// Declares each metric and the list of all metrics.
macro_rules! metrics {
    ($($kind:ident $constant:ident $name:literal [$($label:ident),*] $help:literal;)+) => {
        $(
            #[doc = concat!("`", $name, "`: ", $help)]
            pub static $constant: $kind<{ <[&str]>::len(&[$(stringify!($label)),*]) }> = $kind(Family {
                name: $name,
                labels: [$(stringify!($label)),*],
            });
        )+
        /// All metrics, in the order of this file.
        pub static ALL: &[Described] = &[
            $(Described {
                kind: Kind::$kind,
                name: $name,
                labels: &[$(stringify!($label)),*],
                help: $help,
            },)+
        ];
    };
}

metrics! {
    Counter SAGAS_STARTED "amends_sagas_started_total" [definition] "Sagas started.";
    Counter SAGAS_ENDED "amends_sagas_ended_total" [definition, status] "Sagas ended, by status.";
    Counter SAGAS_STUCK "amends_sagas_stuck_total" [definition] "Times that a saga became stuck.";
    Counter SAGAS_RECOVERED "amends_sagas_recovered_total" [] "Sagas taken over after their owner was lost.";
    Counter SAGAS_PARKED "amends_sagas_parked_total" [] "Sagas parked while they wait.";
    Counter SAGAS_CLAIMED "amends_sagas_claimed_total" [] "Sagas claimed from the ready queue.";
    Gauge SAGAS_RESIDENT "amends_sagas_resident" [] "Sagas with an actor on this node.";
    Gauge SAGAS_LIVE "amends_sagas_live" [definition, status] "Sagas that have not ended, as of the last census.";
    Gauge READY_SAGAS "amends_ready_sagas" [definition] "Sagas that wait for a node, up to 10000 of each version.";
    Gauge READY_OLDEST "amends_ready_oldest_seconds" [definition] "How long the oldest saga has waited for a node.";
    Seconds CLAIM_WAIT "amends_claim_wait_seconds" [] "Time that a saga waited until a node claimed it.";
    Seconds SAGA_SECONDS "amends_saga_duration_seconds" [definition, status] "Time from start to end of a saga.";

    Counter STEPS_ENDED "amends_steps_ended_total" [definition, step, direction, outcome] "Steps ended or stuck.";
    Seconds STEP_SECONDS "amends_step_duration_seconds" [definition, step, direction] "Time from first attempt to end.";
    Counter ATTEMPTS "amends_attempts_total" [definition, step, direction, outcome] "Attempts that ended.";
    Counter RETRIES "amends_retries_total" [definition, step, direction] "Attempts after the first.";
    Counter IN_DOUBT "amends_in_doubt_total" [definition, step, direction] "Attempts with unknown effect.";
    Counter PROBES "amends_probes_total" [definition, step, direction, answer] "Probes that ended.";
    Seconds ATTEMPT_SECONDS "amends_attempt_duration_seconds" [definition, step, direction] "Time of an attempt.";
    Counter SIGNALS "amends_signals_total" [verb, fate] "Signals to sagas, applied or refused.";

    Seconds COMMIT_SECONDS "amends_commit_duration_seconds" [] "Time until a batch was durable.";
    Count COMMIT_TRANSITIONS "amends_commit_transitions" [] "Transitions in a batch.";
    Counter COMMITS_REPEATED "amends_commits_repeated_total" [reason] "Batches, or busy transitions, sent again.";
    Counter ROWS_LINKED "amends_journal_rows_linked_total" [] "Rows written to chained journals.";
    Counter TRANSITIONS_REFUSED "amends_transitions_refused_total" [] "Transitions refused in favour of another owner.";
    Counter FENCED "amends_fenced_total" [] "Lanes of this node that were fenced.";

    Counter EVENTS_RELAYED "amends_events_relayed_total" [event] "Events that their receiver accepted.";
    Counter EVENTS_FAILED "amends_events_failed_total" [event] "Failed attempts to relay an event.";
    Gauge OUTBOX_EVENTS "amends_outbox_events" [] "Events that are not relayed yet, up to 100000.";
    Gauge OUTBOX_AGE "amends_outbox_oldest_seconds" [] "Age of the oldest event that is not relayed yet.";
    Counter TURNS_GIVEN "amends_turns_given_total" [] "Waiting starts that got their turn.";
    Gauge TIMER_LAG "amends_timer_lag_seconds" [] "How late the oldest due timer is.";
    Counter TIMERS_FIRED "amends_timers_fired_total" [] "Timers of parked sagas that came due.";
    Gauge ASLEEP "amends_asleep" [] "1 while the node sleeps without a connection, else 0.";
    Gauge LISTENING "amends_listening" [] "1 while the node hears notifications, else 0.";
    Counter NOTIFICATIONS "amends_notifications_total" [] "Notifications by which a node was woken.";
    Gauge CHORES_HELD "amends_chores_held" [chore] "Whether this node does a chore of the fleet: 1 or 0.";
    Counter SWEEPS "amends_sweeps_total" [] "Sweeps for dead nodes.";
    Counter LANES_SWEPT "amends_lanes_swept_total" [] "Lanes of dead nodes that were taken out of service.";
    Counter LOST_WAKES "amends_lost_wakes_total" [] "Sagas that only the safety net found; more than 0 is a defect.";

    Counter FILES_SHORT "amends_file_shortages_total" [] "Times that the node had no free file descriptor.";
    Gauge CONNECTIONS "amends_http_connections" [] "Open connections of clients to the node's HTTP servers.";
    Counter CONNECTIONS_CLOSED "amends_http_connections_closed_total" [reason] "Connections that the node closed.";
    Gauge LEASE_TRUSTED "amends_lease_trusted" [] "1 while the node may begin effects, else 0.";
    Gauge BUILD "amends_build_info" [version] "1, with the version of this node.";
    Gauge PLACES_WAITING "amends_places_waiting" [place] "Calls that wait for a place before they begin.";
    Gauge POOL_CONNECTIONS "amends_pool_connections" [state] "Connections of the pool: busy, idle, wanted.";
    Gauge DEAD_ROWS "amends_database_dead_rows" [table] "Dead rows in tables with short-lived rows.";
    Counter COMPACTIONS "amends_compactions_total" [table] "Rewrites of tables that vacuum could not clean.";
    Gauge OLDEST_XMIN_AGE "amends_database_oldest_xmin_age" [] "Transactions since the oldest snapshot in use.";
    Counter WAL_BYTES "amends_database_wal_bytes_total" [] "Bytes of write-ahead log of the server.";
    Counter TRANSACTION_IDS "amends_database_transaction_ids_total" [] "Transaction ids that the server has given.";
    Gauge SLOT_BYTES "amends_database_slot_bytes" [] "Most write-ahead log that one replication slot holds back.";
    Gauge PARTITIONS_AHEAD "amends_partitions_ahead" [table] "Partitions made ahead.";
    Counter ACTOR_RESTARTS "amends_actor_restarts_total" [actor] "Actors that were restarted.";
    Counter PANICS "amends_panics_total" [place] "Panics survived: in a handler, or in an actor.";
}

/// Buckets of durations, in seconds: from a fast commit to a saga of an hour.
const SECONDS: [f64; 18] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0, 3_600.0];

/// Buckets of counts: the sizes of batches.
const COUNTS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];

/// The name of a metric and of its `N` labels.
#[derive(Debug)]
struct Family<const N: usize> {
    name: &'static str,
    labels: [&'static str; N],
}

impl<const N: usize> Family<N> {
    fn key(&self, values: [SharedString; N]) -> Key {
        let labels = self.labels.iter().zip(values).map(|(&name, value)| Label::new(name, value));
        Key::from_parts(self.name, labels.collect::<Vec<_>>())
    }
}

/// A value that only grows.
#[derive(Debug)]
pub struct Counter<const N: usize>(Family<N>);

/// A value that goes up and down.
#[derive(Debug)]
pub struct Gauge<const N: usize>(Family<N>);

/// A histogram of durations in seconds.
#[derive(Debug)]
pub struct Seconds<const N: usize>(Family<N>);

/// A histogram of counts.
#[derive(Debug)]
pub struct Count<const N: usize>(Family<N>);

const METADATA: Metadata<'static> = Metadata::new("amends", Level::INFO, None);

impl<const N: usize> Counter<N> {
    /// Returns the counter for these label values, in the order of the labels. The look-up costs more than an
    /// increment.
    pub fn with(&self, values: [SharedString; N]) -> metrics::Counter {
        let key = self.0.key(values);
        metrics::with_recorder(|recorder| recorder.register_counter(&key, &METADATA))
    }
}

impl<const N: usize> Gauge<N> {
    /// Returns the gauge for these label values, in the order of the labels.
    pub fn with(&self, values: [SharedString; N]) -> metrics::Gauge {
        let key = self.0.key(values);
        metrics::with_recorder(|recorder| recorder.register_gauge(&key, &METADATA))
    }
}

impl<const N: usize> Seconds<N> {
    /// Returns the histogram for these label values, in the order of the labels. Record seconds or a `Duration`.
    pub fn with(&self, values: [SharedString; N]) -> metrics::Histogram {
        let key = self.0.key(values);
        metrics::with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
    }
}

impl<const N: usize> Count<N> {
    /// Returns the histogram for these label values, in the order of the labels.
    pub fn with(&self, values: [SharedString; N]) -> metrics::Histogram {
        let key = self.0.key(values);
        metrics::with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
    }
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that only grows.
    Counter,
    /// A value that goes up and down.
    Gauge,
    /// A histogram of durations in seconds.
    Seconds,
    /// A histogram of counts.
    Count,
}

/// A metric as the documentation lists it.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// The type of the metric.
    pub kind: Kind,
    /// The name of the metric.
    pub name: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// The help text: what the metric counts.
    pub help: &'static str,
}

/// The metrics as text for Prometheus.
#[derive(Clone, Debug)]
pub struct Exposition(PrometheusHandle);

impl Exposition {
    /// Returns all metrics as text.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Returns all metrics as text, without names of definitions and steps.
    pub fn render_without_names(&self) -> String {
        anonymous::anonymous(&self.0.render())
    }

    /// Moves recorded values of histograms into their buckets. Call it every few seconds: memory grows without it and
    /// without a scrape.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

/// Why the metrics cannot be served as text.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The program has another recorder, which gets the metrics of amends.
    #[error("the program has installed another metrics recorder, which gets the metrics of amends too")]
    Taken,
    /// The exporter refused a setting of amends.
    #[error("cannot set up the metrics: {0}")]
    Setup(String),
}

/// Makes the metrics of this process available as text. Later calls return the same exposition.
///
/// A program with a recorder of its own need not call it: without the call, the metrics go to that recorder.
pub fn install() -> Result<Exposition, Error> {
    static INSTALLED: OnceLock<Result<Exposition, Error>> = OnceLock::new();
    INSTALLED.get_or_init(install_once).clone()
}

fn install_once() -> Result<Exposition, Error> {
    let recorder = builder()?.build_recorder();
    let exposition = Exposition(recorder.handle());
    metrics::set_global_recorder(recorder).map_err(|_| Error::Taken)?;
    for metric in ALL {
        describe(metric);
    }
    begin_rare();
    Ok(exposition)
}

fn builder() -> Result<PrometheusBuilder, Error> {
    let mut builder = PrometheusBuilder::new();
    for metric in ALL {
        let buckets = match metric.kind {
            Kind::Counter | Kind::Gauge => continue,
            Kind::Seconds => SECONDS.as_slice(),
            Kind::Count => COUNTS.as_slice(),
        };
        builder = builder
            .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)
            .map_err(|error| Error::Setup(error.to_string()))?;
    }
    Ok(builder)
}

/// Gives a metric its help text. A metric without labels also gets its first value, since an alert on a missing
/// series never fires.
fn describe(metric: &Described) {
    let key = metric.labels.is_empty().then(|| Key::from_static_name(metric.name));
    metrics::with_recorder(|recorder| match metric.kind {
        Kind::Counter => {
            recorder.describe_counter(metric.name.into(), None, metric.help.into());
            key.iter().for_each(|key| recorder.register_counter(key, &METADATA).absolute(0));
        }
        Kind::Gauge => {
            recorder.describe_gauge(metric.name.into(), None, metric.help.into());
            key.iter().for_each(|key| recorder.register_gauge(key, &METADATA).set(0.0));
        }
        Kind::Seconds => {
            recorder.describe_histogram(metric.name.into(), Some(Unit::Seconds), metric.help.into());
        }
        Kind::Count => recorder.describe_histogram(metric.name.into(), None, metric.help.into()),
    });
}

/// Actors that a node's supervisor restarts, as the label `actor` names them.
pub const SUPERVISED: [&str; 11] =
    ["worker", "heart", "lookout", "listener", "idle", "registrar", "relay", "rerunner", "herald", "usher", "sweeper"];

/// Gives rare metrics with few label values their first value too.
fn begin_rare() {
    for place in ["handler", "actor"] {
        PANICS.with([place.into()]).absolute(0);
    }
    for actor in SUPERVISED.into_iter().chain(["saga"]) {
        ACTOR_RESTARTS.with([actor.into()]).absolute(0);
    }
    for reason in ["busy", "unavailable"] {
        COMMITS_REPEATED.with([reason.into()]).absolute(0);
    }
    for reason in ["refused", "evicted", "too_slow"] {
        CONNECTIONS_CLOSED.with([reason.into()]).absolute(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let mut names: Vec<&str> = ALL.iter().map(|metric| metric.name).collect();
        for metric in ALL {
            assert!(metric.name.starts_with("amends_"), "{metric:?}");
            let ends = match metric.kind {
                Kind::Counter => "_total",
                Kind::Seconds => "_seconds",
                Kind::Gauge | Kind::Count => "",
            };
            assert!(metric.name.ends_with(ends), "{metric:?}");
            assert!(metric.help.ends_with('.') || metric.help.ends_with("0."), "{metric:?}");
            assert!(metric.labels.iter().all(|label| !label.contains("id")), "{metric:?}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn text_has_help_values_and_buckets() {
        let exposition = install().unwrap();
        SAGAS_ENDED.with(["hotel".into(), "completed".into()]).increment(2);
        SAGAS_RESIDENT.with([]).set(3.0);
        SAGA_SECONDS.with(["hotel".into(), "completed".into()]).record(0.02);
        COMMIT_TRANSITIONS.with([]).record(5);
        exposition.upkeep();
        let text = install().unwrap().render();
        for expected in [
            "# HELP amends_sagas_ended_total Sagas ended, by status.",
            "# TYPE amends_sagas_ended_total counter",
            r#"amends_sagas_ended_total{definition="hotel",status="completed"} 2"#,
            "amends_sagas_resident 3",
            "amends_lost_wakes_total 0",
            r#"amends_saga_duration_seconds_bucket{definition="hotel",status="completed",le="0.025"} 1"#,
            r#"amends_commit_transitions_bucket{le="4"} 0"#,
            r#"amends_commit_transitions_bucket{le="8"} 1"#,
        ] {
            assert!(text.contains(expected), "{expected} is not in:\n{text}");
        }
    }
}
