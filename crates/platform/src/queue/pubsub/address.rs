//! What a URL says: the project, what the names of ours begin with, and where Pub/Sub is.

use domain::{ErrorKind, Result};
use url::Url;

use super::super::{Topic, Work};

/// Names of Pub/Sub have 255 characters at most: enough is left for ours.
const PREFIX_MAX: usize = 100;

/// Where this deployment's topics and subscriptions are.
#[derive(Debug)]
pub(super) struct Address {
    project: String,
    prefix: String,
    /// Elsewhere than Google's global one: a region's (`https://…`), a private gateway, or a double.
    pub(super) endpoint: Option<String>,
}

impl Address {
    /// Of `pubsub://PROJECT/PREFIX`, which may say `?endpoint=http://HOST:PORT`.
    pub(super) fn of(url: &str) -> Result<Address> {
        let invalid = |why: &str| ErrorKind::Invalid.error(format!("bad queue URL: {why}"));
        let url = Url::parse(url).map_err(|_| invalid("use pubsub://PROJECT/PREFIX"))?;
        let project = url.host_str().filter(|project| !project.is_empty());
        let project = project.ok_or_else(|| invalid("it names no project"))?.to_owned();
        let prefix = url.path().trim_matches('/').to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        // A name begins with a letter, and those with `goog` are Google's.
        let sound = prefix.starts_with(|c: char| c.is_ascii_alphabetic())
            && !prefix.starts_with("goog")
            && prefix.len() <= PREFIX_MAX
            && prefix.chars().all(plain);
        if !sound {
            return Err(invalid(
                "after the project it says what names begin with: a letter first, then letters, digits, `-`, `_`, `.`, and not `goog`",
            ));
        }
        let mut endpoint = None;
        for (key, value) in url.query_pairs() {
            match &*key {
                "endpoint" => {
                    Url::parse(&value).map_err(|_| invalid("its endpoint is no URL"))?;
                    endpoint = Some(value.trim_end_matches('/').to_owned());
                }
                other => return Err(invalid(&format!("`{other}` means nothing; `endpoint` does"))),
            }
        }
        Ok(Address { project, prefix, endpoint })
    }

    /// Whether what goes there can be read on its way.
    pub(super) fn is_in_clear(&self) -> bool {
        self.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http:"))
    }

    /// As Google names the project.
    pub(super) fn project(&self) -> String {
        format!("projects/{}", self.project)
    }

    /// The topic that messages are published to. An event's is never one of work, though the two may have the same name.
    pub(super) fn topic_of(&self, topic: Topic<'_>) -> String {
        match topic {
            Topic::Work(Work(queue)) => self.topic(queue),
            Topic::Event(event) => self.topic(&format!("events.{}", event.0)),
        }
    }

    /// The topic behind a queue, or behind its dead letters.
    pub(super) fn topic(&self, queue: &str) -> String {
        format!("projects/{}/topics/{}.{queue}", self.project, self.prefix)
    }

    /// The subscription in which the messages of a queue wait.
    pub(super) fn subscription(&self, queue: &str) -> String {
        format!("projects/{}/subscriptions/{}.{queue}", self.project, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::Event;
    use super::*;

    #[test]
    fn a_url_says_how_all_is_called() {
        let address =
            Address::of("pubsub://a-project/medseg?endpoint=http://127.0.0.1:1/").unwrap();
        let (work, event) =
            (Topic::Work(Work("scan.ready")), Topic::Event(Event("scan.completed")));
        assert_eq!(address.project(), "projects/a-project");
        assert_eq!(address.topic_of(work), "projects/a-project/topics/medseg.scan.ready");
        let topic = "projects/a-project/topics/medseg.events.scan.completed";
        assert_eq!(address.topic_of(event), topic);
        let subscription = "projects/a-project/subscriptions/medseg.scan.completed.drift";
        assert_eq!(address.subscription("scan.completed.drift"), subscription);
        assert_eq!(address.endpoint.as_deref(), Some("http://127.0.0.1:1"));
        assert!(address.is_in_clear());
        let region = "pubsub://p/medseg?endpoint=https://europe-west3-pubsub.googleapis.com";
        assert!(!Address::of(region).unwrap().is_in_clear());
    }

    #[test]
    fn a_url_that_names_nothing_that_there_can_be_is_refused() {
        let long = format!("pubsub://p/{}", "a".repeat(101));
        for url in [
            "pubsub:",
            "pubsub:///medseg",
            "pubsub://p",
            "pubsub://p/1st",
            "pubsub://p/googly",
            "pubsub://p/two/parts",
            "pubsub://p/medseg?region=here",
            "pubsub://p/medseg?endpoint=here",
            long.as_str(),
        ] {
            assert_eq!(Address::of(url).unwrap_err().kind(), ErrorKind::Invalid, "{url}");
        }
    }
}
