//! `amends token`: creates, lists and revokes the tokens of MCP callers. Owns the display of tokens. A token itself
//! is shown only once, when it is created.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::database::{DatabaseArgs, Schema};
use super::failure::{Exit, Failure};
use super::output::{Output, Tone, harmless};
use super::time::instant;
use super::value;
use crate::config::mcp::{TOKEN_LIFE, TOKEN_LIFE_MS_MAX};
use crate::mcp::{Grants, mint};
use crate::store::{AccessToken, Store};

/// Longest name of a caller, in characters.
const NAME_CHARS_MAX: usize = 64;

/// Verbs of `amends token`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Creates a token and shows it once.
    Add(Add),
    /// Lists tokens without their secrets.
    List,
    /// Revokes a token at once.
    Revoke(Revoke),
}

/// `amends token add`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Name of the caller: lower case letters, digits, `-`, `_`, `.`. Tokens with the same name belong to one caller.
    name: String,
    /// Permission: `start:NAME`, `read:NAME` or `operate:NAME`, where NAME is a definition, or ends in `*` for
    /// several. May be given more than once.
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,
    /// When the token expires: a duration from now, such as 30days, or `never`.
    #[arg(long, alias = "life", value_name = "TIME", value_parser = expiry, default_value = TOKEN_LIFE)]
    expires: Expiry,
}

/// When a token expires.
#[derive(Clone, Copy, Debug)]
enum Expiry {
    After(Duration),
    Never,
}

fn expiry(text: &str) -> Result<Expiry, String> {
    match text {
        "never" => Ok(Expiry::Never),
        text => match value::duration(text) {
            Ok(life) if life <= Duration::from_millis(TOKEN_LIFE_MS_MAX) => Ok(Expiry::After(life)),
            Ok(_) => Err("expected at most 100 years, or `never`".to_owned()),
            Err(error) => Err(format!("{error}; or `never`")),
        },
    }
}

/// `amends token revoke`.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Id of the token, from `amends token list`.
    id: String,
}

/// Executes a verb of `amends token`.
pub(super) fn run(verb: Verb, database: &DatabaseArgs, output: &Output) -> Result<Exit, Failure> {
    if let Verb::Add(add) = &verb {
        check(add)?;
    }
    database.run(Schema::Current, async |store| match &verb {
        Verb::Add(made) => add(store, made, output).await,
        Verb::List => list(&store.access_tokens().await?, output),
        Verb::Revoke(Revoke { id }) => match store.revoke_access_token(id).await? {
            true => {
                output.remark(&format!("token {} is revoked", harmless(id)));
                Ok(Exit::Done)
            }
            false => Err(Failure::new(Exit::NotFound, format!("there is no token {id:?}; see amends token list"))),
        },
    })
}

fn check(add: &Add) -> Result<(), Failure> {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let fits = (1..=NAME_CHARS_MAX).contains(&add.name.len()) && add.name.chars().all(letter) && add.name != "local";
    let mut faults = Vec::new();
    if !fits {
        faults.push(format!(
            "expected a name of 1 to {NAME_CHARS_MAX} characters a-z, 0-9, `-`, `_`, `.`, other than `local`, \
             found {:?}",
            add.name
        ));
    }
    faults.extend(add.scopes.iter().filter(|scope| !Grants::is_scope(scope)).map(|scope| {
        format!("expected a scope such as `start:hotel_checkout`, `read:hotel_*` or `operate:*`, found {scope:?}")
    }));
    if faults.is_empty() { Ok(()) } else { Err(Failure::usage(faults.join("\n"))) }
}

async fn add(store: &Store, add: &Add, output: &Output) -> Result<Exit, Failure> {
    let minted = mint();
    let life = match add.expires {
        Expiry::After(life) => Some(life),
        Expiry::Never => None,
    };
    let expires_at = store.put_access_token(&minted.id, &add.name, &minted.digest, &add.scopes, life).await?;
    if output.is_json() {
        output.value(&json!({
            "id": minted.id, "name": add.name, "scopes": add.scopes, "token": minted.token,
            "expires_at": expires_at.map(instant),
        }))?;
    } else {
        output.line(&minted.token)?;
        let until = expires_at.map_or_else(|| "never expires".to_owned(), |at| format!("expires {}", instant(at)));
        output.remark(&format!("this token is not shown again; only its digest is kept. It {until}"));
    }
    Ok(Exit::Done)
}

fn list(tokens: &[AccessToken], output: &Output) -> Result<Exit, Failure> {
    if output.is_json() {
        let value = |token: &AccessToken| {
            json!({
                "id": token.id, "name": token.name, "scopes": token.scopes, "live": token.live,
                "status": status(token),
                "created_at": instant(token.created_at), "expires_at": token.expires_at.map(instant),
                "revoked_at": token.revoked_at.map(instant),
            })
        };
        output.value(&tokens.iter().map(value).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    if tokens.is_empty() {
        output.remark("no tokens; create one with amends token add");
        return Ok(Exit::Done);
    }
    let mut table = output.table();
    table.set_header(["ID", "NAME", "SCOPES", "CREATED", "STATUS", "UNTIL"]);
    for token in tokens {
        let until = token.revoked_at.or(token.expires_at).map_or_else(|| "no expiry".to_owned(), instant);
        let tone = if token.live { Tone::Plain } else { Tone::Quiet };
        table.add_row([
            output.cell(tone, harmless(&token.id)),
            output.cell(tone, harmless(&token.name)),
            output.cell(tone, harmless(&token.scopes.join(" "))),
            output.cell(tone, instant(token.created_at)),
            output.cell(tone, status(token)),
            output.cell(tone, until),
        ]);
    }
    output.line(&table.trim_fmt())?;
    Ok(Exit::Done)
}

/// Returns what has become of a token, by the database's clock.
fn status(token: &AccessToken) -> &'static str {
    match (token.revoked_at, token.live) {
        (Some(_), _) => "revoked",
        (None, true) => "live",
        (None, false) => "expired",
    }
}
