//! A middleware that drops a connection in the middle of an answer, or replaces the answer, as a proxy or a network
//! does. Owns the switch and the replacement. The server decides when to use the switch.

use std::sync::{Arc, OnceLock};

use actix_web::body::{BoxBody, MessageBody, SizedStream, to_bytes};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage, HttpResponse};
use futures_util::stream;
use tokio::sync::Semaphore;

/// Beginning of a cut-off body, and its announced length in bytes.
const BEGINNING: &[u8] = b"{\"code\":\"in";
const ANNOUNCED: u64 = 70;

/// Switch of one HTTP request: its handler can drop the connection or replace the answer.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    thrown: Arc<Semaphore>,
    status: Arc<OnceLock<u16>>,
}

impl Cut {
    fn new() -> Self {
        Self { thrown: Arc::new(Semaphore::new(0)), status: Arc::default() }
    }

    /// Drops the connection at once.
    pub(super) fn now(&self) {
        self.thrown.close();
    }

    /// Answers with this status at once. A 503 is complete; the body of any other status is cut off.
    pub(super) fn with(&self, status: u16) {
        let _ = self.status.set(status);
        self.thrown.close();
    }

    /// Waits until the switch is used.
    async fn made(&self) {
        // The semaphore has no permits, so this returns only once it is closed.
        let _ = self.thrown.acquire().await;
    }

    /// Returns the replacement of the answer.
    fn instead(&self) -> HttpResponse {
        let status = self.status.get().and_then(|status| StatusCode::from_u16(*status).ok());
        if status == Some(StatusCode::SERVICE_UNAVAILABLE) {
            let later = (header::RETRY_AFTER, "1");
            return HttpResponse::ServiceUnavailable().insert_header(later).body("try again later");
        }
        let begun = status.map(|_| Ok(Bytes::from_static(BEGINNING)));
        let end = Err(std::io::Error::other("the connection was cut"));
        let body = SizedStream::new(ANNOUNCED, stream::iter(begun.into_iter().chain([end])));
        let mut response = HttpResponse::build(status.unwrap_or(StatusCode::OK));
        response.content_type("application/json").body(body)
    }
}

/// Adds a switch to each POST request. Holds the answer back until it is complete or the switch is used.
pub(super) async fn cuttable(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if request.method() != Method::POST {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let cut = Cut::new();
    request.extensions_mut().insert(cut.clone());
    let whole = async {
        let (request, response) = next.call(request).await?.into_parts();
        let (response, body) = response.into_parts();
        let body = to_bytes(body).await.map_err(|error| actix_web::error::ErrorBadGateway(error.into()))?;
        Ok(ServiceResponse::new(request, response.set_body(BoxBody::new(body))))
    };
    tokio::select! {
        biased;
        () = cut.made() => Err(InternalError::from_response("the answer was replaced", cut.instead()).into()),
        response = whole => response,
    }
}
