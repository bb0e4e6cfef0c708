//! Which events can be applied on top of the stored state, and which histories have to be folded again.
//!
//! A component is the closure of keys over the pairs of every stored rename, whatever its outcome. Nothing outside a
//! component can change what an event inside it does, so an event newer than everything in its components is simply
//! the next one.

use std::collections::{BTreeMap, BTreeSet};

use super::event::Event;
use super::position::Position;

/// What is stored about a component, under the key that is its root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// The greatest position in its ledger; `None` when it has no events yet.
    pub newest: Option<Position>,
    /// Events in its ledger.
    pub events: u64,
    /// Keys that belong to it.
    pub keys: u64,
}

/// What is to be done with a batch; events are named by their index in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// To be applied on the stored state, in position order.
    pub fast: Vec<usize>,
    /// Components to be folded again, each with its new events in position order.
    pub late: Vec<Planned>,
    /// Late events of components that are too large to be folded again.
    pub too_large: Vec<usize>,
    /// The root each stored root has now, where that changed.
    pub merged: BTreeMap<String, String>,
    /// What is to be stored about every component with new events, by root.
    pub components: BTreeMap<String, Stored>,
}

/// One component to be folded again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The stored roots that it is made of.
    pub roots: BTreeSet<String>,
    /// Its new events, in no particular order.
    pub events: Vec<usize>,
}

/// Plans a batch. `roots` gives the root of each key of the events, `stored` what is known of each root; components
/// with more than `limit` events are not folded again.
pub fn plan(
    events: &[&Event],
    roots: &BTreeMap<String, String>,
    stored: &BTreeMap<String, Stored>,
    limit: u64,
) -> Plan {
    let mut order: Vec<usize> = (0..events.len()).collect();
    order.sort_by(|a, b| events[*a].position.cmp(&events[*b].position));
    let mut too_large = Vec::new();
    loop {
        let forest = Forest::grow(events, &order, roots, stored);
        let buried = forest.late_in_large_components(limit);
        if buried.is_empty() {
            return forest.into_plan(too_large);
        }
        // Without its late events a component may have no reason left to be folded again, or to be this large.
        order.retain(|index| !buried.contains(index));
        too_large.extend(buried);
    }
}

/// A union-find over the roots, with what the new events make of each tree.
struct Forest {
    parent: BTreeMap<String, String>,
    trees: BTreeMap<String, Tree>,
}

#[derive(Default)]
struct Tree {
    stored: Stored,
    members: BTreeSet<String>,
    events: Vec<usize>,
    late: Vec<usize>,
}

impl Forest {
    fn grow(
        events: &[&Event],
        order: &[usize],
        roots: &BTreeMap<String, String>,
        stored: &BTreeMap<String, Stored>,
    ) -> Self {
        let mut forest = Self {
            parent: BTreeMap::new(),
            trees: BTreeMap::new(),
        };
        for &index in order {
            let event = events[index];
            let mut home: Option<String> = None;
            let mut late = false;
            for key in std::iter::once(event.key.as_str()).chain(event.other_key()) {
                let root = roots.get(key).map_or(key, String::as_str);
                let tree = forest.plant(root, stored);
                late |= forest.trees[&tree]
                    .stored
                    .newest
                    .as_ref()
                    .is_some_and(|newest| *newest >= event.position);
                home = Some(match home {
                    Some(other) if other != tree => forest.unite(&other, &tree),
                    _ => tree,
                });
            }
            if let Some(tree) = home.and_then(|home| forest.trees.get_mut(&home)) {
                tree.events.push(index);
                tree.stored.events += 1;
                if late {
                    tree.late.push(index);
                } else {
                    tree.stored.newest = Some(event.position.clone());
                }
            }
        }
        forest
    }

    fn plant(&mut self, root: &str, stored: &BTreeMap<String, Stored>) -> String {
        let found = self.find(root);
        if !self.trees.contains_key(&found) {
            let tree = Tree {
                stored: stored.get(root).cloned().unwrap_or_default(),
                members: BTreeSet::from([root.to_owned()]),
                ..Tree::default()
            };
            self.trees.insert(found.clone(), tree);
        }
        found
    }

    fn find(&self, root: &str) -> String {
        let mut current = root;
        while let Some(parent) = self.parent.get(current) {
            current = parent;
        }
        current.to_owned()
    }

    /// The component with more keys keeps its root, so that few rows have to change.
    fn unite(&mut self, a: &str, b: &str) -> String {
        let size = |root: &str| self.trees.get(root).map_or(0, |tree| tree.stored.keys);
        let (kept, lost) = if size(b) > size(a) { (b, a) } else { (a, b) };
        if let Some(absorbed) = self.trees.remove(lost)
            && let Some(tree) = self.trees.get_mut(kept)
        {
            tree.stored.newest = tree.stored.newest.take().max(absorbed.stored.newest);
            tree.stored.events += absorbed.stored.events;
            tree.stored.keys += absorbed.stored.keys;
            tree.members.extend(absorbed.members);
            tree.events.extend(absorbed.events);
            tree.late.extend(absorbed.late);
        }
        self.parent.insert(lost.to_owned(), kept.to_owned());
        kept.to_owned()
    }

    fn late_in_large_components(&self, limit: u64) -> Vec<usize> {
        self.trees
            .values()
            .filter(|tree| !tree.late.is_empty() && tree.stored.events > limit)
            .flat_map(|tree| tree.late.iter().copied())
            .collect()
    }

    fn into_plan(self, too_large: Vec<usize>) -> Plan {
        let mut plan = Plan {
            too_large,
            ..Plan::default()
        };
        for (root, tree) in self.trees {
            for member in &tree.members {
                if *member != root {
                    plan.merged.insert(member.clone(), root.clone());
                }
            }
            if tree.late.is_empty() {
                plan.fast.extend(tree.events);
            } else {
                plan.late.push(Planned {
                    roots: tree.members,
                    events: tree.events,
                });
            }
            plan.components.insert(root, tree.stored);
        }
        plan
    }
}

#[cfg(test)]
mod tests;
