//! The steps of a state, as a persistent tree: a state shares with the one before it whatever did not change. Owns the
//! tree, and the search for steps by their traits. A step to which nothing has happened takes a pointer.
//!
//! Each node of the tree keeps a summary of the steps below it, so a search goes only where it finds something. A
//! saga of up to [`WIDTH`] steps is one leaf without summaries. The idea of a tree with summaries comes from finger
//! trees (Hinze and Paterson, 2006).

use std::sync::{Arc, OnceLock};

use super::definition::Kind;
use super::state::StepState;
use super::traits::{Summary, Traits};

/// Most entries of one node of the tree. Small in tests, so that short sagas have deep trees.
pub(super) const WIDTH: usize = if cfg!(test) { 2 } else { 16 };

/// A step to which nothing has happened yet.
static WAITING: StepState = StepState::WAITING;

/// The steps of one state, in the order of their indexes.
#[derive(Clone)]
pub struct Steps {
    kinds: Arc<[Kind]>,
    root: Node,
}

#[derive(Clone)]
enum Node {
    Leaf(Leaf),
    Inner(Arc<Inner>),
}

/// Up to [`WIDTH`] steps. None: nothing has happened to the step.
type Leaf = Arc<[Option<Arc<StepState>>]>;

#[derive(Clone)]
struct Inner {
    /// Steps below each child but the last.
    span: usize,
    children: Vec<Child>,
}

#[derive(Clone)]
struct Child {
    /// Summary of the steps below, once it was asked for. None again after one of them has changed.
    summary: OnceLock<Summary>,
    node: Node,
}

impl Steps {
    /// Makes steps to which nothing has happened yet.
    pub(super) fn waiting(kinds: Arc<[Kind]>) -> Self {
        let mut span = WIDTH;
        while span < kinds.len() {
            span *= WIDTH;
        }
        let full = std::iter::repeat_n(None, WIDTH.min(kinds.len())).collect();
        Self { root: Node::waiting(kinds.len(), span, &full), kinds }
    }

    /// Returns the number of steps.
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Returns whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// Returns the step with this index.
    pub fn get(&self, index: usize) -> Option<&StepState> {
        if index >= self.len() {
            return None;
        }
        let (mut node, mut index) = (&self.root, index);
        loop {
            match node {
                Node::Leaf(steps) => return Some(steps[index].as_deref().unwrap_or(&WAITING)),
                Node::Inner(inner) => {
                    node = &inner.children[index / inner.span].node;
                    index %= inner.span;
                }
            }
        }
    }

    /// Returns the step with this index, to change it. Panics if there is none.
    pub(super) fn get_mut(&mut self, index: usize) -> &mut StepState {
        let (mut node, mut index) = (&mut self.root, index);
        loop {
            match node {
                Node::Leaf(steps) => {
                    let step = Arc::make_mut(steps)[index].get_or_insert_with(|| Arc::new(StepState::WAITING));
                    return Arc::make_mut(step);
                }
                Node::Inner(inner) => {
                    let inner = Arc::make_mut(inner);
                    let child = &mut inner.children[index / inner.span];
                    child.summary.take();
                    index %= inner.span;
                    node = &mut child.node;
                }
            }
        }
    }

    /// Adds a step to which nothing has happened yet.
    pub(super) fn push(&mut self, kind: Kind) {
        if self.len() == self.root.span() {
            let (span, summary) = (self.root.span(), OnceLock::new());
            let root = std::mem::replace(&mut self.root, Node::Leaf(Arc::new([])));
            self.root = Node::Inner(Arc::new(Inner { span, children: vec![Child { summary, node: root }] }));
        }
        self.root.push(self.kinds.len());
        self.kinds = self.kinds.iter().copied().chain([kind]).collect();
    }

    /// Makes all steps such that nothing has happened to them.
    pub(crate) fn reset(&mut self) {
        *self = Self::waiting(self.kinds.clone());
    }

    /// Returns all steps in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &StepState> + ExactSizeIterator {
        (0..self.len()).map(|index| &self[index])
    }

    /// Returns the kind of a step. Panics if there is no step with this index.
    pub(super) fn kind(&self, index: usize) -> Kind {
        self.kinds[index]
    }

    /// Returns the first step from `from` on that fits. `fits` is asked about single steps, and about many at once:
    /// then it tells whether one of them may fit.
    pub(super) fn find(&self, from: usize, fits: impl Fn(&Summary) -> bool) -> Option<usize> {
        self.root.find(0, from, &self.kinds, &fits)
    }

    /// Returns all steps that fit, in order.
    pub(super) fn all(&self, fits: impl Fn(&Summary) -> bool) -> impl Iterator<Item = usize> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let found = self.find(from, &fits)?;
            from = found + 1;
            Some(found)
        })
    }

    /// Returns the first of some steps that fits. `indexes` ascend.
    pub(super) fn first_of(&self, indexes: &[usize], fits: impl Fn(&Summary) -> bool) -> Option<usize> {
        if indexes.len() <= WIDTH {
            return indexes.iter().copied().find(|&index| fits(&self.summary_of(index)));
        }
        // Goes from one fitting step to the next, whether it is asked about or not, and skips all others.
        let mut rest = indexes;
        while let Some(&next) = rest.first() {
            let found = self.find(next, &fits)?;
            rest = &rest[rest.partition_point(|&index| index < found)..];
            if rest.first() == Some(&found) {
                return Some(found);
            }
        }
        None
    }

    /// Returns the summary of one step.
    fn summary_of(&self, index: usize) -> Summary {
        Summary::for_step(self.kinds[index], &self[index])
    }

    /// Returns whether a step has one of these traits.
    pub(super) fn has(&self, traits: Traits) -> bool {
        self.find(0, |summary| summary.has(traits)).is_some()
    }

    /// Returns the summary of all steps.
    pub(super) fn summary(&self) -> Summary {
        self.root.summary(0, &self.kinds)
    }

    /// Returns the steps that are not the same as in an earlier state, in order. A step that changed and changed back
    /// may be among them.
    pub fn changed_since(&self, old: &Self) -> Vec<usize> {
        let mut changed = Vec::new();
        self.root.changed(Some(&old.root), 0, &mut changed);
        changed
    }
}

impl Node {
    /// Makes a node for `length` steps that has room for `span`. `full` is a leaf of waiting steps, to be shared.
    fn waiting(length: usize, span: usize, full: &Leaf) -> Self {
        if span == WIDTH {
            let leaf = if length == full.len() { full.clone() } else { full[..length].into() };
            return Self::Leaf(leaf);
        }
        let span = span / WIDTH;
        let children = (0..length.div_ceil(span)).map(|child| Child {
            summary: OnceLock::new(),
            node: Self::waiting(span.min(length - child * span), span, full),
        });
        Self::Inner(Arc::new(Inner { span, children: children.collect() }))
    }

    /// Returns the number of steps for which the node has room.
    fn span(&self) -> usize {
        match self {
            Self::Leaf(_) => WIDTH,
            Self::Inner(inner) => inner.span * WIDTH,
        }
    }

    /// Adds a step with this index within the node. There is room for it.
    fn push(&mut self, index: usize) {
        match self {
            Self::Leaf(steps) => *steps = steps.iter().cloned().chain([None]).collect(),
            Self::Inner(inner) => {
                let inner = Arc::make_mut(inner);
                let span = inner.span;
                match inner.children.get_mut(index / span) {
                    Some(child) => {
                        child.summary.take();
                        child.node.push(index % span);
                    }
                    None => inner
                        .children
                        .push(Child { summary: OnceLock::new(), node: Self::waiting(1, span, &Leaf::from([None])) }),
                }
            }
        }
    }

    fn find(&self, base: usize, from: usize, kinds: &[Kind], fits: &impl Fn(&Summary) -> bool) -> Option<usize> {
        let from = from.saturating_sub(base);
        match self {
            Self::Leaf(steps) => {
                let found = (from..steps.len()).find(|&index| {
                    let step = steps[index].as_deref().unwrap_or(&WAITING);
                    fits(&Summary::for_step(kinds[base + index], step))
                });
                found.map(|index| base + index)
            }
            Self::Inner(inner) => {
                let first = from / inner.span;
                inner.children.iter().enumerate().skip(first).find_map(|(index, child)| {
                    let below = base + index * inner.span;
                    let fitting = fits(&child.summary(below, kinds));
                    fitting.then(|| child.node.find(below, base + from, kinds, fits)).flatten()
                })
            }
        }
    }

    fn summary(&self, base: usize, kinds: &[Kind]) -> Summary {
        match self {
            Self::Leaf(steps) => steps.iter().zip(&kinds[base..]).fold(Summary::NONE, |sum, (step, kind)| {
                sum.and(Summary::for_step(*kind, step.as_deref().unwrap_or(&WAITING)))
            }),
            Self::Inner(inner) => inner
                .children
                .iter()
                .enumerate()
                .fold(Summary::NONE, |sum, (index, child)| sum.and(child.summary(base + index * inner.span, kinds))),
        }
    }

    fn changed(&self, old: Option<&Self>, base: usize, changed: &mut Vec<usize>) {
        match (self, old) {
            (Self::Leaf(new), Some(Self::Leaf(old))) => {
                if Arc::ptr_eq(new, old) {
                    return;
                }
                let same = |index: usize| match (&new[index], old.get(index)) {
                    (Some(new), Some(Some(old))) => Arc::ptr_eq(new, old),
                    (None, Some(None)) => true,
                    (Some(_) | None, Some(_) | None) => false,
                };
                changed.extend((0..new.len()).filter(|&index| !same(index)).map(|index| base + index));
            }
            (Self::Leaf(new), None | Some(Self::Inner(_))) => changed.extend(base..base + new.len()),
            (Self::Inner(new), old) => {
                for (index, child) in new.children.iter().enumerate() {
                    let before = match old {
                        Some(Self::Inner(old)) if Arc::ptr_eq(new, old) => return,
                        Some(Self::Inner(old)) if old.span == new.span => old.children.get(index).map(|one| &one.node),
                        // The tree has grown since: all that was there is below the first child.
                        Some(older) => Some(older).filter(|_| index == 0),
                        None => None,
                    };
                    child.node.changed(before, base + index * new.span, changed);
                }
            }
        }
    }
}

impl Child {
    fn summary(&self, base: usize, kinds: &[Kind]) -> Summary {
        #[cfg(test)]
        super::traits::visit();
        *self.summary.get_or_init(|| self.node.summary(base, kinds))
    }
}

impl std::ops::Index<usize> for Steps {
    type Output = StepState;

    fn index(&self, index: usize) -> &StepState {
        match self.get(index) {
            Some(step) => step,
            None => panic!("expected one of {} steps, found index {index}", self.len()),
        }
    }
}

impl PartialEq for Steps {
    fn eq(&self, other: &Self) -> bool {
        self.kinds == other.kinds && self.changed_since(other).into_iter().all(|index| self[index] == other[index])
    }
}

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
