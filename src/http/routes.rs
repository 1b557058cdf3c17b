//! What the HTTP door answers. Owns paths, status codes and content types.

use std::sync::Arc;

use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpResponse, Responder};
use serde_json::json;

use super::Door;

/// Says what keeps a node from taking sagas: nothing when it is ready, else one sentence for each reason.
pub type Readiness = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/healthz", web::get().to(healthz))
        .route("/readyz", web::get().to(readyz))
        .route("/metrics", web::get().to(metrics));
}

/// Answers as long as the process can: a database that is gone is no reason to kill the node.
async fn healthz() -> impl Responder {
    HttpResponse::Ok().json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// Answers 503 with the reasons while the node should get no traffic.
async fn readyz(door: Data<Door>) -> impl Responder {
    let reasons = (door.readiness)();
    if reasons.is_empty() {
        HttpResponse::Ok().json(json!({ "status": "ready" }))
    } else {
        HttpResponse::ServiceUnavailable().json(json!({ "status": "not ready", "reasons": reasons }))
    }
}

async fn metrics(door: Data<Door>) -> impl Responder {
    match &door.metrics {
        Ok(exposition) => {
            HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(exposition.render())
        }
        Err(error) => HttpResponse::NotFound().body(format!("{error}\n")),
    }
}
