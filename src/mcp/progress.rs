//! Sends the progress of a call to a caller that asks for it. Owns the pace and the wording. Progress is best effort:
//! it never delays or ends a call.

use std::convert::Infallible;
use std::time::Duration;

use rmcp::model::ProgressNotificationParam;
use uuid::Uuid;

use super::caller::Caller;
use super::phrasing;
use crate::client::{Client, Inspection};
use crate::config::mcp as limits;

/// Reports every change of a saga until it is dropped. Without a progress token it reports nothing.
pub(super) async fn tell(client: &Client, saga: Uuid, caller: &Caller) -> Infallible {
    let Some(token) = caller.meta.get_progress_token() else { return std::future::pending().await };
    let (mut told, mut pause) = (0, Duration::from_millis(limits::PROGRESS_MS));
    loop {
        match client.inspect(saga).await {
            Ok(found) if found.events > told && !found.saga.status.is_end() => {
                told = found.events;
                pause = Duration::from_millis(limits::PROGRESS_MS);
                // The number of events only grows, as MCP requires of progress. The total is unknown.
                #[expect(clippy::cast_precision_loss, reason = "a journal is shorter than 2^52 events")]
                let param = ProgressNotificationParam::new(token.clone(), told as f64).with_message(said(&found));
                if caller.peer.notify_progress(param).await.is_err() {
                    return std::future::pending().await;
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(saga.id = %saga, %error, "cannot read the progress of a saga"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(limits::PROGRESS_MS_MAX));
    }
}

fn said(found: &Inspection) -> String {
    let Some(state) = &found.state else { return "waits for a node".to_owned() };
    let under_way = phrasing::under_way(&found.definition, state).join("; ");
    let (settled, steps) = (phrasing::settled(state), state.steps.len());
    let counted = format!("{settled} of {steps} steps");
    if under_way.is_empty() { counted } else { format!("{counted}; {under_way}") }
}
