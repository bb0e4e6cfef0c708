//! `[[ingress]]`: what is read, and what is refused.

use std::fs;

use super::*;

/// A file with a secret, and the lines of a good endpoint.
fn endpoint() -> (tempfile::TempDir, String) {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("old"), "hunter2\n").expect("the folder is ours");
    fs::write(path("new"), "hunter3").expect("the folder is ours");
    let lines = format!(
        "[[ingress]]\nname = \"clerk\"\nprovider = \"clerk\"\nsecret_files = [{:?}, {:?}]\n",
        path("old"),
        path("new")
    );
    (folder, lines)
}

#[test]
fn an_endpoint_is_read_with_its_secrets_and_never_shows_them() {
    let (_folder, lines) = endpoint();
    let config = load(&format!("{lines}utc_offset = \"+05:30\"\nrate = 7"), &[]).expect("it is valid");
    let found = &config.ingress[0];
    assert_eq!((found.name.as_str(), found.rate, found.body_max), ("clerk", 7, 262_144));
    assert_eq!(found.provider, ProviderChoice::Embedded("clerk".into()));
    assert_eq!(found.utc_offset.whole_minutes(), 330);
    let secrets: Vec<&str> = found.secrets.iter().map(secrecy::ExposeSecret::expose_secret).collect();
    assert_eq!(secrets, ["hunter2", "hunter3"]);
    assert!(!format!("{config:?}").contains("hunter"), "{config:?}");
}

#[test]
fn rules_of_ingress() {
    let (_folder, good) = endpoint();
    let nameless = good.replace("name = \"clerk\"\n", "");
    for (text, expected) in [
        (nameless.clone(), "\"name\" in [[ingress]] is missing"),
        (
            nameless.replace("provider", "name = \"a/b\"\nprovider"),
            "\"name\" in [[ingress]] is \"a/b\"",
        ),
        (format!("{good}{good}"), "\"clerk\" is there more than once"),
        (
            good.replace("provider = \"clerk\"\n", ""),
            "\"provider\" in [[ingress]] is missing",
        ),
        (
            format!("{good}provider_file = \"x\""),
            "and \"provider\" are both given",
        ),
        (
            "[[ingress]]\nname = \"a\"\nprovider = \"clerk\"".to_owned(),
            "\"secret_files\" in [[ingress]] is missing",
        ),
        (
            "[[ingress]]\nname = \"a\"\nprovider = \"clerk\"\nsecret_files = [\"nowhere\"]".to_owned(),
            "names nowhere, which cannot be read",
        ),
        (good.replace("\"]\n", "\", \"x\"]\n"), "names 3 files"),
        (
            format!("{good}jwks = \"{{}}\"\njwks_file = \"x\""),
            "and \"jwks\" are both given",
        ),
        (
            format!("{good}header = \"a b\""),
            "\"header\" in [[ingress]] is \"a b\"",
        ),
        (
            format!("{good}utc_offset = \"IST\""),
            "\"utc_offset\" in [[ingress]] is \"IST\"",
        ),
        (
            format!("{good}source = \"\""),
            "\"source\" in [[ingress]] has 0 characters",
        ),
        (format!("{good}body_max = 10"), "\"body_max\" in [[ingress]] is 10"),
        (
            format!("{good}body_timeout = \"1ms\""),
            "\"body_timeout\" in [[ingress]] is 1ms",
        ),
        (format!("{good}rate = 0"), "\"rate\" in [[ingress]] is 0"),
        (
            "[http]\ningress_listen = \"here\"".to_owned(),
            "\"ingress_listen\" in [http] is \"here\"",
        ),
        (
            "[http]\ningress_listen = \"127.0.0.1:1\"".to_owned(),
            "no endpoint is configured",
        ),
        (
            "[http]\ningress_connections = 0".to_owned(),
            "\"ingress_connections\" in [http] is 0",
        ),
        ("[http]\ntrusted_proxies = [\"proxy\"]".to_owned(), "contains \"proxy\""),
    ] {
        let found = problems(&text, &[]);
        assert!(
            found.contains(expected),
            "{text}\n  expected: {expected}\n  found:    {found}"
        );
        assert!(!found.contains("hunter"), "{found}");
    }
}
