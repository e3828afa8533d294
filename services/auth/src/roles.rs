use domain::{Error, ErrorKind, Result};
use service::claims::Role;

/// The roles that `names` are.
pub fn parse(names: &[String]) -> Result<Vec<Role>> {
    let mut roles = Vec::new();
    for name in names {
        let role = Role::named(name).ok_or_else(unknown)?;
        if !roles.contains(&role) {
            roles.push(role);
        }
    }
    check(&roles)?;
    Ok(roles)
}

/// Nobody in a hospital has these.
const OUTSIDE: [Role; 3] = [Role::Service, Role::Delivery, Role::Operator];

/// Refuses what nobody in a hospital may be given: no role at all, and those of medseg's own services and of operators.
pub fn check(roles: &[Role]) -> Result<()> {
    match roles {
        [] => Err(ErrorKind::Invalid.error("name at least one role")),
        roles if OUTSIDE.iter().any(|role| roles.contains(role)) => Err(unknown()),
        _ => Ok(()),
    }
}

fn unknown() -> Error {
    ErrorKind::Invalid
        .error("a role is one of clinician, adjudicator, integrator, scientist and admin")
}

/// As a row keeps them.
pub fn to_text(roles: &[Role]) -> String {
    names(roles).join(" ")
}

pub fn names(roles: &[Role]) -> Vec<String> {
    roles.iter().map(|role| role.name().to_owned()).collect()
}

/// As a row keeps them; a name that is unknown here gives no right.
pub fn from_text(text: &str) -> Vec<Role> {
    text.split(' ').filter_map(Role::named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_made_a_worker_or_an_operator() {
        for names in [
            vec![],
            vec!["service"],
            vec!["admin", "service"],
            vec!["delivery"],
            vec!["integrator", "delivery"],
            vec!["root"],
            vec!["operator"],
            vec!["admin", "operator"],
        ] {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            assert_eq!(parse(&names).unwrap_err().kind(), ErrorKind::Invalid, "{names:?}");
        }
    }

    #[test]
    fn roles_survive_their_row() {
        let roles = parse(&["admin".into(), "clinician".into(), "admin".into()]).unwrap();
        assert_eq!(roles, [Role::Admin, Role::Clinician]);
        assert_eq!(from_text(&to_text(&roles)), roles);
        assert_eq!(from_text(""), []);
    }
}
