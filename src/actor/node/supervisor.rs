//! Restarts the node's actors when they are gone. Owns their factories, a bounded budget of restarts and the node's
//! health. Leaves saga actors to their dispatcher.
//!
//! actix's own supervisor restarts an actor that stopped but not one that panicked. So this one asks each actor for a
//! sign of life, and starts a new actor when the old one is gone. The design is quickwit's.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix::prelude::*;

use crate::boundary;
use crate::config::actor as limits;
use crate::metrics;

/// Request for a sign of life. An actor that is gone does not answer.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Observe;

/// Makes an actor; fails while something that the actor needs is missing.
type Factory = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Recipient<Observe>, String>>>>>;

/// Actor under supervision.
pub struct Child {
    name: &'static str,
    make: Factory,
    alive: Option<Recipient<Observe>>,
    /// When an answer or a new actor was asked for; none once it has come.
    asked_at: Option<Instant>,
    /// Times of its restarts within the budget's window.
    restarts: VecDeque<Instant>,
    made_before: bool,
}

impl Child {
    /// Creates a child from the actor's name and its factory.
    pub fn new<F, Made>(name: &'static str, make: F) -> Self
    where
        F: Fn() -> Made + 'static,
        Made: Future<Output = Result<Recipient<Observe>, String>> + 'static,
    {
        debug_assert!(metrics::SUPERVISED.contains(&name), "the restarts of {name:?} have no first value");
        Self {
            name,
            make: Box::new(move || Box::pin(make())),
            alive: None,
            asked_at: None,
            restarts: VecDeque::new(),
            made_before: false,
        }
    }
}

/// Reasons why the node does not work as it should; empty if it does. Shared with the readiness check.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<Vec<String>>>);

impl Health {
    /// Returns the reasons, for people.
    pub fn health_issues(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, health_issues: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = health_issues;
    }
}

/// Supervisor of the node's actors.
pub struct Supervisor {
    children: Vec<Child>,
    health: Health,
}

impl Supervisor {
    /// Creates a supervisor. It makes the actors when it starts.
    pub fn new(children: Vec<Child>, health: Health) -> Self {
        Self { children, health }
    }

    /// Runs one round: asks every actor for a sign of life, and restarts those that are gone.
    fn round(&mut self, ctx: &mut Context<Self>) {
        for index in 0..self.children.len() {
            let child = &mut self.children[index];
            if child.asked_at.is_some() {
                continue;
            }
            match child.alive.clone() {
                Some(alive) if alive.connected() => {
                    child.asked_at = Some(Instant::now());
                    let answer = alive.send(Observe);
                    ctx.spawn(answer.into_actor(self).map(move |answer, act, _| {
                        let child = &mut act.children[index];
                        child.asked_at = None;
                        if answer.is_err() {
                            child.alive = None;
                        }
                    }));
                }
                Some(_) | None => self.make(index, ctx),
            }
        }
        self.report();
        ctx.run_later(Duration::from_millis(limits::HEARTBEAT_MS), Self::round);
    }

    /// Makes an actor, unless it was restarted `RESTARTS_MAX` times within the window. Then it waits until the oldest
    /// restart has left the window.
    fn make(&mut self, index: usize, ctx: &mut Context<Self>) {
        let child = &mut self.children[index];
        child.alive = None;
        let window = Duration::from_millis(limits::RESTART_WINDOW_MS);
        child.restarts.retain(|at| at.elapsed() < window);
        if child.restarts.len() >= limits::RESTARTS_MAX {
            return;
        }
        if child.made_before {
            tracing::warn!(actor = child.name, "actor is gone; restarting it");
            metrics::ACTOR_RESTARTS.with([child.name.into()]).increment(1);
        }
        child.asked_at = Some(Instant::now());
        let made = (child.make)();
        ctx.spawn(made.into_actor(self).map(move |made, act, _| {
            let child = &mut act.children[index];
            child.asked_at = None;
            match made {
                Ok(alive) => {
                    if child.made_before {
                        child.restarts.push_back(Instant::now());
                    }
                    child.made_before = true;
                    child.alive = Some(alive);
                }
                Err(reason) => tracing::warn!(actor = child.name, reason, "could not make the actor; retrying"),
            }
            act.report();
        }));
    }

    fn report(&self) {
        let stalled = Duration::from_millis(limits::STALLED_MS);
        let complaint = |child: &Child| match (&child.alive, child.asked_at) {
            (None, _) => Some(format!("{} is not running", child.name)),
            (Some(_), Some(asked)) if asked.elapsed() > stalled => {
                Some(format!("{} has not answered for {} s", child.name, asked.elapsed().as_secs()))
            }
            (Some(_), _) => None,
        };
        self.health.set(self.children.iter().filter_map(complaint).collect());
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        boundary::pass("supervisor: started");
        self.round(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        boundary::pass("supervisor: stopped");
    }
}
