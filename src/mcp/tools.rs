//! The tools: one for each definition that can be called, and the built-in ones. Owns what a tool promises, and
//! notices changes of the definitions. The list depends only on the definitions and the principal. Definitions come
//! first, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use rmcp::model::{Tool, ToolAnnotations};
use tokio::sync::watch;

use super::builtin_tool::BuiltinTool;
use super::principal::Principal;
use super::schema::{self, Shape};
use crate::client::{Client, Error};
use crate::saga::Definition;
use crate::saga::definition::{Action, Effect, Kind, Step};

/// A definition as a tool.
#[derive(Debug)]
pub(super) struct SagaTool {
    pub(super) definition: Arc<Definition>,
    pub(super) shape: Shape,
    pub(super) tool: Tool,
}

/// The tools as of the last refresh.
#[derive(Debug)]
pub(super) struct Tools {
    /// For some time, a repeat with equal arguments and no key is the same call (`mcp.dedupe`).
    deduped: bool,
    offers: RwLock<Arc<BTreeMap<String, Arc<SagaTool>>>>,
    changed: watch::Sender<u64>,
}

impl Tools {
    /// Creates an empty list.
    pub(super) fn new(deduped: bool) -> Self {
        Self { deduped, offers: RwLock::default(), changed: watch::Sender::new(0) }
    }

    /// Reads the definitions, and notifies all subscribers if they have changed.
    pub(super) async fn refresh(&self, client: &Client) -> Result<(), Error> {
        let definitions = client.definitions().await?;
        let mut offers = self.offers.write().unwrap_or_else(PoisonError::into_inner);
        let (old, callable) = (&**offers, definitions.iter().filter(|definition| is_callable(definition)));
        let fresh: BTreeMap<String, Arc<SagaTool>> = callable
            .map(|definition| {
                let known = old.get(definition.name());
                let same = known.filter(|offer| offer.definition.digest() == definition.digest());
                let offer = same.cloned().unwrap_or_else(|| Arc::new(self.made(definition)));
                (definition.name().to_owned(), offer)
            })
            .collect();
        let same =
            fresh.len() == old.len() && fresh.iter().zip(old).all(|((_, one), (_, other))| Arc::ptr_eq(one, other));
        if !same {
            *offers = Arc::new(fresh);
            self.changed.send_modify(|version| *version += 1);
        }
        Ok(())
    }

    /// Subscribes to changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Returns the tools that a principal may call, in order.
    pub(super) fn list(&self, principal: &Principal) -> Vec<Tool> {
        let offers = self.offers();
        let callable = offers.iter().filter(|(name, _)| principal.may_start(name));
        callable.map(|(_, offer)| offer.tool.clone()).chain(BuiltinTool::ALL.map(BuiltinTool::tool)).collect()
    }

    /// Returns the tool with this name, without a look at grants.
    pub(super) fn tool(&self, name: &str) -> Option<Tool> {
        let offer = self.offers().get(name).map(|offer| offer.tool.clone());
        offer.or_else(|| BuiltinTool::from_name(name).map(BuiltinTool::tool))
    }

    /// Returns the definition that a tool starts, if the principal may start it.
    pub(super) fn offer(&self, name: &str, principal: &Principal) -> Option<Arc<SagaTool>> {
        self.offers().get(name).filter(|_| principal.may_start(name)).cloned()
    }

    /// Returns the names of all definitions that are tools.
    pub(super) fn names(&self) -> Vec<String> {
        self.offers().keys().cloned().collect()
    }

    fn offers(&self) -> Arc<BTreeMap<String, Arc<SagaTool>>> {
        self.offers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn made(&self, definition: &Arc<Definition>) -> SagaTool {
        let (arguments, shape) = schema::arguments(definition);
        let name = definition.name().to_owned();
        let tool = Tool::new(name.clone(), description(definition), Arc::new(arguments))
            .with_title(title(&name))
            .with_raw_output_schema(Arc::new(schema::result(definition.draft().output_schema.as_ref())))
            .with_annotations(annotations(definition, self.deduped));
        SagaTool { definition: definition.clone(), shape, tool }
    }
}

/// Returns whether a call can start a saga of this definition. An open saga needs a driver. A definition with the
/// name of a built-in tool has no tool.
fn is_callable(definition: &Definition) -> bool {
    definition.lease_ms().is_none() && BuiltinTool::from_name(definition.name()).is_none()
}

/// Turns `hotel_checkout` into the title `Hotel checkout`.
fn title(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Returns the description for the model: the author's text, and what holds for all tools.
fn description(definition: &Definition) -> String {
    let own = definition.draft().description.trim();
    let stop = if own.is_empty() || own.ends_with(['.', '!', '?']) { "" } else { "." };
    let promise = "It is done wholly or not at all, and the answer is final and true: completed, \
                   compensated (nothing of it is left) or stuck (a person is looking at it). Do not retry it \
                   yourself. in_progress is no failure: it goes on, and saga_status tells how it ended.";
    let mut steps = definition.steps().iter();
    let asks = steps.any(|planned| matches!(planned.step.action, Action::Approval { .. }));
    let approval =
        if asks { " A person has to approve a part of it, and is asked; you cannot approve it." } else { "" };
    format!("{own}{stop} {promise}{approval}").trim().to_owned()
}

/// Returns the tool's hints, which follow from its steps.
fn annotations(definition: &Definition, deduped: bool) -> ToolAnnotations {
    let steps: Vec<&Step> = definition.steps().iter().map(|planned| &planned.step).collect();
    let changes = |step: &&&Step| match &step.action {
        Action::Call(call) => call.effect != Effect::ReadOnly,
        Action::Await { .. } | Action::Sleep { .. } | Action::Approval { .. } => false,
    };
    let read_only = steps.iter().all(|step| !changes(&step));
    let stays = |step: &&Step| step.irreversible || step.kind != Kind::Compensable;
    let destructive = steps.iter().filter(changes).any(stays);
    let calls = steps.iter().any(|step| matches!(step.action, Action::Call(_)));
    ToolAnnotations::new()
        .read_only(read_only)
        .destructive(!read_only && destructive)
        .idempotent(read_only || deduped)
        .open_world(calls)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::saga::definition::{Call, Draft};

    fn hints(draft: Draft) -> [Option<bool>; 4] {
        let hints = annotations(&Definition::build(draft).unwrap(), false);
        [hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint]
    }

    #[test]
    fn annotations_follow_from_the_steps() {
        let step =
            |name: &str| Step::new(name, Call::handler("x").idempotent()).compensation(Call::handler("y").idempotent());
        let reads = Draft::new("a").step(Step::new("look", Call::handler("x").read_only()));
        assert_eq!(hints(reads), [true, false, true, true].map(Some));
        assert_eq!(hints(Draft::new("a").step(step("hold"))), [false, false, false, true].map(Some));
        let stays =
            Draft::new("a").step(step("hold")).step(Step::new("pay", Call::handler("x")).needs(["hold"]).pivot());
        assert_eq!(hints(stays), [false, true, false, true].map(Some));
        assert_eq!(hints(Draft::new("a").step(Step::sleeping("nap", 5))), [true, false, true, false].map(Some));
    }

    #[test]
    fn a_tool_says_what_it_does_and_what_holds_for_all() {
        let draft = Draft::new("hotel_checkout").description("Checks a guest out").step(Step::sleeping("nap", 5));
        let offer = Tools::new(false).made(&Definition::build(draft.input(json!({ "type": "object" }))).unwrap());
        assert_eq!((&*offer.tool.name, offer.tool.title.as_deref()), ("hotel_checkout", Some("Hotel checkout")));
        let said = offer.tool.description.unwrap();
        assert!(said.starts_with("Checks a guest out. It is done wholly"), "{said}");
        assert!(!said.contains("approve"), "{said}");
        let asks = Draft::new("transfer").step(Step::approval("agree", "Sure?", None, None));
        let said = description(&Definition::build(asks).unwrap());
        assert!(said.ends_with("A person has to approve a part of it, and is asked; you cannot approve it."), "{said}");
    }
}
