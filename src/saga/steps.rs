//! The steps of a state, as a persistent tree: a state shares with the one before it whatever did not change. Owns the
//! tree, and the search for steps by their traits. A step to which nothing has happened takes a pointer and a summary.
//!
//! Each node of the tree knows a summary of the steps below it, so a search goes only where it finds something. A saga
//! of up to 16 steps is one leaf. The idea of a tree with summaries comes from finger trees (Hinze and Paterson,
//! 2006).

use std::sync::Arc;

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
    root: Node,
    length: usize,
    summary: Summary,
}

#[derive(Clone)]
enum Node {
    Leaf(Arc<[Entry]>),
    Inner(Arc<Inner>),
}

#[derive(Clone)]
struct Entry {
    /// None: nothing has happened to the step.
    step: Option<Arc<StepState>>,
    kind: Kind,
    summary: Summary,
}

#[derive(Clone)]
struct Inner {
    /// Steps below each child but the last.
    span: usize,
    children: Vec<Child>,
}

#[derive(Clone)]
struct Child {
    summary: Summary,
    node: Node,
}

impl Entry {
    fn waiting(kind: Kind) -> Self {
        Self { step: None, kind, summary: Summary::for_step(kind, &WAITING) }
    }

    fn get(&self) -> &StepState {
        self.step.as_deref().unwrap_or(&WAITING)
    }

    fn get_mut(&mut self) -> &mut StepState {
        Arc::make_mut(self.step.get_or_insert_with(|| Arc::new(StepState::WAITING)))
    }
}

impl Steps {
    /// Makes steps of these kinds to which nothing has happened yet.
    pub(super) fn waiting(kinds: &[Kind]) -> Self {
        let mut span = WIDTH;
        while span < kinds.len() {
            span *= WIDTH;
        }
        let root = Node::waiting(kinds, span);
        Self { length: kinds.len(), summary: root.summary(), root }
    }

    /// Returns the number of steps.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Returns whether there are no steps.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns the step with this index.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&StepState> {
        self.entry(index).map(Entry::get)
    }

    #[inline]
    fn entry(&self, index: usize) -> Option<&Entry> {
        match &self.root {
            Node::Leaf(entries) => entries.get(index),
            Node::Inner(inner) => inner.entry(index),
        }
    }

    /// Returns the step with this index, to change what has no part in its traits. Panics if there is none.
    #[inline]
    pub(super) fn get_mut(&mut self, index: usize) -> &mut StepState {
        match &mut self.root {
            Node::Leaf(entries) => Arc::make_mut(entries)[index].get_mut(),
            Node::Inner(inner) => Arc::make_mut(inner).entry_mut(index).get_mut(),
        }
    }

    /// Changes the step with this index. Panics if there is none.
    #[inline]
    pub(super) fn change(&mut self, index: usize, change: impl FnOnce(&mut StepState)) {
        self.summary = self.root.change(index, change);
    }

    /// Adds a step to which nothing has happened yet.
    pub(super) fn push(&mut self, kind: Kind) {
        if self.length == self.root.span() {
            let root = std::mem::replace(&mut self.root, Node::Leaf(Arc::new([])));
            let (span, summary) = (root.span(), self.summary);
            self.root = Node::Inner(Arc::new(Inner { span, children: vec![Child { summary, node: root }] }));
        }
        self.summary = self.root.push(self.length, kind);
        self.length += 1;
    }

    /// Makes all steps such that nothing has happened to them.
    pub(crate) fn reset(&mut self) {
        let kinds: Vec<Kind> = (0..self.length).map(|index| self.kind(index)).collect();
        *self = Self::waiting(&kinds);
    }

    /// Returns all steps in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &StepState> + ExactSizeIterator {
        (0..self.length).map(|index| &self[index])
    }

    /// Returns the kind of a step. Panics if there is no step with this index.
    #[inline]
    pub(super) fn kind(&self, index: usize) -> Kind {
        match self.entry(index) {
            Some(entry) => entry.kind,
            None => self.missing(index),
        }
    }

    /// Returns the summary of all steps.
    #[inline]
    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    /// Returns whether a step has one of these traits.
    #[inline]
    pub(super) fn has(&self, traits: Traits) -> bool {
        self.summary.has(traits)
    }

    /// Returns the first step from `from` on that fits. `fits` is asked about single steps, and about many at once:
    /// then it tells whether one of them may fit.
    #[inline]
    pub(super) fn find(&self, from: usize, fits: impl Fn(Summary) -> bool) -> Option<usize> {
        if fits(self.summary) { self.root.find(0, from, &fits) } else { None }
    }

    /// Returns all steps that fit, in order.
    pub(super) fn all(&self, fits: impl Fn(Summary) -> bool) -> impl Iterator<Item = usize> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let found = self.find(from, &fits)?;
            from = found + 1;
            Some(found)
        })
    }

    /// Returns all steps that have one of these traits, in order.
    pub(super) fn having(&self, traits: Traits) -> impl Iterator<Item = usize> {
        self.all(move |summary| summary.has(traits))
    }

    /// Returns whether one of some steps has one of these traits. `indexes` ascend.
    #[inline(always)]
    pub(super) fn any_has(&self, indexes: &[usize], traits: Traits) -> bool {
        if !self.has(traits) {
            return false;
        }
        if indexes.len() <= WIDTH {
            let has = |index: usize| self.entry(index).is_some_and(|entry| entry.summary.has(traits));
            return indexes.iter().any(|&index| has(index));
        }
        self.any_of_many_has(indexes, traits)
    }

    /// Goes from one step that has the traits to the next, whether it is asked about or not, and skips all others.
    fn any_of_many_has(&self, indexes: &[usize], traits: Traits) -> bool {
        let mut rest = indexes;
        while let Some(&next) = rest.first() {
            let Some(found) = self.find(next, |summary| summary.has(traits)) else { return false };
            rest = &rest[rest.partition_point(|&index| index < found)..];
            if rest.first() == Some(&found) {
                return true;
            }
        }
        false
    }

    /// Returns the steps that are not the same as in an earlier state, in order. A step that changed and changed back
    /// may be among them.
    pub fn changed_since(&self, old: &Self) -> Vec<usize> {
        let mut changed = Vec::new();
        self.each_changed(old, |index, _, _| changed.push(index));
        changed
    }

    /// Calls `each` for the steps of [`Self::changed_since`], with the step as it is and as it was.
    #[inline]
    pub(super) fn each_changed<'a>(
        &'a self,
        old: &'a Self,
        mut each: impl FnMut(usize, &'a StepState, Option<&'a StepState>),
    ) {
        match (&self.root, &old.root) {
            (Node::Leaf(new), Node::Leaf(old)) => leaf_changed(new, old, 0, &mut each),
            (root, old) => root.each_changed(Some(old), 0, &mut each),
        }
    }

    /// Returns whether the summaries are those of the steps.
    #[cfg(test)]
    pub(super) fn is_summed_up(&self) -> bool {
        let mut again = Self { root: Node::Leaf(Arc::new([])), length: 0, summary: Summary::NONE };
        for index in 0..self.length {
            again.push(self.kind(index));
            again.change(index, |step| *step = self[index].clone());
        }
        let same = |index| self.entry(index).map(|one| one.summary) == again.entry(index).map(|one| one.summary);
        self.summary == again.summary && (0..self.length).all(same)
    }

    #[cold]
    fn missing(&self, index: usize) -> ! {
        panic!("expected one of {} steps, found index {index}", self.length)
    }
}

impl Inner {
    fn entry(&self, index: usize) -> Option<&Entry> {
        match &self.children.get(index / self.span)?.node {
            Node::Leaf(entries) => entries.get(index % self.span),
            Node::Inner(inner) => inner.entry(index % self.span),
        }
    }

    fn entry_mut(&mut self, index: usize) -> &mut Entry {
        match &mut self.children[index / self.span].node {
            Node::Leaf(entries) => &mut Arc::make_mut(entries)[index % self.span],
            Node::Inner(inner) => Arc::make_mut(inner).entry_mut(index % self.span),
        }
    }

    fn summary(&self) -> Summary {
        self.children.iter().fold(Summary::NONE, |sum, child| sum.and(child.summary))
    }
}

impl Node {
    /// Makes a node for waiting steps of these kinds, with room for `span` steps.
    fn waiting(kinds: &[Kind], span: usize) -> Self {
        if span == WIDTH {
            return Self::Leaf(kinds.iter().copied().map(Entry::waiting).collect());
        }
        let span = span / WIDTH;
        let mut children: Vec<Child> = Vec::with_capacity(kinds.len().div_ceil(span));
        let mut before: Option<&[Kind]> = None;
        for kinds in kinds.chunks(span) {
            // Equal parts of a long list are one part.
            let child = match (before == Some(kinds), children.last()) {
                (true, Some(same)) => same.clone(),
                (true | false, _) => {
                    let node = Self::waiting(kinds, span);
                    Child { summary: node.summary(), node }
                }
            };
            children.push(child);
            before = Some(kinds);
        }
        Self::Inner(Arc::new(Inner { span, children }))
    }

    /// Returns the number of steps for which the node has room.
    fn span(&self) -> usize {
        match self {
            Self::Leaf(_) => WIDTH,
            Self::Inner(inner) => inner.span * WIDTH,
        }
    }

    fn summary(&self) -> Summary {
        match self {
            Self::Leaf(entries) => entries.iter().fold(Summary::NONE, |sum, entry| sum.and(entry.summary)),
            Self::Inner(inner) => inner.summary(),
        }
    }

    /// Changes a step, and returns the summary of the node.
    fn change(&mut self, index: usize, change: impl FnOnce(&mut StepState)) -> Summary {
        match self {
            Self::Leaf(entries) => {
                let entries = Arc::make_mut(entries);
                let entry = &mut entries[index];
                change(entry.get_mut());
                entry.summary = Summary::for_step(entry.kind, entry.get());
                entries.iter().fold(Summary::NONE, |sum, entry| sum.and(entry.summary))
            }
            Self::Inner(inner) => {
                let inner = Arc::make_mut(inner);
                let child = &mut inner.children[index / inner.span];
                child.summary = child.node.change(index % inner.span, change);
                inner.summary()
            }
        }
    }

    /// Adds a step with this index within the node, and returns the summary of the node. There is room for the step.
    fn push(&mut self, index: usize, kind: Kind) -> Summary {
        match self {
            Self::Leaf(entries) => *entries = entries.iter().cloned().chain([Entry::waiting(kind)]).collect(),
            Self::Inner(inner) => {
                let inner = Arc::make_mut(inner);
                let span = inner.span;
                match inner.children.get_mut(index / span) {
                    Some(child) => child.summary = child.node.push(index % span, kind),
                    None => {
                        let node = Self::waiting(&[kind], span);
                        inner.children.push(Child { summary: node.summary(), node });
                    }
                }
            }
        }
        self.summary()
    }

    fn find(&self, base: usize, from: usize, fits: &impl Fn(Summary) -> bool) -> Option<usize> {
        let from = from.saturating_sub(base);
        match self {
            Self::Leaf(entries) => {
                (from..entries.len()).find(|&index| fits(entries[index].summary)).map(|index| base + index)
            }
            Self::Inner(inner) => {
                let first = from / inner.span;
                inner.children.iter().enumerate().skip(first).find_map(|(index, child)| {
                    let below = base + index * inner.span;
                    if fits(child.summary) { child.node.find(below, base + from, fits) } else { None }
                })
            }
        }
    }

    fn each_changed<'a>(
        &'a self,
        old: Option<&'a Self>,
        base: usize,
        each: &mut impl FnMut(usize, &'a StepState, Option<&'a StepState>),
    ) {
        match (self, old) {
            (Self::Leaf(new), Some(Self::Leaf(old))) => leaf_changed(new, old, base, each),
            (Self::Leaf(new), None | Some(Self::Inner(_))) => {
                new.iter().enumerate().for_each(|(index, entry)| each(base + index, entry.get(), None));
            }
            (Self::Inner(new), old) => {
                for (index, child) in new.children.iter().enumerate() {
                    let before = match old {
                        Some(Self::Inner(old)) if Arc::ptr_eq(new, old) => return,
                        Some(Self::Inner(old)) if old.span == new.span => old.children.get(index).map(|one| &one.node),
                        // The tree has grown since: all that was there is below the first child.
                        Some(older) => Some(older).filter(|_| index == 0),
                        None => None,
                    };
                    child.node.each_changed(before, base + index * new.span, each);
                }
            }
        }
    }
}

#[inline]
fn leaf_changed<'a>(
    new: &'a Arc<[Entry]>,
    old: &'a Arc<[Entry]>,
    base: usize,
    each: &mut impl FnMut(usize, &'a StepState, Option<&'a StepState>),
) {
    if Arc::ptr_eq(new, old) {
        return;
    }
    for (index, entry) in new.iter().enumerate() {
        let before = old.get(index);
        let same = before.is_some_and(|before| match (&entry.step, &before.step) {
            (Some(new), Some(old)) => Arc::ptr_eq(new, old),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        });
        if !same {
            each(base + index, entry.get(), before.map(Entry::get));
        }
    }
}

impl std::ops::Index<usize> for Steps {
    type Output = StepState;

    #[inline]
    fn index(&self, index: usize) -> &StepState {
        match self.get(index) {
            Some(step) => step,
            None => self.missing(index),
        }
    }
}

impl PartialEq for Steps {
    fn eq(&self, other: &Self) -> bool {
        let same = |index: usize| self[index] == other[index] && self.kind(index) == other.kind(index);
        self.length == other.length && self.changed_since(other).into_iter().all(same)
    }
}

impl std::fmt::Debug for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
