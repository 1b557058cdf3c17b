//! Exports sagas, steps, attempts and batches as OpenTelemetry spans. Owns what a span says. One saga is one trace,
//! on whichever nodes it runs: the span ids of the saga and its steps are derived from the saga's id, so any node can
//! attach an attempt to them. Does nothing unless the settings name a collector.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanExporter as _, SpanLinks, SpanProcessor};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::config::actor as limits;
use crate::saga::Definition;
use crate::saga::command::CallSpec;
use crate::saga::definition::Millis;
use crate::saga::event::Direction;
use crate::saga::state::{Phase, State, StepState, Undone};
use crate::store::LaneId;
use crate::trace::TraceParent;

/// Exporter of spans.
pub struct Traces {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

/// Span of an attempt or a probe in progress.
pub(crate) struct Attempt {
    parent: TraceParent,
    span: u64,
    began_at: Millis,
    attributes: Vec<KeyValue>,
}

impl Traces {
    /// Starts to export to the collector at this URL (OTLP over HTTP, JSON). A thread of its own exports spans in
    /// batches; its requests run on `work`. While the collector is down, spans may be lost, but no saga waits.
    pub fn begin(endpoint: &str, node: &str, work: &Handle, client: reqwest::Client) -> Result<Self, String> {
        let client = Sender { client, work: work.clone() };
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpJson)
            .with_endpoint(endpoint)
            .with_timeout(Duration::from_millis(limits::TRACES_TIMEOUT_MS))
            .build()
            .map_err(|error| format!("traces: {error}"))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let instance = KeyValue::new("service.instance.id", node.to_owned());
        let resource = Resource::builder_empty().with_service_name("amends").with_attributes([version, instance]);
        exporter.set_resource(&resource.build());
        let scope = InstrumentationScope::builder("amends").with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Self { processor: BatchSpanProcessor::builder(exporter).build(), scope })
    }

    /// Sends the remaining spans. Blocks until the collector has answered, for `TRACES_TIMEOUT_MS` at most.
    pub fn end(&self) {
        if let Err(error) = self.processor.shutdown_with_timeout(Duration::from_millis(limits::TRACES_TIMEOUT_MS)) {
            tracing::warn!(%error, "could not send the last spans");
        }
    }

    /// Begins the span of an attempt or a probe; none if the caller's trace is not sampled.
    pub(crate) fn attempt(
        &self,
        saga: Uuid,
        definition: &Definition,
        state: &State,
        call: CallSpec,
        at: Millis,
    ) -> Option<Attempt> {
        let trace = trace_of(saga, state);
        let step = definition.at(state, call.step).name.to_string();
        trace.sampled.then(|| Attempt {
            parent: TraceParent { span: span_of_step(saga, call.step, call.direction), ..trace },
            span: rand::random::<u64>().max(1),
            began_at: at,
            attributes: vec![
                KeyValue::new("saga.id", saga.to_string()),
                KeyValue::new("definition", definition.name().to_owned()),
                KeyValue::new("step", step),
                KeyValue::new("direction", call.direction.as_str()),
                KeyValue::new("number", i64::from(call.number)),
            ],
        })
    }

    /// Exports the span of an attempt or a probe that has ended. `outcome` is one word. The span has the error's code
    /// but not its message, which may contain text from a participant.
    pub(crate) fn ended(&self, attempt: Attempt, is_probe: bool, outcome: &'static str, code: Option<&str>) {
        let Attempt { parent, span, began_at, mut attributes } = attempt;
        attributes.push(KeyValue::new("outcome", outcome));
        let status = code.map_or(Status::Ok, |code| Status::error(code.to_owned()));
        let name = if is_probe { "probe" } else { "attempt" };
        let end = SystemTime::now();
        let start = instant(began_at).min(end);
        self.tell(parent, span, SpanKind::Client, name.to_owned(), start, end, attributes, status);
    }

    /// Exports the spans of the steps that a transition has settled, and the saga's span once the saga has ended.
    pub(crate) fn moved(&self, saga: Uuid, definition: &Definition, old: &State, new: &State) {
        let trace = trace_of(saga, new);
        if !trace.sampled {
            return;
        }
        let own = span_of_saga(saga);
        let attributes = || {
            vec![KeyValue::new("saga.id", saga.to_string()), KeyValue::new("definition", definition.name().to_owned())]
        };
        for index in new.steps.changed_since(&old.steps) {
            let (was, one) = (old.steps.get(index), &new.steps[index]);
            let Some(direction) = was.and_then(|was| settled(was, one)) else { continue };
            let name = &definition.at(new, index).name;
            let name = match direction {
                Direction::Action => name.to_string(),
                Direction::Compensation => format!("undo {name}"),
            };
            let tally = one.tally(direction);
            let since = tally.first_at.or(tally.attempt_at).or_else(|| was.and_then(|was| was.since));
            let status = match one.phase {
                Phase::Failed => Status::error(tally.error.as_ref().map_or("failed", |error| &error.code).to_owned()),
                _ => Status::Ok,
            };
            let (start, end) = (instant(since.unwrap_or(new.at)), instant(new.at));
            let mut attributes = attributes();
            attributes.push(KeyValue::new("attempts", i64::from(tally.attempts)));
            let span = span_of_step(saga, index, direction);
            let parent = TraceParent { span: own, ..trace };
            self.tell(parent, span, SpanKind::Internal, name, start, end, attributes, status);
        }
        if new.end().is_some() {
            let mut attributes = attributes();
            attributes.push(KeyValue::new("status", new.status().as_str()));
            let (start, end) = (instant(new.started_at), instant(new.at));
            let name = definition.name().to_owned();
            self.tell(trace, own, SpanKind::Internal, name, start, end, attributes, Status::Ok);
        }
    }

    /// Exports the span of a batch. It is a trace of its own, since a batch has rows of many sagas.
    pub(crate) fn batch(&self, lane: LaneId, rows: usize, took: Duration) {
        let trace = TraceParent { trace: rand::random::<u128>().max(1), span: 0, sampled: true };
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let attributes = vec![KeyValue::new("lane", lane.0), KeyValue::new("transitions", rows)];
        let end = SystemTime::now();
        let (span, name) = (rand::random::<u64>().max(1), "commit batch".to_owned());
        self.tell(trace, span, SpanKind::Client, name, end - took, end, attributes, Status::Ok);
    }

    #[expect(clippy::too_many_arguments, reason = "a span has this many fields")]
    fn tell(
        &self,
        parent: TraceParent,
        span: u64,
        span_kind: SpanKind,
        name: String,
        start_time: SystemTime,
        end_time: SystemTime,
        attributes: Vec<KeyValue>,
        status: Status,
    ) {
        let trace = TraceId::from_bytes(parent.trace.to_be_bytes());
        let id = SpanId::from_bytes(span.to_be_bytes());
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::default()),
            parent_span_id: SpanId::from_bytes(parent.span.to_be_bytes()),
            parent_span_is_remote: false,
            span_kind,
            name: name.into(),
            start_time,
            end_time: end_time.max(start_time),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: self.scope.clone(),
        });
    }
}

impl Attempt {
    /// Returns the `traceparent` for the participant, so that the participant's spans are children of the attempt.
    pub(crate) fn traceparent(&self) -> Arc<str> {
        TraceParent { span: self.span, ..self.parent }.to_string().into()
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").finish_non_exhaustive()
    }
}

/// Returns the direction that a change of phase has settled, if any. A compensation that has nothing to undo, or
/// leaves the effect in place, has no span.
fn settled(was: &StepState, is: &StepState) -> Option<Direction> {
    if was.phase == is.phase {
        return None;
    }
    match is.phase {
        Phase::Done | Phase::Failed | Phase::Skipped => Some(Direction::Action),
        Phase::Undone(Undone::Compensated | Undone::ByHand) => Some(Direction::Compensation),
        Phase::Undone(Undone::Nothing | Undone::LeftInPlace)
        | Phase::Waiting
        | Phase::Deciding
        | Phase::Active { .. }
        | Phase::Stuck { .. } => None,
    }
}

/// Returns the saga's trace and the parent of the saga's span, as the caller gave them. Without a caller's trace, the
/// trace id is the saga's id, and the saga's span is the root.
fn trace_of(saga: Uuid, state: &State) -> TraceParent {
    let given = state.traceparent.as_ref().and_then(|text| text.parse().ok());
    given.unwrap_or(TraceParent { trace: saga.as_u128().max(1), span: 0, sampled: true })
}

fn span_of_saga(saga: Uuid) -> u64 {
    hashed(format!("{saga}"))
}

fn span_of_step(saga: Uuid, step: usize, direction: Direction) -> u64 {
    hashed(format!("{saga}/{step}/{}", direction.as_str()))
}

fn hashed(text: String) -> u64 {
    let digest = Sha256::digest(text);
    digest.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte)).max(1)
}

fn instant(at: Millis) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(at)
}

/// HTTP client that sends on the runtime for calls, since the exporter's own thread has no runtime.
struct Sender {
    client: reqwest::Client,
    work: Handle,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

impl HttpClient for Sender {
    fn send_bytes<'sender, 'sent>(
        &'sender self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sent>>
    where
        'sender: 'sent,
        Self: 'sent,
    {
        let (client, work) = (self.client.clone(), self.work.clone());
        Box::pin(async move { work.spawn(async move { client.send_bytes(request).await }).await? })
    }
}
