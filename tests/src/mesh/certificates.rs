use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::Mesh;

impl Mesh {
    /// Gives every service another certificate, of another authority, while they run.
    pub fn renew_certificates(&self) -> anyhow::Result<()> {
        let services: Vec<_> = self.parts.iter().map(|part| part.service).collect();
        sign(self.data.path(), &services)
    }
}

/// Makes an authority, and a certificate of it for each service of the mesh in `folder`.
pub(super) fn sign(folder: &Path, services: &[&str]) -> anyhow::Result<()> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    for service in services {
        let key = KeyPair::generate()?;
        let certificate =
            CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &authority)?;
        let texts = [certificate.pem(), key.serialize_pem(), authority.pem()];
        for ((_, file), text) in files(folder, service).into_iter().zip(texts) {
            fs::create_dir_all(file.parent().unwrap_or(folder))?;
            fs::write(file, text)?;
        }
    }
    Ok(())
}

/// Where a service finds its own, by the option that says so.
pub(super) fn files(folder: &Path, service: &str) -> [(&'static str, PathBuf); 3] {
    let own = folder.join("certificates").join(service);
    [
        ("tls-certificate", own.join("tls.crt")),
        ("tls-key", own.join("tls.key")),
        ("tls-authority", own.join("ca.crt")),
    ]
}
