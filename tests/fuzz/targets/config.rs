//! Whatever a configuration says, it is read or every problem of it has a place and a text; and always the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcall::config::Config;

fuzz_target!(|input: &str| {
    // Lines above a line of dashes are variables, the rest is the file.
    let (variables, text) = input.split_once("\n---\n").unwrap_or(("", input));
    let variables: Vec<(String, String)> = variables
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let read = || Config::parse("config.toml", text, variables.iter().cloned());
    match (read(), read()) {
        (Ok(one), Ok(two)) => assert_eq!(format!("{one:?}"), format!("{two:?}")),
        (Err(one), Err(two)) => {
            let text = one.to_string();
            assert!(!text.is_empty());
            assert_eq!(text, two.to_string());
        }
        (one, two) => panic!("the same text, read twice: {:?}, {:?}", one.is_ok(), two.is_ok()),
    }
});
