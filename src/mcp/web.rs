//! MCP over streamable HTTP, on the node's own port. Prepares a request for rmcp: authenticates the caller, limits
//! rate and size, moves the idempotency key to where rmcp keeps it, and checks Host, Origin and the owner of the
//! session. rmcp owns sessions and streams.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Bytes, Data, ServiceConfig};
use actix_web::{Error, HttpMessage as _, HttpResponse, Responder};
use rmcp::ServerHandler;
use rmcp_actix_web::transport::StreamableHttpService;
use serde_json::json;

use super::auth::{Issuer, LOOPBACK, Refusal, Trust, is_forwarded};
use super::intake::{Intake, Refused};
use super::listener::{self, Dropped};
use super::message_shim::{keep, may_begin_session, unreadable};
use super::principal::Principal;
use super::server::{Door, Inner};
use super::session::Session;
use super::sessions::Beginning;
use crate::config::mcp::{BODY_S_MAX, INITIALIZE_BYTES_MAX, KEEP_ALIVE_S, MESSAGE_BYTES_MAX};
use crate::trace;

/// Path of the endpoint.
const PATH: &str = "/mcp";
/// Path of the metadata for OAuth clients. The endpoint's path may follow it.
const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";
/// Header with a session id.
const SESSION_HEADER: HeaderName = HeaderName::from_static("mcp-session-id");
/// An id that no session has.
const NO_SESSION: HeaderValue = HeaderValue::from_static("none");

impl Door {
    /// Returns a function that adds the endpoint `/mcp` to an HTTP server. All its workers share the sessions.
    pub fn routes(&self) -> impl Fn(&mut ServiceConfig) + Clone + Send + Sync + 'static {
        self.routes_around(|session| session)
    }

    /// Like [`Door::routes`], with a handler of the embedding program around each session. The handler can offer more
    /// than sagas, and passes all other requests on to the session. It gets requests in the same way as a session:
    /// authenticated, limited, and alike in both eras. `ServerHandler` is the trait of the `rmcp` version that amends
    /// depends on.
    pub fn routes_around<Handler: ServerHandler>(
        &self,
        around: impl Fn(Session) -> Handler + Send + Sync + 'static,
    ) -> impl Fn(&mut ServiceConfig) + Clone + Send + Sync + 'static {
        let door = self.inner.clone();
        let sessions = door.clone();
        let hosts = LOOPBACK.map(str::to_owned).into_iter().chain(door.config.hosts.clone()).collect();
        let service = StreamableHttpService::builder()
            .service_factory(Arc::new(move || Ok(around(Session::over_http(sessions.clone())))))
            .session_manager(door.sessions.manager())
            .sse_keep_alive(Duration::from_secs(KEEP_ALIVE_S))
            .max_request_body_bytes(MESSAGE_BYTES_MAX)
            .allowed_hosts(hosts)
            .allowed_origins(origins(&door))
            .cancellation_token(door.closed.child_token())
            .on_request_fn(|request, extensions| {
                if let Some(principal) = request.extensions().get::<Principal>() {
                    extensions.insert(principal.clone());
                }
                if let Some(dropped) = request.extensions().get::<Dropped>() {
                    extensions.insert(dropped.clone());
                }
            })
            .build();
        move |config: &mut ServiceConfig| {
            let endpoint = service.clone().scope_with_path(PATH).wrap(from_fn(admit));
            config.app_data(Data::from(door.clone()));
            config.route(METADATA_PATH, web::get().to(metadata));
            config.route(&format!("{METADATA_PATH}{PATH}"), web::get().to(metadata));
            config.service(endpoint);
        }
    }
}

/// Returns the origins of pages that may call. rmcp lets in all origins if the list is empty, so it is never empty.
fn origins(door: &Inner) -> Vec<String> {
    match (&door.config.trust, door.config.origins.as_slice()) {
        (Trust::Everybody, []) => LOOPBACK.iter().flat_map(|host| local_origins(host)).collect(),
        (Trust::Bearer(_), []) => vec!["https://nobody.invalid".to_owned()],
        (_, origins) => origins.to_vec(),
    }
}

fn local_origins(host: &str) -> [String; 2] {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    [format!("http://{host}:*"), format!("https://{host}:*")]
}

/// Admits a request: adds its principal, and moves its idempotency key to where rmcp keeps it.
async fn admit(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let door = request.app_data::<Data<Inner>>().cloned();
    let Some(door) = door else { return refuse(request, HttpResponse::InternalServerError().finish()) };
    if let Err(why) = door.places.check(request.headers()) {
        return refuse(request, HttpResponse::Forbidden().body(format!("{why}\n")));
    }
    let principal = match authenticated(&door, &request).await {
        Ok(principal) => principal,
        Err(refused) => return refuse(request, refused),
    };
    if let Err(wait) = door.limits.request(principal.name()) {
        return refuse(request, too_many(wait));
    }
    let Some(mut taken) = door.intake.begin(principal.shared_name()) else {
        return refuse(request, too_many(Duration::ZERO));
    };
    let Some(seal) = door.seal.current(&door.client).await else { return refuse(request, unavailable()) };
    rename_session(request.headers_mut(), |sealed| seal.open(sealed, principal.name()).map(str::to_owned));
    request.extensions_mut().insert(principal.clone());
    let payload = request.extract::<web::Payload>().await?;
    let body = match Intake::read(&mut taken, payload).await {
        Ok(body) => body,
        Err(refused) => return refuse(request, not_taken(&refused)),
    };
    let begins =
        !request.headers().contains_key(SESSION_HEADER) && request.method() == Method::POST && may_begin_session(&body);
    let begins = match begins {
        false => None,
        true => match door.begin_session(&principal, body.len()).await {
            Ok(beginning) => Some(beginning),
            Err(refused) => return refuse(request, refused),
        },
    };
    let position = request.headers().get(trace::NAME).and_then(|value| value.to_str().ok());
    let kept = match keep(&body, position) {
        Cow::Borrowed(_) => body.clone(),
        Cow::Owned(kept) => Bytes::from(kept),
    };
    request.set_payload(Payload::from(kept.clone()));
    let (dropped, watch) = listener::watch();
    request.extensions_mut().insert(dropped);
    let is_json = matches!(request.content_type(), "application/json");
    let session = session_id(request.headers()).map(|id| door.sessions.enter(id));
    let mut answered = next.call(request).await?;
    if session.is_some() && answered.status() == StatusCode::INTERNAL_SERVER_ERROR {
        // The session ended while the request was on its way. 404 tells the client to begin another session.
        let answer = HttpResponse::NotFound().body("the session has ended\n");
        return Ok(answered.into_response(answer.map_into_right_body()));
    }
    if is_json && answered.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        // rmcp answers 415 for a message that it cannot read.
        let answer = HttpResponse::BadRequest().json(unreadable(&kept));
        return Ok(answered.into_response(answer.map_into_right_body()));
    }
    if let (Some(begins), Some(id)) = (begins, session_id(answered.headers())) {
        begins.began(id);
    }
    rename_session(answered.headers_mut(), |id| Some(seal.close(id, principal.name())));
    Ok(answered.map_body(|_, body| watch.over(body, (taken, session))).map_into_left_body())
}

impl Inner {
    /// Makes room for a session that a message of this length begins, or returns the response that refuses it.
    async fn begin_session(&self, principal: &Principal, length: usize) -> Result<Beginning, HttpResponse> {
        if length > INITIALIZE_BYTES_MAX {
            let text = format!("expected `initialize` in at most {INITIALIZE_BYTES_MAX} bytes, found {length}\n");
            return Err(HttpResponse::PayloadTooLarge().body(text));
        }
        let beginning = self.sessions.begin(principal.shared_name()).await;
        beginning.ok_or_else(|| {
            let text = "all sessions that you may have are in use; end one (DELETE) or use it again\n";
            HttpResponse::TooManyRequests().insert_header((RETRY_AFTER, "1")).body(text)
        })
    }
}

/// Returns the response to a request whose body was not taken in.
fn not_taken(refused: &Refused) -> HttpResponse {
    match refused {
        Refused::TooLong => HttpResponse::PayloadTooLarge()
            .body(format!("expected a message of at most {MESSAGE_BYTES_MAX} bytes, found a longer one\n")),
        Refused::TooSlow => HttpResponse::RequestTimeout()
            .body(format!("expected the whole message within {BODY_S_MAX} s, found a part of it\n")),
        Refused::NoRoom => HttpResponse::TooManyRequests()
            .insert_header((RETRY_AFTER, "1"))
            .body("too many long messages at a time; wait 1 s\n"),
        Refused::Broken(error) => HttpResponse::BadRequest().body(format!("the message did not arrive: {error}\n")),
    }
}

fn session_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(SESSION_HEADER)?.to_str().ok()
}

/// Replaces the session id in the headers. Without a new id the request gets [`NO_SESSION`], and rmcp answers that
/// there is no such session.
fn rename_session(headers: &mut HeaderMap, name: impl Fn(&str) -> Option<String>) {
    let Some(given) = headers.get(SESSION_HEADER) else { return };
    let renamed = given.to_str().ok().and_then(name).and_then(|id| HeaderValue::try_from(id).ok());
    headers.insert(SESSION_HEADER, renamed.unwrap_or(NO_SESSION));
}

fn refuse<Body>(
    request: ServiceRequest,
    response: HttpResponse,
) -> Result<ServiceResponse<actix_web::body::EitherBody<Body>>, Error> {
    Ok(request.into_response(response).map_into_right_body())
}

/// Returns the principal of a request, or the response that refuses it.
async fn authenticated(door: &Inner, request: &ServiceRequest) -> Result<Principal, HttpResponse> {
    let address = request.peer_addr().map(|address| address.ip());
    let headers = request.headers();
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let refusal = match door.authority.principal(authorization, address, is_forwarded(headers)).await {
        Ok(principal) => return Ok(principal),
        Err(refusal) => refusal,
    };
    let metadata = door.authority.issuer().map(|issuer| format!(", resource_metadata=\"{}\"", metadata_url(issuer)));
    let metadata = metadata.unwrap_or_default();
    Err(match refusal {
        Refusal::Missing => HttpResponse::Unauthorized()
            .insert_header((WWW_AUTHENTICATE, format!("Bearer realm=\"amends\"{metadata}")))
            .body("expected a bearer token\n"),
        Refusal::Invalid(why) => {
            tracing::info!(address = address.map(|address| address.to_string()), why, "refused a caller");
            let challenge =
                format!("Bearer realm=\"amends\", error=\"invalid_token\", error_description=\"{why}\"{metadata}");
            HttpResponse::Unauthorized().insert_header((WWW_AUTHENTICATE, challenge)).body(format!("{why}\n"))
        }
        Refusal::Limited(wait) => too_many(wait),
        Refusal::Forwarded => HttpResponse::Forbidden().body(
            "expected a caller on this machine, found a request that a proxy passed on; set mcp.auth: bearer and \
             create a token (amends token add)\n",
        ),
        Refusal::Unavailable => unavailable(),
    })
}

fn unavailable() -> HttpResponse {
    HttpResponse::ServiceUnavailable()
        .insert_header((RETRY_AFTER, "1"))
        .body("callers cannot be checked at the moment\n")
}

fn too_many(wait: Duration) -> HttpResponse {
    let seconds = wait.as_secs() + 1;
    HttpResponse::TooManyRequests()
        .insert_header((RETRY_AFTER, seconds.to_string()))
        .body(format!("too many requests; wait {seconds} s\n"))
}

/// Returns the URL of the metadata. As RFC 9728 says, the well-known part stands before the resource's path.
fn metadata_url(issuer: &Issuer) -> String {
    let audience = &issuer.audience;
    let scheme = audience.find("://").map_or(0, |at| at + 3);
    let (origin, path) = audience.split_at(audience[scheme..].find('/').map_or(audience.len(), |at| scheme + at));
    format!("{origin}{METADATA_PATH}{}", path.trim_end_matches('/'))
}

/// Returns the protected-resource metadata of RFC 9728.
async fn metadata(door: Data<Inner>) -> impl Responder {
    let Some(issuer) = door.authority.issuer() else { return HttpResponse::NotFound().finish() };
    HttpResponse::Ok().json(json!({
        "resource": issuer.audience,
        "authorization_servers": [issuer.issuer],
        "bearer_methods_supported": ["header"],
        // Only an authenticated caller learns which definitions exist.
        "scopes_supported": ["start:*", "read:*", "operate:*"],
        "resource_name": "amends",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_of_a_resource_stands_before_its_path() {
        let url = |audience: &str| {
            let (issuer, jwks_url) = (String::new(), String::new());
            metadata_url(&Issuer { issuer, audience: audience.to_owned(), jwks_url, scopes: Vec::new() })
        };
        assert_eq!(url("https://a.example/mcp"), "https://a.example/.well-known/oauth-protected-resource/mcp");
        assert_eq!(url("https://a.example"), "https://a.example/.well-known/oauth-protected-resource");
        assert_eq!(url("https://a.example/"), "https://a.example/.well-known/oauth-protected-resource");
    }
}
