//! Endpoints of the HTTP server: paths, status codes and content types.

use std::sync::Arc;

use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpResponse, Responder};
use serde_json::json;

use super::{Door, Shows};

/// Returns the reasons why the node takes no sagas, one sentence each; empty when the node is ready.
pub type Readiness = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/healthz", web::get().to(healthz))
        .route("/readyz", web::get().to(readyz))
        .route("/metrics", web::get().to(metrics));
}

/// Answers 200 as long as the process can answer. A lost database is no reason to kill the node.
async fn healthz() -> impl Responder {
    HttpResponse::Ok().json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// Answers 200 when the node is ready, else 503 with the reasons. A node that is not ready should get no traffic.
async fn readyz(door: Data<Door>) -> impl Responder {
    let reasons = (door.readiness)();
    match (reasons.is_empty(), door.shows) {
        (true, _) => HttpResponse::Ok().json(json!({ "status": "ready" })),
        (false, Shows::Everything) => {
            HttpResponse::ServiceUnavailable().json(json!({ "status": "not ready", "reasons": reasons }))
        }
        (false, Shows::NoNames | Shows::Nothing) => {
            HttpResponse::ServiceUnavailable().json(json!({ "status": "not ready" }))
        }
    }
}

async fn metrics(door: Data<Door>) -> impl Responder {
    match &door.metrics {
        Ok(exposition) => {
            let text = match door.shows {
                Shows::Everything => exposition.render(),
                Shows::NoNames | Shows::Nothing => exposition.render_without_names(),
            };
            HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
        }
        Err(error) => HttpResponse::NotFound().body(format!("{error}\n")),
    }
}
