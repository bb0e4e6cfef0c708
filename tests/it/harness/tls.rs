//! Certificates for one test: an authority, a server for `localhost`, a client. Made with openssl.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::HOW_TO_GET;

/// Files in PEM.
pub struct Certificates {
    /// The authority that signed the others.
    pub ca: PathBuf,
    /// An authority that signed nothing.
    pub stranger: PathBuf,
    /// For `localhost` and 127.0.0.1.
    pub server_cert: PathBuf,
    /// Of the server.
    pub server_key: PathBuf,
    /// Of a client.
    pub client_cert: PathBuf,
    /// Of a client.
    pub client_key: PathBuf,
}

impl Certificates {
    /// Makes them in the folder; valid for a day.
    pub fn make(folder: &Path) -> Result<Self> {
        let file = |name: &str| folder.join(name);
        let authority = |name: &str| -> Result<()> {
            let subject = format!("/CN=rollcall test {name}");
            openssl(
                folder,
                &format!(
                    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -keyout {name}.key -out {name}.pem"
                ),
                &["-subj", &subject],
            )
        };
        authority("ca")?;
        authority("stranger")?;
        for (name, usage) in [("server", "serverAuth"), ("client", "clientAuth")] {
            let request = format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"
            );
            openssl(folder, &request, &[])?;
            let extension = format!(
                "subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n"
            );
            fs::write(file(&format!("{name}.ext")), extension)?;
            let sign = format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile {name}.ext -out {name}.pem"
            );
            openssl(folder, &sign, &[])?;
        }
        Ok(Self {
            ca: file("ca.pem"),
            stranger: file("stranger.pem"),
            server_cert: file("server.pem"),
            server_key: file("server.key"),
            client_cert: file("client.pem"),
            client_key: file("client.key"),
        })
    }
}

fn openssl(folder: &Path, arguments: &str, more: &[&str]) -> Result<()> {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .args(more)
        .current_dir(folder)
        .output()
        .with_context(|| format!("openssl is needed to make test certificates: {HOW_TO_GET}"))?;
    if !output.status.success() {
        bail!("openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
