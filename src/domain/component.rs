//! Which events can be applied on top of the stored state, and which histories have to be folded again.
//!
//! A component is the closure of keys over the pairs of every stored rename, whatever its outcome. Nothing outside a
//! component can change what an event inside it does, so an event newer than everything in its components is simply
//! the next one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

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
pub fn plan(events: &[&Event], roots: &BTreeMap<&str, &str>, stored: &BTreeMap<&str, Stored>, limit: u64) -> Plan {
    let mut order: Vec<usize> = (0..events.len()).collect();
    order.sort_by(|a, b| events[*a].position.cmp(&events[*b].position));
    let mut too_large = Vec::new();
    loop {
        let forest = Forest::grow(events, &order, roots, stored);
        let buried = forest.late_in_large_components(limit);
        if buried.is_empty() {
            return forest.into_plan(&order, too_large);
        }
        // Without its late events a component may have no reason left to be folded again, or to be this large.
        order.retain(|index| !buried.contains(index));
        too_large.extend(buried);
    }
}

/// A union-find over the roots, with what the new events make of each tree.
struct Forest<'a> {
    /// Every root that was met, with its tree.
    places: HashMap<&'a str, usize>,
    /// The tree that a tree became part of, or itself.
    parent: Vec<usize>,
    trees: Vec<Tree<'a>>,
}

struct Tree<'a> {
    root: &'a str,
    stored: Stored,
    /// Roots of the trees that became part of it.
    absorbed: Vec<&'a str>,
    events: Vec<usize>,
    late: Vec<usize>,
}

impl<'a> Forest<'a> {
    fn grow(
        events: &[&'a Event],
        order: &[usize],
        roots: &BTreeMap<&'a str, &'a str>,
        stored: &BTreeMap<&'a str, Stored>,
    ) -> Self {
        let mut forest = Self {
            places: HashMap::with_capacity(events.len()),
            parent: Vec::with_capacity(events.len()),
            trees: Vec::with_capacity(events.len()),
        };
        for &index in order {
            let event = events[index];
            let mut home: Option<usize> = None;
            let mut late = false;
            for key in std::iter::once(event.key.as_str()).chain(event.other_key()) {
                let root = roots.get(key).copied().unwrap_or(key);
                let tree = forest.plant(root, stored);
                let newest = forest.trees[tree].stored.newest.as_ref();
                late |= newest.is_some_and(|newest| *newest >= event.position);
                home = Some(match home {
                    Some(other) if other != tree => forest.unite(other, tree),
                    _ => tree,
                });
            }
            if let Some(tree) = home.map(|home| &mut forest.trees[home]) {
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

    /// The tree of a root, which begins with it if there is none.
    fn plant(&mut self, root: &'a str, stored: &BTreeMap<&'a str, Stored>) -> usize {
        if let Some(place) = self.places.get(root) {
            return self.find(*place);
        }
        let place = self.trees.len();
        self.places.insert(root, place);
        self.parent.push(place);
        self.trees.push(Tree {
            root,
            stored: stored.get(root).cloned().unwrap_or_default(),
            absorbed: Vec::new(),
            events: Vec::new(),
            late: Vec::new(),
        });
        place
    }

    fn find(&self, mut place: usize) -> usize {
        while self.parent[place] != place {
            place = self.parent[place];
        }
        place
    }

    /// The component with more keys keeps its root, so that few rows have to change.
    fn unite(&mut self, a: usize, b: usize) -> usize {
        let size = |place: usize| self.trees[place].stored.keys;
        let (kept, lost) = if size(b) > size(a) { (b, a) } else { (a, b) };
        self.parent[lost] = kept;
        let lost = &mut self.trees[lost];
        let (stored, root) = (std::mem::take(&mut lost.stored), lost.root);
        let (absorbed, events, late) = (
            std::mem::take(&mut lost.absorbed),
            std::mem::take(&mut lost.events),
            std::mem::take(&mut lost.late),
        );
        let tree = &mut self.trees[kept];
        tree.stored.newest = tree.stored.newest.take().max(stored.newest);
        tree.stored.events += stored.events;
        tree.stored.keys += stored.keys;
        tree.absorbed.push(root);
        tree.absorbed.extend(absorbed);
        tree.events.extend(events);
        tree.late.extend(late);
        kept
    }

    fn late_in_large_components(&self, limit: u64) -> Vec<usize> {
        self.trees
            .iter()
            .filter(|tree| !tree.late.is_empty() && tree.stored.events > limit)
            .flat_map(|tree| tree.late.iter().copied())
            .collect()
    }

    fn into_plan(self, order: &[usize], too_large: Vec<usize>) -> Plan {
        let mut plan = Plan {
            too_large,
            ..Plan::default()
        };
        let mut is_late = BTreeSet::new();
        let mut components = Vec::with_capacity(self.trees.len());
        let standing = (0..).zip(self.trees).zip(self.parent);
        let mut standing: Vec<Tree<'_>> = standing
            .filter_map(|((place, tree), parent)| (place == parent).then_some(tree))
            .collect();
        standing.sort_unstable_by_key(|tree| tree.root);
        for tree in standing {
            let root = tree.root.to_owned();
            for member in &tree.absorbed {
                plan.merged.insert((*member).to_owned(), root.clone());
            }
            if !tree.late.is_empty() {
                is_late.extend(tree.events.iter().copied());
                let absorbed = tree.absorbed.into_iter().map(str::to_owned);
                plan.late.push(Planned {
                    roots: absorbed.chain([root.clone()]).collect(),
                    events: tree.events,
                });
            }
            components.push((root, tree.stored));
        }
        // Built at once from what is sorted: one after the other, each would be looked for.
        plan.components = components.into_iter().collect();
        plan.fast = order.iter().copied().filter(|event| !is_late.contains(event)).collect();
        plan
    }
}

#[cfg(test)]
mod tests;
