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
    /// Lifetime of the token, such as 90days. Default: until it is revoked.
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    life: Option<Duration>,
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
    store.put_access_token(&minted.id, &add.name, &minted.digest, &add.scopes, add.life).await?;
    if output.is_json() {
        output.value(&json!({ "id": minted.id, "name": add.name, "scopes": add.scopes, "token": minted.token }))?;
    } else {
        output.line(&minted.token)?;
        output.remark("this token is not shown again; only its digest is kept");
    }
    Ok(Exit::Done)
}

fn list(tokens: &[AccessToken], output: &Output) -> Result<Exit, Failure> {
    if output.is_json() {
        let value = |token: &AccessToken| {
            json!({
                "id": token.id, "name": token.name, "scopes": token.scopes, "live": token.live,
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
    table.set_header(["ID", "NAME", "SCOPES", "CREATED", "UNTIL"]);
    for token in tokens {
        let until = match (token.revoked_at, token.expires_at) {
            (Some(at), _) => format!("revoked {}", instant(at)),
            (None, Some(at)) => instant(at),
            (None, None) => "no expiry".to_owned(),
        };
        let tone = if token.live { Tone::Plain } else { Tone::Quiet };
        table.add_row([
            output.cell(tone, harmless(&token.id)),
            output.cell(tone, harmless(&token.name)),
            output.cell(tone, harmless(&token.scopes.join(" "))),
            output.cell(tone, instant(token.created_at)),
            output.cell(tone, until),
        ]);
    }
    output.line(&table.trim_fmt())?;
    Ok(Exit::Done)
}
