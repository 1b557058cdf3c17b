//! MCP over streamable HTTP, on the node's own port. Owns what happens to a request before rmcp sees it: its
//! size, its principal, and where its key is; sessions and streams are rmcp's.

use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{Error, HttpMessage as _, HttpResponse};
use rmcp_actix_web::transport::{LocalSessionManager, StreamableHttpService};

use super::door::Door;
use super::principal::Principal;
use super::raw::keep_key;
use super::session::Session;
use crate::config::mcp::{KEEP_ALIVE_S, MESSAGE_BYTES_MAX};

/// Path of the endpoint.
pub(super) const PATH: &str = "/mcp";

impl Door {
    /// Returns what adds the endpoint `/mcp` to an HTTP server. All its workers share the sessions.
    pub fn routes(&self) -> impl Fn(&mut ServiceConfig) + Clone + Send + Sync + 'static {
        let door = self.inner.clone();
        let service = StreamableHttpService::builder()
            .service_factory(Arc::new(move || Ok(Session::over_http(door.clone()))))
            .session_manager(Arc::new(LocalSessionManager::default()))
            .sse_keep_alive(Duration::from_secs(KEEP_ALIVE_S))
            .max_request_body_bytes(MESSAGE_BYTES_MAX)
            .cancellation_token(self.inner.closed.child_token())
            .on_request_fn(|request, extensions| {
                if let Some(principal) = request.extensions().get::<Principal>() {
                    extensions.insert(principal.clone());
                }
            })
            .build();
        move |config: &mut ServiceConfig| {
            let endpoint = service.clone().scope_with_path(PATH).wrap(from_fn(admit));
            config.service(endpoint);
        }
    }
}

/// Lets a request in: with its principal, and with its key where rmcp keeps it.
async fn admit(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    request.extensions_mut().insert(Principal::local());
    let payload = request.extract::<web::Payload>().await?;
    let body = match payload.to_bytes_limited(MESSAGE_BYTES_MAX).await {
        Ok(body) => body?,
        Err(_) => {
            let text =
                format!("expected a message of at most {MESSAGE_BYTES_MAX} bytes, found a longer one\n");
            return Ok(request
                .into_response(HttpResponse::PayloadTooLarge().body(text))
                .map_into_right_body());
        }
    };
    let kept = Bytes::from(keep_key(&body).into_owned());
    request.set_payload(Payload::from(kept));
    Ok(next.call(request).await?.map_into_left_body())
}
