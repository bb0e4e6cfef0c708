//! One suite for both databases: every case runs on each, against a real one, through the code that production uses.

mod atomic;
mod claims;
mod columns;
mod customer_table;
mod customers;
mod cuts;
mod kept;
mod late;
mod letters;
mod load;
mod passing;
mod rebuild;
mod schema;
