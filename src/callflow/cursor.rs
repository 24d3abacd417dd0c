//! Where a call is in its callflow: the current node, the trees waiting on the stack, and the limits.
//!
//! Pure: a module's wish ([`Next`]) goes in, the next node or the end of the flow comes out. The executor alone moves
//! it, in a loop. Rules: continue, attempt, branch, stop and hard stop of KAZOO's executor, with the cause remembered
//! as KAZOO 5 does when a named child and `_` are both missing.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::base::cause::Cause;

/// Key of the default child.
pub(crate) const DEFAULT: &str = "_";
/// `branch` jumps a call may make (KAZOO's `max_branch_count`).
pub(crate) const MAX_BRANCHES: u32 = 50;
/// Nodes a call may run. Trees are finite and jumps are limited, so this only ends what neither limit foresaw.
pub(crate) const MAX_NODES: u32 = 5_000;

/// Where a module wants the call to go.
#[derive(Debug, Clone)]
pub(crate) enum Next {
    /// The default child `_`; without one the tree stops.
    Default,
    /// The child of that name, else `_`.
    Child(String),
    /// As `Default`, because the module could not do its work: when nothing is left to run the caller hears why.
    Failed,
    /// Into another tree; this node's `_` child resumes when that tree stops.
    Branch(Tree),
    /// Into another tree, in place of this one. The stack stays.
    Replace(Tree),
    /// This tree is done: the stack goes on, or the flow ends with that cause.
    Stop(Option<Cause>),
    /// The flow is over, whatever waits on the stack.
    HardStop,
    /// The call is somebody else's now: the flow is over, and nothing is hung up.
    Usurped,
}

/// A tree of nodes, shared with the document it came in.
#[derive(Debug, Clone)]
pub(crate) enum Tree {
    /// A callflow document: its `flow`.
    Document(Arc<Value>),
    /// A bare node.
    Node(Arc<Value>),
}

impl Tree {
    fn root(&self) -> Option<&Value> {
        match self {
            Self::Document(document) => document.get("flow"),
            Self::Node(node) => Some(node),
        }
    }
}

/// How a flow ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum End {
    /// It ran out: hang up with the cause, or with KAZOO's default response to `named` where there is one.
    Done {
        /// The cause a module stopped with.
        cause: Option<Cause>,
        /// The child a module asked for in vain, when `_` was missing too.
        named: Option<String>,
    },
    /// A module failed and nothing was left to run.
    Failed,
    /// A module ended it.
    HardStop,
    /// The call was moved elsewhere and goes on there.
    Usurped,
    /// One jump or one node too many.
    Limit(&'static str),
}

/// A node by its tree and the child keys that lead to it.
#[derive(Debug, Clone)]
struct Place {
    tree: Tree,
    keys: Vec<Box<str>>,
}

impl Place {
    fn of(tree: Tree) -> Self {
        Self {
            tree,
            keys: Vec::new(),
        }
    }

    fn node(&self) -> Option<&Map<String, Value>> {
        let mut node = self.tree.root()?;
        for key in &self.keys {
            node = node.get("children")?.get(key.as_ref())?;
        }
        node.as_object()
    }

    fn child(&self, key: &str) -> Option<Self> {
        let child = self.node()?.get("children")?.get(key)?;
        child
            .as_object()
            .is_some_and(|child| !child.is_empty())
            .then(|| {
                let mut keys = self.keys.clone();
                keys.push(key.into());
                Self {
                    tree: self.tree.clone(),
                    keys,
                }
            })
    }

    /// Whether the key is there at all: an empty child is a place to go, and stops.
    fn has_key(&self, key: &str) -> bool {
        self.node()
            .and_then(|node| node.get("children")?.get(key))
            .is_some()
    }
}

/// The position of one call.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    here: Place,
    stack: Vec<Place>,
    branches: u32,
    nodes: u32,
}

impl Cursor {
    /// At the root of `tree`; the trees of `then` run after it, the first one first.
    pub(crate) fn new(tree: Tree, then: impl IntoIterator<Item = Tree>) -> Self {
        let mut stack: Vec<Place> = then.into_iter().map(Place::of).collect();
        stack.reverse();
        Self {
            here: Place::of(tree),
            stack,
            branches: 0,
            nodes: 0,
        }
    }

    /// The node to run now. Counts it.
    ///
    /// # Errors
    /// How the flow ended, when there is nothing to run.
    pub(crate) fn enter(&mut self) -> Result<&Map<String, Value>, End> {
        while self.here.node().is_none_or(Map::is_empty) {
            self.stop(None, None, false)?;
        }
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > MAX_NODES {
            return Err(End::Limit("nodes"));
        }
        self.here.node().ok_or(End::HardStop)
    }

    /// How many nodes have been entered.
    pub(crate) fn nodes(&self) -> u32 {
        self.nodes
    }

    /// Whether the current node has a child to go to under exactly that name.
    pub(crate) fn has_child(&self, key: &str) -> bool {
        self.here.child(key).is_some()
    }

    /// The keys of the current node's children, in their order.
    pub(crate) fn child_keys(&self) -> Vec<String> {
        let children = self
            .here
            .node()
            .and_then(|node| node.get("children")?.as_object());
        children.map_or_else(Vec::new, |children| children.keys().cloned().collect())
    }

    /// The child keys that lead to the current node, joined by dots; empty at the root of its tree.
    pub(crate) fn path(&self) -> String {
        self.here.keys.join(".")
    }

    /// Moves on.
    ///
    /// # Errors
    /// How the flow ended.
    pub(crate) fn advance(&mut self, next: Next) -> Result<(), End> {
        match next {
            Next::Default => self.descend(DEFAULT, None, false),
            Next::Failed => self.descend(DEFAULT, None, true),
            Next::Child(key) if key == DEFAULT => self.descend(DEFAULT, None, false),
            Next::Child(key) if self.here.has_key(&key) => self.descend(&key, None, false),
            Next::Child(key) => self.descend(DEFAULT, Some(key), false),
            Next::Branch(tree) => {
                self.branches = self.branches.saturating_add(1);
                if self.branches > MAX_BRANCHES {
                    return Err(End::Limit("branches"));
                }
                self.stack.extend(self.here.child(DEFAULT));
                self.here = Place::of(tree);
                Ok(())
            }
            Next::Replace(tree) => {
                self.here = Place::of(tree);
                Ok(())
            }
            Next::Stop(cause) => self.stop(cause, None, false),
            Next::HardStop => Err(End::HardStop),
            Next::Usurped => Err(End::Usurped),
        }
    }

    fn descend(&mut self, key: &str, wanted: Option<String>, failed: bool) -> Result<(), End> {
        if !self.here.has_key(key) {
            return self.stop(None, wanted, failed);
        }
        match self.here.child(key) {
            Some(child) => {
                self.here = child;
                Ok(())
            }
            None => self.stop(None, None, failed),
        }
    }

    fn stop(
        &mut self,
        cause: Option<Cause>,
        named: Option<String>,
        failed: bool,
    ) -> Result<(), End> {
        match self.stack.pop() {
            Some(place) => {
                self.here = place;
                Ok(())
            }
            None if failed => Err(End::Failed),
            None => Err(End::Done { cause, named }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree(node: Value) -> Tree {
        Tree::Node(Arc::new(node))
    }

    fn at(cursor: &mut Cursor) -> String {
        cursor.enter().unwrap()["module"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn node(module: &str, children: Value) -> Value {
        json!({"module": module, "data": {}, "children": children})
    }

    const DONE: End = End::Done {
        cause: None,
        named: None,
    };

    #[test]
    fn continue_takes_the_default_child_and_stops_without_one() {
        let mut cursor = Cursor::new(tree(node("a", json!({"_": node("b", json!({}))}))), []);
        assert_eq!(at(&mut cursor), "a");
        cursor.advance(Next::Default).unwrap();
        assert_eq!(at(&mut cursor), "b");
        assert_eq!(cursor.path(), "_");
        assert_eq!(cursor.advance(Next::Default), Err(DONE));
    }

    #[test]
    fn continue_by_name_falls_back_to_the_default_child() {
        let flow = node(
            "a",
            json!({"1": node("one", json!({})), "_": node("other", json!({}))}),
        );
        let mut cursor = Cursor::new(tree(flow.clone()), []);
        cursor.advance(Next::Child("1".into())).unwrap();
        assert_eq!(at(&mut cursor), "one");
        let mut cursor = Cursor::new(tree(flow), []);
        cursor.advance(Next::Child("2".into())).unwrap();
        assert_eq!(at(&mut cursor), "other");
    }

    #[test]
    fn a_name_asked_for_in_vain_is_remembered_when_nothing_is_left() {
        let mut cursor = Cursor::new(tree(node("a", json!({}))), []);
        let end = cursor.advance(Next::Child("USER_BUSY".into()));
        assert_eq!(
            end,
            Err(End::Done {
                cause: None,
                named: Some("USER_BUSY".into())
            })
        );
    }

    #[test]
    fn there_is_no_way_back_to_a_siblings_branch() {
        let flow = node(
            "a",
            json!({"1": node("one", json!({})), "_": node("other", json!({}))}),
        );
        let mut cursor = Cursor::new(tree(flow), []);
        cursor.advance(Next::Child("1".into())).unwrap();
        assert_eq!(cursor.advance(Next::Default), Err(DONE));
    }

    #[test]
    fn branch_resumes_at_the_default_child_when_the_other_tree_stops() {
        let mut cursor = Cursor::new(tree(node("a", json!({"_": node("after", json!({}))}))), []);
        cursor
            .advance(Next::Branch(tree(node("x", json!({})))))
            .unwrap();
        assert_eq!(at(&mut cursor), "x");
        cursor.advance(Next::Stop(None)).unwrap();
        assert_eq!(at(&mut cursor), "after");
        assert_eq!(cursor.advance(Next::Default), Err(DONE));
    }

    #[test]
    fn replace_leaves_the_stack_and_drops_the_old_children() {
        let mut cursor = Cursor::new(tree(node("a", json!({"_": node("after", json!({}))}))), []);
        cursor
            .advance(Next::Branch(tree(node(
                "x",
                json!({"_": node("lost", json!({}))}),
            ))))
            .unwrap();
        cursor
            .advance(Next::Replace(tree(node("y", json!({})))))
            .unwrap();
        assert_eq!(at(&mut cursor), "y");
        cursor.advance(Next::Default).unwrap();
        assert_eq!(at(&mut cursor), "after");
    }

    #[test]
    fn hard_stop_ignores_the_stack() {
        let mut cursor = Cursor::new(tree(node("a", json!({"_": node("after", json!({}))}))), []);
        cursor
            .advance(Next::Branch(tree(node("x", json!({})))))
            .unwrap();
        assert_eq!(cursor.advance(Next::HardStop), Err(End::HardStop));
    }

    #[test]
    fn stop_keeps_its_cause_when_the_stack_is_empty() {
        let mut cursor = Cursor::new(tree(node("a", json!({}))), []);
        let end = cursor.advance(Next::Stop(Some(Cause::USER_BUSY)));
        assert_eq!(
            end,
            Err(End::Done {
                cause: Some(Cause::USER_BUSY),
                named: None
            })
        );
    }

    #[test]
    fn a_failure_takes_the_default_child_then_the_stack_then_says_so() {
        let mut cursor = Cursor::new(
            tree(node("a", json!({"_": node("b", json!({}))}))),
            [tree(node("c", json!({})))],
        );
        cursor.advance(Next::Failed).unwrap();
        assert_eq!(at(&mut cursor), "b");
        cursor.advance(Next::Failed).unwrap();
        assert_eq!(at(&mut cursor), "c");
        assert_eq!(cursor.advance(Next::Failed), Err(End::Failed));
    }

    #[test]
    fn the_fifty_first_jump_ends_the_flow() {
        let mut cursor = Cursor::new(tree(node("a", json!({}))), []);
        for _ in 0..MAX_BRANCHES {
            cursor
                .advance(Next::Branch(tree(node("a", json!({})))))
                .unwrap();
        }
        assert_eq!(
            cursor.advance(Next::Branch(tree(node("a", json!({}))))),
            Err(End::Limit("branches"))
        );
    }

    #[test]
    fn one_node_too_many_ends_the_flow() {
        let mut cursor = Cursor::new(tree(node("a", json!({}))), []);
        for _ in 0..MAX_NODES {
            at(&mut cursor);
        }
        assert_eq!(cursor.enter().unwrap_err(), End::Limit("nodes"));
    }

    #[test]
    fn an_empty_node_stops() {
        let mut cursor = Cursor::new(
            tree(node("a", json!({"1": {}, "_": node("b", json!({}))}))),
            [],
        );
        assert!(!cursor.has_child("1"), "attempt refuses an empty child");
        assert_eq!(cursor.advance(Next::Child("1".into())), Err(DONE));
        let mut cursor = Cursor::new(tree(json!({})), [tree(node("next", json!({})))]);
        assert_eq!(at(&mut cursor), "next");
    }

    #[test]
    fn an_empty_default_child_is_not_pushed() {
        let mut cursor = Cursor::new(tree(node("a", json!({"_": {}}))), []);
        cursor
            .advance(Next::Branch(tree(node("x", json!({})))))
            .unwrap();
        assert_eq!(cursor.advance(Next::Stop(None)), Err(DONE));
    }

    #[test]
    fn a_document_runs_its_flow() {
        let mut cursor = Cursor::new(
            Tree::Document(Arc::new(json!({"flow": node("a", json!({}))}))),
            [],
        );
        assert_eq!(at(&mut cursor), "a");
        let mut cursor = Cursor::new(Tree::Document(Arc::new(json!({"numbers": ["1"]}))), []);
        assert_eq!(cursor.enter().unwrap_err(), DONE);
    }
}
