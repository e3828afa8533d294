//! What workers are told of what serves, and of what looks on.

use domain::Result;
use platform::db::failed;
use proto::registry as wire;

use crate::store::Store;
use crate::table::{self, Route};
use crate::versions::Version;

impl Store {
    /// What serves, and what looks on.
    pub async fn routes(&self) -> Result<wire::Routes> {
        let routes = table::all(self.database.pool()).await?;
        let generation = routes.iter().map(|route| route.generation).max().unwrap_or(0);
        let shadows: Vec<Version> = sqlx::query_as("SELECT * FROM versions WHERE state = 'shadow'")
            .fetch_all(self.database.pool())
            .await
            .map_err(failed)?;
        let mut told =
            wire::Routes { generation: generation.unsigned_abs(), ..wire::Routes::default() };
        for (Route { modality, image_kind, name, version, .. }, shadow) in watched(routes, &shadows)
        {
            let serving = Some(self.version(&name, &version).await?);
            let shadow = match shadow {
                Some(shadow) => Some(self.told(shadow.clone()).await?),
                None => None,
            };
            let is_own = image_kind.is_empty();
            let route = wire::Route { modality, serving, shadow, image_kind };
            if is_own { told.routes.push(route) } else { told.kinds.push(route) }
        }
        Ok(told)
    }
}

/// Each route with what looks on at it. A shadow of a kind that has no route of its own makes one, on which what serves the
/// modality goes on serving.
fn watched(mut routes: Vec<Route>, shadows: &[Version]) -> Vec<(Route, Option<&Version>)> {
    for shadow in shadows.iter().filter(|shadow| !shadow.shadow_kind.is_empty()) {
        let kind = shadow.shadow_kind.as_str();
        for modality in shadow.modalities() {
            let of = |kind: &str| {
                routes.iter().find(|it| it.modality == modality && it.image_kind == kind)
            };
            let own = if of(kind).is_none() { of("").cloned() } else { None };
            routes.extend(own.map(|own| Route { image_kind: kind.to_owned(), ..own }));
        }
    }
    let with_shadow = |route: Route| {
        let on = |kind: &str| {
            let is_of = |it: &Version| it.modalities().any(|made| made == route.modality);
            shadows.iter().find(|it| it.shadow_kind == kind && is_of(it))
        };
        let shadow = on(&route.image_kind).or_else(|| on(""));
        (route, shadow)
    };
    routes.into_iter().map(with_shadow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versions::State;

    fn route(image_kind: &str, version: &str) -> Route {
        Route {
            modality: "MR".into(),
            image_kind: image_kind.into(),
            name: "m".into(),
            version: version.into(),
            generation: 1,
        }
    }

    fn shadow(version: &str, kind: &str) -> Version {
        Version {
            name: "m".into(),
            version: version.into(),
            state: State::Shadow,
            sha256: String::new(),
            modalities: "MR".into(),
            preprocessing: String::new(),
            source: String::new(),
            git_commit: String::new(),
            data_version: String::new(),
            registered_ms: 0,
            registered_by: String::new(),
            forced: String::new(),
            signature: String::new(),
            announced_ms: 0,
            shadow_kind: kind.into(),
        }
    }

    fn told(routes: &[Route], shadows: &[Version]) -> Vec<String> {
        let told = watched(routes.to_vec(), shadows).into_iter().map(|(route, shadow)| {
            let shadow = shadow.map_or("-", |shadow| shadow.version.as_str());
            format!("{}:{}<{shadow}", route.image_kind, route.version)
        });
        told.collect()
    }

    #[test]
    fn a_shadow_looks_on_at_its_kind_and_one_of_any_kind_at_the_rest() {
        let (own, flair) = (route("", "1"), route("flair", "2"));
        let both = [own.clone(), flair];
        assert_eq!(told(&both, &[]), [":1<-", "flair:2<-"]);
        assert_eq!(told(&both, &[shadow("9", "")]), [":1<9", "flair:2<9"]);
        assert_eq!(told(&both, &[shadow("9", "flair")]), [":1<-", "flair:2<9"]);
        let two = [shadow("8", ""), shadow("9", "flair")];
        assert_eq!(told(&both, &two), [":1<8", "flair:2<9"]);
        // Of a kind that the modality's own version serves.
        assert_eq!(told(&[own], &[shadow("9", "flair")]), [":1<-", "flair:1<9"]);
    }
}
