//! Whom of those that a provider knows a hospital lets in, and as what.

use std::collections::BTreeMap;

use domain::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service::claims::Role;

use super::claims::Identity;
use super::jws::Algorithm;
use crate::accounts::acceptable;
use crate::roles;

/// As long as a day of work, which is how long any session lasts.
pub const MINUTES_MAX: u32 = 12 * 60;
const MINUTES_MIN: u32 = 5;
/// Entries of each list.
const ENTRIES_MAX: usize = 100;
const WORD_CHARS_MAX: usize = 128;
/// As the row keeps them.
const JSON_CHARS_MAX: usize = 8000;

/// What a hospital says of whom its provider knows. JSON in a row: what a later version adds has a default.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Rules {
    /// How the provider may sign; never empty.
    pub algorithms: Vec<Algorithm>,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that is the user name here.
    pub name_claim: String,
    /// Where the claim with somebody's groups is: names with dots between; empty: nowhere.
    pub roles_claim: String,
    /// The role that each of those groups has; empty: roles are given here.
    pub roles: BTreeMap<String, Role>,
    /// Of whom no group says otherwise; empty: they are not let in.
    pub default_roles: Vec<Role>,
    /// What a user name must end in after its `@`; empty: anything.
    pub domains: Vec<String>,
    /// Nobody but who was invited.
    pub invited_only: bool,
    /// How long a session lasts before the provider is asked again.
    pub session_minutes: u32,
}

/// Who comes, as what their provider says makes them.
#[derive(Debug, Eq, PartialEq)]
pub struct Admitted {
    pub user_name: String,
    /// None: those that they have here, or the default.
    pub roles: Option<Vec<Role>>,
}

impl Rules {
    /// Refuses, in words, what would let in nobody, or anybody.
    pub fn check(&self) -> Result<()> {
        let refuse = |why: &str| Err(ErrorKind::Invalid.error(why));
        if self.algorithms.is_empty() {
            return refuse("name how the provider signs: RS256, ES256 or both");
        }
        let is_word = |word: &String| {
            !word.is_empty()
                && word.len() <= WORD_CHARS_MAX
                && word.bytes().all(|sign| sign.is_ascii_graphic() && sign != b'"' && sign != b'\\')
        };
        let mut names = [&self.name_claim].into_iter().chain(&self.scopes).chain(&self.domains);
        if !names.all(is_word) || self.roles_claim.len() > WORD_CHARS_MAX {
            return refuse("a scope, a claim and a domain are words of 128 characters at most");
        }
        let entries = [self.scopes.len(), self.domains.len(), self.roles.len()];
        if entries.into_iter().any(|entries| entries > ENTRIES_MAX) {
            return refuse("a list has 100 entries at most");
        }
        if self.roles.is_empty() != self.roles_claim.is_empty() {
            return refuse(
                "name both the claim with groups and the roles that they have, or neither",
            );
        }
        // Nobody is made an operator, or one of medseg's own services, by anybody's provider.
        let given: Vec<Role> = self.roles.values().chain(&self.default_roles).copied().collect();
        if !given.is_empty() {
            roles::check(&given)?;
        }
        if !(MINUTES_MIN..=MINUTES_MAX).contains(&self.session_minutes) {
            return refuse("a session lasts 5 to 720 minutes");
        }
        if self.to_json()?.chars().count() > JSON_CHARS_MAX {
            return refuse("the provider's rules are too long");
        }
        Ok(())
    }

    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| {
            ErrorKind::Internal.error("cannot write a provider's rules").because(error)
        })
    }

    pub fn from_json(json: &str) -> Result<Rules> {
        serde_json::from_str(json).map_err(|error| {
            ErrorKind::Internal.error("a row has unreadable rules of a provider").because(error)
        })
    }

    /// Who that is here; `Forbidden`, in words, whom the rules do not let in.
    pub fn admit(&self, identity: &Identity) -> Result<Admitted> {
        let refuse = |why: &str| ErrorKind::Forbidden.error(why);
        let said = identity.claims.get(&self.name_claim).and_then(Value::as_str);
        let said = said.ok_or_else(|| refuse("your hospital's provider does not say your name"))?;
        // Whoever can write any address into their profile is not whom it belongs to.
        if self.name_claim == "email" && identity.claims["email_verified"] != true {
            return Err(refuse("your hospital's provider has not verified your e-mail address"));
        }
        let user_name = acceptable(said).map_err(|_| {
            refuse("your name at your hospital's provider cannot be a user name here")
        })?;
        if !self.domains.is_empty() {
            let domain = user_name.rsplit_once('@').map(|(_, domain)| domain);
            let is_own = |domain: &str| self.domains.iter().any(|own| own.to_lowercase() == domain);
            if !domain.is_some_and(is_own) {
                return Err(refuse("your hospital does not let this address in"));
            }
        }
        Ok(Admitted { user_name, roles: self.roles_of(&identity.claims)? })
    }

    fn roles_of(&self, claims: &Value) -> Result<Option<Vec<Role>>> {
        if self.roles.is_empty() {
            return Ok(None);
        }
        let groups = at(claims, &self.roles_claim);
        let mut held = Vec::new();
        for group in groups {
            if let Some(role) = self.roles.get(group)
                && !held.contains(role)
            {
                held.push(*role);
            }
        }
        if held.is_empty() {
            held.clone_from(&self.default_roles);
        }
        if held.is_empty() {
            return Err(
                ErrorKind::Forbidden.error("your hospital's provider gives you no role here")
            );
        }
        Ok(Some(held))
    }
}

/// The words at that place: one, or a list. A claim whose own name has dots is found, too, as some providers have it.
fn at<'c>(claims: &'c Value, path: &str) -> Vec<&'c str> {
    let nested = || path.split('.').try_fold(claims, |value, name| value.get(name));
    match claims.get(path).or_else(nested) {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules() -> Rules {
        Rules {
            algorithms: vec![Algorithm::RS256],
            name_claim: "email".into(),
            roles_claim: "realm.groups".into(),
            roles: [("readers".into(), Role::Clinician), ("it".into(), Role::Admin)].into(),
            session_minutes: 60,
            ..Rules::default()
        }
    }

    fn ada(groups: Value) -> Identity {
        let claims = json!({
            "email": "Ada@Hospital.example", "email_verified": true, "realm": { "groups": groups },
        });
        Identity { subject: "1".into(), session: None, claims }
    }

    #[test]
    fn groups_become_roles_and_whoever_has_none_stays_out() {
        let rules = rules();
        rules.check().unwrap();
        let held =
            |groups: Value| rules.admit(&ada(groups)).map(|admitted| admitted.roles.unwrap());
        assert_eq!(
            held(json!(["it", "x", "readers", "it"])).unwrap(),
            [Role::Admin, Role::Clinician]
        );
        assert_eq!(held(json!("readers")).unwrap(), [Role::Clinician]);
        for none in [json!([]), json!(["operator"]), json!(null), json!({"it": true}), json!([7])] {
            assert_eq!(held(none).unwrap_err().kind(), ErrorKind::Forbidden);
        }
        let default_roles = vec![Role::Scientist];
        let lenient = Rules { default_roles, ..rules.clone() };
        assert_eq!(lenient.admit(&ada(json!([]))).unwrap().roles, Some(vec![Role::Scientist]));
        assert_eq!(lenient.admit(&ada(json!([]))).unwrap().user_name, "ada@hospital.example");
        let dotted = json!({"https://x.example/groups": ["it"]});
        assert_eq!(at(&dotted, "https://x.example/groups"), ["it"]);
    }

    #[test]
    fn no_group_makes_anybody_an_operator_or_a_service() {
        for role in [Role::Operator, Role::Service, Role::Delivery] {
            let mapped = Rules { roles: [("it".into(), role)].into(), ..rules() };
            assert_eq!(mapped.check().unwrap_err().kind(), ErrorKind::Invalid);
            let given = Rules { default_roles: vec![Role::Admin, role], ..rules() };
            assert_eq!(given.check().unwrap_err().kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn an_address_is_verified_and_of_the_hospital() {
        let own = Rules { domains: vec!["hospital.example".into()], ..rules() };
        assert!(own.admit(&ada(json!("it"))).is_ok());
        for (name, value) in [
            ("email", json!("ada@hospital.example.evil.example")),
            ("email", json!("ada@other.example")),
            ("email", json!("ada")),
            ("email", json!("a da@hospital.example")),
            ("email", json!(7)),
            ("email_verified", json!(false)),
            ("email_verified", json!("true")),
            ("email_verified", json!(null)),
        ] {
            let mut changed = ada(json!("it"));
            changed.claims[name] = value.clone();
            assert_eq!(own.admit(&changed).unwrap_err().kind(), ErrorKind::Forbidden, "{value}");
        }
    }

    #[test]
    fn rules_that_let_nobody_or_anybody_in_are_refused() {
        let long = vec!["x".to_owned(); 101];
        for bad in [
            Rules { algorithms: vec![], ..rules() },
            Rules { name_claim: String::new(), ..rules() },
            Rules { roles_claim: String::new(), ..rules() },
            Rules { roles: BTreeMap::new(), ..rules() },
            Rules { session_minutes: 4, ..rules() },
            Rules { session_minutes: 721, ..rules() },
            Rules { scopes: vec!["a b".into()], ..rules() },
            Rules { domains: long, ..rules() },
        ] {
            assert_eq!(bad.check().unwrap_err().kind(), ErrorKind::Invalid, "{bad:?}");
        }
        let kept = Rules::from_json(&rules().to_json().unwrap()).unwrap();
        assert_eq!(kept, rules());
    }
}
