//! Order, duplicates and SIGKILL change nothing: the real program between real servers ends in the tables of a run that
//! nobody disturbed. A run that did not disturb enough fails as void.

mod any_order;
mod demo_year;
// Other builds have no failpoints.
#[cfg(debug_assertions)]
mod failpoints;
mod flow;
mod killed;
mod outcome;
mod partitions;
mod together;
