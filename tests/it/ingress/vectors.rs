//! Every signature vector gives its verdict at its frozen clock.

use anyhow::{Context, Result, ensure};
use rollcall::ingress::provider::Provider;
use rollcall::ingress::signature::{Credentials, Jwks, Received, Rejection, Verified, Verifier};
use secrecy::SecretString;
use serde_json::Value;

use super::{PROVIDERS, fixtures, read};

fn credentials(vector: &Value) -> Result<Credentials> {
    let text = |name: &str| vector[name].as_str().map(str::to_owned);
    Ok(Credentials {
        secrets: text("secret").into_iter().map(SecretString::from).collect(),
        jwks: match &vector["jwks"] {
            Value::Null => None,
            set => Some(Jwks::parse(&set.to_string())?),
        },
        issuer: text("issuer"),
        audience: text("audience"),
        ..Credentials::default()
    })
}

fn headers(vector: &Value) -> Vec<(String, String)> {
    let listed = vector["headers"].as_object().into_iter().flatten();
    listed
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

/// What is done to the headers of a request.
type Change<'a> = &'a dyn Fn(&mut Vec<(String, String)>);

#[test]
fn every_vector_gives_its_verdict() -> Result<()> {
    let (mut judged, mut wrong) = (0, Vec::new());
    for provider in PROVIDERS {
        let schemes = Provider::embedded(provider)?.schemes;
        let file = read(&fixtures().join(provider).join("vectors.json"))?;
        for vector in file["vectors"].as_array().context("vectors")? {
            let name = vector["name"].as_str().context("a name")?;
            let Some(expected) = vector["expect"].as_str() else {
                ensure!(
                    vector["expect_response"].is_object(),
                    "{provider} {name} is no handshake"
                );
                continue;
            };
            let headers = headers(vector);
            let body = vector["body"].as_str().context("a body")?;
            let received = Received {
                headers: &headers,
                body: body.as_bytes(),
            };
            let now = vector["now_unix"].as_i64().context("now_unix")? * 1000;
            let verifier = Verifier::new(&schemes, &credentials(vector)?)?;
            let verdict = verifier.verify(&received, now);
            if verdict.is_ok() != (expected == "accept") {
                wrong.push(format!("{provider} {name}: {:?}", verdict.err()));
            }
            judged += 1;
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(judged >= 98, "only {judged} vectors");
    Ok(())
}

/// A body signed with `signer` as `verifier` sees it so many milliseconds later, its headers changed on the way.
fn judged(
    provider: &str,
    signer: &[&str],
    verifier: &[&str],
    later: i64,
    change: impl Fn(&mut Vec<(String, String)>),
) -> Result<Result<(), Rejection>> {
    const NOW: i64 = 1_767_225_600_000;
    let schemes = Provider::embedded(provider)?.schemes;
    let with = |secrets: &[&str]| {
        Verifier::new(
            &schemes,
            &Credentials {
                secrets: secrets.iter().map(|secret| SecretString::from(*secret)).collect(),
                ..Credentials::default()
            },
        )
    };
    let mut headers = with(signer)?.sign("msg_1", b"{}", NOW)?;
    change(&mut headers);
    let received = Received {
        headers: &headers,
        body: b"{}",
    };
    let verdict: Result<Verified<'_>, Rejection> = with(verifier)?.verify(&received, NOW + later);
    Ok(verdict.map(drop))
}

#[test]
fn the_old_and_the_new_secret_are_good_and_a_third_is_not() -> Result<()> {
    let standard = [
        "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
        "whsec_ZWZnaGlqa2xtbm9wcXJzdHV2d3h5ent8fX5/gIGCg4Q=",
    ];
    let third = [
        "whsec_IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiI=",
        "other-secret-of-32-bytes-or-more-0003",
    ];
    let plain = [
        "old-secret-of-32-bytes-or-more-00001",
        "new-secret-of-32-bytes-or-more-00002",
    ];
    for (provider, both, other) in [
        ("clerk", standard, third[0]),
        ("supabase", standard, third[0]),
        ("supabase", plain, third[1]),
        ("keycloak", plain, third[1]),
        ("auth0", plain, third[1]),
        ("workos", plain, third[1]),
        ("zitadel", plain, third[1]),
        ("fusionauth", plain, third[1]),
        ("frappe", plain, third[1]),
    ] {
        for secret in both {
            ensure!(judged(provider, &[secret], &both, 0, |_| {})?.is_ok(), "{provider}");
        }
        ensure!(judged(provider, &[other], &both, 0, |_| {})?.is_err(), "{provider}");
    }
    Ok(())
}

#[test]
fn the_window_is_closed_on_both_sides() -> Result<()> {
    let standard = ["whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="];
    let plain = ["a-secret-of-32-bytes-or-more-00000001"];
    for (provider, secret, window) in [
        ("clerk", standard, 300),
        ("svix", standard, 300),
        ("zitadel", plain, 300),
        ("workos", plain, 180),
    ] {
        for (later, good) in [
            (window, true),
            (-window, true),
            (window + 1, false),
            (-window - 1, false),
        ] {
            let verdict = judged(provider, &secret, &secret, later * 1000, |_| {})?;
            ensure!(verdict.is_ok() == good, "{provider} {later} s: {verdict:?}");
        }
    }
    Ok(())
}

#[test]
fn many_signatures_cost_nothing_and_a_second_one_is_looked_at() -> Result<()> {
    let standard = ["whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="];
    let plain = ["a-secret-of-32-bytes-or-more-00000001"];
    let (base64, hex) = ("A".repeat(43), "0".repeat(64));
    for (provider, secret, name, between, other) in [
        ("clerk", standard, "webhook-signature", " ", format!("v1,{base64}=")),
        ("workos", plain, "workos-signature", ",", format!("v1={hex}")),
        ("zitadel", plain, "zitadel-signature", ",", format!("v1={hex}")),
    ] {
        let more = |count: usize| {
            let others = vec![other.clone(); count];
            move |headers: &mut Vec<(String, String)>| {
                for header in headers.iter_mut().filter(|header| header.0.eq_ignore_ascii_case(name)) {
                    header.1 = format!("{}{between}{}", header.1, others.join(between));
                }
            }
        };
        ensure!(judged(provider, &secret, &secret, 0, more(0))?.is_ok(), "{provider}");
        ensure!(judged(provider, &secret, &secret, 0, more(15))?.is_ok(), "{provider}");
        let verdict = judged(provider, &secret, &secret, 0, more(16))?;
        ensure!(
            matches!(&verdict, Err(Rejection::Malformed(what)) if what.contains("more than 16")),
            "{provider}: {verdict:?}"
        );
        // What is old is refused before anything is computed.
        let verdict = judged(provider, &secret, &secret, 1_000_000, more(300))?;
        ensure!(
            matches!(verdict, Err(Rejection::TooOld(1_000))),
            "{provider}: {verdict:?}"
        );
    }
    Ok(())
}

#[test]
fn headers_that_could_be_read_in_two_ways_are_refused() -> Result<()> {
    let secret = ["whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="];
    let set = |name: &'static str, value: &'static str| {
        move |headers: &mut Vec<(String, String)>| {
            for header in headers.iter_mut().filter(|header| header.0 == name) {
                header.1 = value.to_owned();
            }
        }
    };
    let add = |name: &'static str, value: &'static str| {
        move |headers: &mut Vec<(String, String)>| headers.push((name.to_owned(), value.to_owned()))
    };
    let verdict = |change: Change<'_>| judged("clerk", &secret, &secret, 0, change);
    ensure!(verdict(&|_| {})?.is_ok());
    ensure!(
        verdict(&add("webhook-id", "msg_1"))?.is_err(),
        "an id that is there twice"
    );
    ensure!(verdict(&set("webhook-id", "msg.1"))?.is_err(), "an id with a dot");
    ensure!(verdict(&set("webhook-id", ""))?.is_err(), "no id");
    ensure!(verdict(&set("webhook-timestamp", "+1767225600"))?.is_err(), "a sign");
    ensure!(
        verdict(&set("webhook-timestamp", "17672256000000000"))?.is_err(),
        "a long number"
    );
    // Of another family than the signature: not covered by it, and so not looked at.
    ensure!(verdict(&add("svix-id", "msg_2"))?.is_ok());
    Ok(())
}
