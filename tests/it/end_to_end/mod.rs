//! Events in at a real broker, correct tables out in a real database, with the program that is shipped.

mod forms;
mod letters;
pub(crate) mod outages;
mod sources;
mod stops;
