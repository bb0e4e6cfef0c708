//! Files that the configuration names: secrets, which are never shown, and certificates.

use std::fs;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;

/// A folder with files of these names and contents.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    for (name, content) in files {
        fs::write(folder.path().join(name), content).expect("the folder is ours");
    }
    folder
}

/// The path of a file in it, as text.
fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

#[test]
fn a_file_that_is_named_must_exist() {
    let folder = folder(&[("good.toml", "[worker]\nlanes = 7"), ("binary.toml", "")]);
    let read = |name: &str| Config::load(Some(&folder.path().join(name)), std::iter::empty());
    assert_eq!(read("good.toml").expect("it is valid").worker.lanes, 7);
    let missing = read("missing.toml").expect_err("there is none").to_string();
    assert!(missing.contains("missing.toml does not exist"), "{missing}");
    fs::write(folder.path().join("binary.toml"), [0xff, 0xfe]).expect("the folder is ours");
    assert!(matches!(read("binary.toml"), Err(ConfigError::Unreadable { .. })));
    assert!(matches!(read("."), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let folder = folder(&[
        ("nats-url", "nats://ada:hunter2@broker:4222\r\n"),
        ("store-url", "postgres://ada:hunter2@db/app?password=hunter3\n"),
        ("password", "hunter4\n"),
        ("token", "hunter5"),
        ("seed", "SUhunter6\n"),
    ]);
    let text = format!(
        "[nats]\nurl_file = {:?}\n[store]\nurl_file = {:?}",
        path(&folder, "nats-url"),
        path(&folder, "store-url")
    );
    let config = load(&text, &[]).expect("the files are there");
    assert_eq!(config.nats.servers[0].expose(), "nats://ada:hunter2@broker:4222");
    assert_eq!(config.nats.servers[0].to_string(), "nats://broker:4222");
    assert_eq!(
        config.store.url.expose(),
        "postgres://ada:hunter2@db/app?password=hunter3"
    );
    assert_eq!(config.store.url.redacted(), "postgres://ada@db/app");
    assert_eq!(config.store.backend, Backend::Postgres);
    assert!(!format!("{config:?}").contains("hunter"), "{config:?}");

    let login = |keys: &str| {
        load(&format!("[nats]\n{keys}"), &[])
            .expect("one way to log in")
            .nats
            .login
    };
    let password_file = format!("user = \"ada\"\npassword_file = {:?}", path(&folder, "password"));
    for keys in ["user = \"ada\"\npassword = \"hunter4\"", &password_file] {
        let login = login(keys);
        assert!(!format!("{login:?}").contains("hunter"), "{login:?}");
        let Login::Password { user, password } = login else {
            panic!("a password was configured")
        };
        assert_eq!((user.as_str(), password.expose_secret()), ("ada", "hunter4"));
    }
    let token = login(&format!("token_file = {:?}", path(&folder, "token")));
    assert!(matches!(&token, Login::Token(token) if token.expose_secret() == "hunter5"));
    let seed = login(&format!("nkey_file = {:?}", path(&folder, "seed")));
    assert!(matches!(&seed, Login::Nkey(seed) if seed.expose_secret() == "SUhunter6"));
    let credentials = login(&format!("creds_file = {:?}", path(&folder, "seed")));
    assert!(matches!(&credentials, Login::Credentials(text) if text.expose_secret() == "SUhunter6"));
    assert!(!format!("{token:?}{seed:?}{credentials:?}").contains("hunter"));
}

#[test]
fn a_variable_takes_the_place_of_the_other_way_to_say_it() {
    let folder = folder(&[("url", "sqlite://from-file.db\n")]);
    let file = path(&folder, "url");
    let config = load(SHIPPED, &[("ROLLCALL__STORE__URL_FILE", &file)]).expect("the variable wins");
    assert_eq!(config.store.backend, Backend::Sqlite("from-file.db".into()));
    let text = format!("[store]\nurl_file = {file:?}");
    let config = load(&text, &[("ROLLCALL__STORE__URL", "sqlite://b.db")]).expect("the variable wins");
    assert_eq!(config.store.backend, Backend::Sqlite("b.db".into()));
    let both = [
        ("ROLLCALL__STORE__URL", "sqlite://b.db"),
        ("ROLLCALL__STORE__URL_FILE", file.as_str()),
    ];
    let expected = "ROLLCALL__STORE__URL_FILE: \"url_file\" in [store] and \"url\" are both given: keep one of the two";
    assert_eq!(problems("", &both), expected);
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = folder(&[("empty", "\n"), ("long", &"x".repeat(70_000)), ("ca.pem", "-")]);
    for (key, name, expected) in [
        (
            "password_file",
            "none",
            "which cannot be read (No such file or directory (os error 2))",
        ),
        ("token_file", "empty", "which is empty or longer than 64 KiB"),
        ("nkey_file", "long", "which is empty or longer than 64 KiB"),
        (
            "url_file",
            "none",
            "which cannot be read (No such file or directory (os error 2))",
        ),
        (
            "ca_file",
            "none",
            "which cannot be read (No such file or directory (os error 2))",
        ),
        ("ca_file", ".", "which cannot be read (it is not a file)"),
    ] {
        let file = path(&folder, name);
        let found = problems(&format!("[nats]\nuser = \"u\"\n{key} = {file:?}"), &[]);
        let start = format!("config.toml line 3: \"{key}\" in [nats] names {file}, {expected}: ");
        assert!(found.lines().any(|line| line.starts_with(&start)), "{start}\n{found}");
    }
}

#[test]
fn anything_of_tls_means_that_it_is_required() {
    let folder = folder(&[("a.pem", "-"), ("b.pem", "-")]);
    let (a, b) = (path(&folder, "a.pem"), path(&folder, "b.pem"));
    let tls = |keys: &str| load(&format!("[nats]\n{keys}"), &[]).expect("it is valid").nats.tls;
    assert_eq!(
        tls(""),
        Tls {
            required: false,
            first: false,
            authority: None,
            client: None
        }
    );
    assert!(tls("url = \"tls://broker\"").required);
    assert!(tls("tls_first = true").required);
    assert!(tls(&format!("ca_file = {a:?}")).required);
    let client = tls(&format!("cert_file = {a:?}\nkey_file = {b:?}"));
    let expected = ClientCertificate {
        certificate: a.clone().into(),
        key: b.into(),
    };
    assert!(client.required && client.client == Some(expected), "{client:?}");
    let expected = "config.toml line 2: \"cert_file\" in [nats] is given without \"key_file\": give both or neither";
    assert_eq!(problems(&format!("[nats]\ncert_file = {a:?}"), &[]), expected);
    let expected = "config.toml line 2: \"key_file\" in [nats] is given without \"cert_file\": give both or neither";
    assert_eq!(problems(&format!("[nats]\nkey_file = {a:?}"), &[]), expected);
}
