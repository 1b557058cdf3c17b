//! Renders the arguments of a tool or an HTTP request from the templates of a definition, within the participant's
//! limits and before anything is sent. The client of each protocol does the sending.

use std::collections::BTreeMap;

use super::config::Limits;
use super::expr::{self, View};
use super::http;
use super::reply::recorded;
use super::scope::Scope;
use crate::saga::Json;
use crate::saga::definition::{Target, Template};
use crate::saga::outcome::Error;

/// Refuses arguments larger than the limit.
pub(super) fn bounded(arguments: Json, limits: &Limits) -> Result<Json, Error> {
    let (most, found) = (limits.arguments_bytes_max, arguments.get().len());
    if found > most {
        let message = format!("expected arguments of at most {most} bytes (`arguments_bytes_max`), found {found}");
        return Err(recorded("arguments_too_large", message));
    }
    Ok(arguments)
}

/// Renders the arguments of a tool. They must be an object.
pub(super) fn tool_arguments(template: &Template, scope: &Scope, limits: &Limits) -> Result<Json, Error> {
    let arguments = bounded(expr::render(template, scope)?, limits)?;
    if !arguments.get().trim_start().starts_with('{') {
        return Err(recorded("arguments", "expected the arguments of a tool to be an object"));
    }
    Ok(arguments)
}

/// Renders an HTTP request.
pub(super) fn request(
    target: &Target,
    scope: &Scope,
    limits: &Limits,
    key: Option<&str>,
) -> Result<http::Request, Error> {
    let Target::Http { method, path, query, headers, body, .. } = target else {
        return Err(recorded("arguments", "expected an HTTP request"));
    };
    let view = View::from_scope(scope);
    let texts = |templates: &BTreeMap<String, Template>| -> Result<Vec<(String, String)>, Error> {
        templates.iter().map(|(name, template)| Ok((name.clone(), expr::render_text(template, &view)?))).collect()
    };
    let body = body.as_ref().map(|body| expr::render_view(body, &view)).transpose()?;
    let body = body.map(|body| bounded(body, limits)).transpose()?;
    Ok(http::Request {
        method: method.clone(),
        path: expr::url_path(path, &view)?,
        query: texts(query)?,
        headers: texts(headers)?,
        body,
        key: key.map(str::to_owned),
        traceparent: scope.traceparent.clone(),
    })
}
