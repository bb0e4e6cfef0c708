//! Events in at a real broker, correct tables out in a real database, with the program that is shipped.

mod forms;
mod letters;
mod outages;
mod stops;
