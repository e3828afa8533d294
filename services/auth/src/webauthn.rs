//! What security keys are asked and what they answer (Web Authentication, Level 3), without attestation: which maker a key is of does not
//! matter here. Bytes in, bytes out; who asks, and what is kept, is elsewhere.

mod strangers;

use domain::{Error, ErrorKind, Result, UserId};
use url::Url;
use webauthn_rp::bin::{Decode, Encode};
use webauthn_rp::request::auth::{
    AllowedCredentials, AuthenticationVerificationOptions, SignatureCounterEnforcement,
};
use webauthn_rp::request::register::{
    CoseAlgorithmIdentifier, CoseAlgorithmIdentifiers, PublicKeyCredentialUserEntity,
    RegistrationVerificationOptions, UserHandle, Username,
};
use webauthn_rp::request::{
    AsciiDomain, Credentials, PublicKeyCredentialDescriptor, RpId, TimedCeremony,
    UserVerificationRequirement,
};
use webauthn_rp::response::register::{CompressedPubKey, DynamicState, StaticState};
use webauthn_rp::response::{AuthTransports, CredentialId};
use webauthn_rp::{
    AuthenticatedCredential, NonDiscoverableAuthentication,
    NonDiscoverableAuthenticationServerState, NonDiscoverableCredentialRequestOptions,
    PublicKeyCredentialCreationOptions, Registration, RegistrationServerState,
};

pub use strangers::{Read, read_of_strangers};

/// A key says whose it is by the user's id, which is a UUID as text.
const HANDLE_BYTES: usize = 36;
/// EdDSA and ES256: what every key that is sold knows one of. Nothing of RSA is ever verified.
const ALGORITHMS: CoseAlgorithmIdentifiers = CoseAlgorithmIdentifiers::ALL
    .remove(CoseAlgorithmIdentifier::Es384)
    .remove(CoseAlgorithmIdentifier::Rs256);
/// The longest answer that is looked at.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

type PublicKey = CompressedPubKey<[u8; 32], [u8; 32], [u8; 48], Vec<u8>>;

/// The page that keys are of: they answer no other.
pub struct RelyingParty {
    id: RpId,
    origin: String,
}

/// A key as it was registered, and as it was when it was used last.
pub struct Credential {
    pub id: Vec<u8>,
    pub public_key: Vec<u8>,
    /// With the counter of its signatures.
    pub state: [u8; 7],
    /// By which a browser reaches it.
    pub transports: u8,
}

/// What a key is asked.
pub struct Asked {
    /// By which the answer is known to be one to this.
    pub challenge: String,
    /// What is kept until then.
    pub ceremony: Vec<u8>,
    /// What the browser is told: the JSON that the standard gives it.
    pub options: String,
}

/// What a browser says of a key that it has made.
pub struct Made(Registration);

/// What a browser says that a key has answered.
pub struct Answered(NonDiscoverableAuthentication<HANDLE_BYTES>);

impl RelyingParty {
    /// Of the page at that address; None where it is no name, which keys cannot be of.
    pub fn of(page: &Url) -> Option<RelyingParty> {
        let domain = AsciiDomain::try_from(page.domain()?.to_owned()).ok()?;
        Some(RelyingParty { id: RpId::Domain(domain), origin: page.origin().ascii_serialization() })
    }

    /// Asks for another key of a user who has `known` already, none of which makes itself twice.
    pub fn ask_to_make(&self, id: UserId, user_name: &str, known: &[Credential]) -> Result<Asked> {
        let handle = handle(id)?;
        let name = Username::try_from(user_name).map_err(|why| broken("a user's name", &why))?;
        let user = PublicKeyCredentialUserEntity { name, id: &handle, display_name: None };
        let known = known.iter().map(descriptor).collect::<Result<Vec<_>>>()?;
        let mut options = PublicKeyCredentialCreationOptions::second_factor(&self.id, user, known);
        options.pub_key_cred_params = ALGORITHMS;
        options.extensions.cred_props = None;
        options.authenticator_selection.user_verification = UserVerificationRequirement::Preferred;
        let (server, client) =
            options.start_ceremony().map_err(|why| broken("what a key is asked", &why))?;
        Ok(Asked {
            challenge: text(server.sent_challenge().0),
            ceremony: server.encode().map_err(|why| broken("what a key is asked", &why))?,
            options: as_json(&client)?,
        })
    }

    /// The key that was made as it was asked for; else why it was not.
    pub fn made(&self, ceremony: &[u8], Made(made): &Made) -> Result<Credential, String> {
        let asked = RegistrationServerState::<HANDLE_BYTES>::decode(ceremony)
            .map_err(|why| why.to_string())?;
        let origins = [self.origin.as_str()];
        let options = RegistrationVerificationOptions::<&str, &str> {
            allowed_origins: &origins,
            // Some browsers ask keys for what nobody has asked them for.
            error_on_unsolicited_extensions: false,
            ..RegistrationVerificationOptions::default()
        };
        let key = asked.verify(&self.id, made, &options).map_err(|why| why.to_string())?;
        let Ok(public_key) = key.static_state().encode();
        let Ok(state) = key.dynamic_state().encode();
        let Ok(transports) = key.transports().encode();
        Ok(Credential { id: key.id().as_ref().to_vec(), public_key, state, transports })
    }

    /// Asks one of `known`, of which there is one at least, to show itself.
    pub fn ask_to_show(&self, known: &[Credential]) -> Result<Asked> {
        let mut allowed = AllowedCredentials::with_capacity(known.len());
        for key in known {
            allowed.push(descriptor(key)?.into());
        }
        let mut options = NonDiscoverableCredentialRequestOptions::second_factor(&self.id, allowed)
            .map_err(|why| broken("what keys are asked", &why))?;
        options.options().user_verification = UserVerificationRequirement::Preferred;
        let (server, client) =
            options.start_ceremony().map_err(|why| broken("what keys are asked", &why))?;
        Ok(Asked {
            challenge: text(server.sent_challenge().0),
            ceremony: server.encode().map_err(|why| broken("what keys are asked", &why))?,
            options: as_json(&client)?,
        })
    }

    /// The state of `key` from now on, which has answered what was asked; else why it has not.
    pub fn shown(
        &self,
        ceremony: &[u8],
        id: UserId,
        key: &Credential,
        Answered(answer): &Answered,
    ) -> Result<[u8; 7], String> {
        let asked = NonDiscoverableAuthenticationServerState::decode(ceremony)
            .map_err(|why| why.to_string())?;
        let handle = handle(id).map_err(|why| why.to_string())?;
        let public_key = StaticState::<PublicKey>::decode(key.public_key.as_slice())
            .map_err(|why| why.to_string())?;
        let state = DynamicState::decode(key.state).map_err(|why| why.to_string())?;
        let credential =
            CredentialId::<&[u8]>::decode(key.id.as_slice()).map_err(|why| why.to_string())?;
        let mut known = AuthenticatedCredential::new(credential, &handle, public_key, state)
            .map_err(|why| why.to_string())?;
        let origins = [self.origin.as_str()];
        let options = AuthenticationVerificationOptions::<&str, &str> {
            allowed_origins: &origins,
            error_on_unsolicited_extensions: false,
            // A counter that goes back is that of a copy (section 6.1.1).
            sig_counter_enforcement: SignatureCounterEnforcement::Fail,
            ..AuthenticationVerificationOptions::default()
        };
        asked.verify(&self.id, answer, &mut known, &options).map_err(|why| why.to_string())?;
        let Ok(state) = known.dynamic_state().encode();
        Ok(state)
    }
}

impl Made {
    /// As a browser writes it; None where it is none.
    pub fn of_json(json: &str) -> Option<Made> {
        let json = within(json)?;
        Registration::from_json_relaxed(json).ok().map(Made)
    }

    pub fn challenge(&self) -> Option<String> {
        self.0.challenge_relaxed().ok().map(|challenge| text(challenge.0))
    }
}

impl Answered {
    /// As a browser writes it; None where it is none.
    pub fn of_json(json: &str) -> Option<Answered> {
        let json = within(json)?;
        NonDiscoverableAuthentication::from_json_relaxed(json).ok().map(Answered)
    }

    pub fn challenge(&self) -> Option<String> {
        self.0.challenge_relaxed().ok().map(|challenge| text(challenge.0))
    }

    /// The key that has answered, by its own name.
    pub fn credential(&self) -> Vec<u8> {
        self.0.raw_id().as_ref().to_vec()
    }
}

fn within(json: &str) -> Option<&[u8]> {
    (json.len() <= ANSWER_BYTES_MAX).then_some(json.as_bytes())
}

fn text(challenge: u128) -> String {
    format!("{challenge:032x}")
}

fn handle(id: UserId) -> Result<UserHandle<HANDLE_BYTES>> {
    let bytes: Result<[u8; HANDLE_BYTES], Vec<u8>> = id.to_string().into_bytes().try_into();
    let bytes = bytes.map_err(|_| ErrorKind::Internal.error("a user's id is no UUID"))?;
    let Ok(handle) = UserHandle::decode(bytes);
    Ok(handle)
}

fn descriptor(key: &Credential) -> Result<PublicKeyCredentialDescriptor<Vec<u8>>> {
    let id = CredentialId::<Vec<u8>>::decode(key.id.clone());
    let transports = AuthTransports::decode(key.transports);
    Ok(PublicKeyCredentialDescriptor {
        id: id.map_err(|why| broken("a key's name", &why))?,
        transports: transports.map_err(|why| broken("a key's transports", &why))?,
    })
}

fn as_json(options: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(options).map_err(|why| broken("what a browser is told", &why))
}

fn broken(what: &str, why: &dyn std::fmt::Display) -> Error {
    ErrorKind::Internal.error(format!("{what} cannot be used")).because(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_of_the_name_that_browsers_reach_and_answer_its_origin() {
        let of = |page: &str| {
            let party = RelyingParty::of(&Url::parse(page).unwrap())?;
            let RpId::Domain(name) = party.id else { return None };
            Some((String::from(name), party.origin))
        };
        let found = |name: &str, origin: &str| Some((name.to_owned(), origin.to_owned()));
        let name = "medseg.hospital.example";
        for (page, expected) in [
            ("https://medseg.hospital.example", found(name, "https://medseg.hospital.example")),
            (
                "https://MEDSEG.hospital.example:443/",
                found(name, "https://medseg.hospital.example"),
            ),
            (
                "https://medseg.hospital.example:8443/app/",
                found(name, "https://medseg.hospital.example:8443"),
            ),
            ("http://localhost:8080", found("localhost", "http://localhost:8080")),
            ("https://10.0.0.7", None),
            ("https://[::1]:8443", None),
        ] {
            assert_eq!(of(page), expected, "{page}");
        }
    }
}
