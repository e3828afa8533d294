/// What the processes of a mesh are told beside, or instead of, what every mesh tells them.
#[derive(Clone, Debug, Default)]
pub struct Options {
    told: Vec<Option>,
    /// Whether they show each other certificates.
    pub(super) mutual: bool,
}

#[derive(Clone, Debug)]
struct Option {
    service: &'static str,
    name: &'static str,
    value: String,
}

impl Options {
    /// Each process of `service` is started with `--name=value`.
    pub fn tell(
        mut self,
        service: &'static str,
        name: &'static str,
        value: impl Into<String>,
    ) -> Options {
        self.told.push(Option { service, name, value: value.into() });
        self
    }

    /// All show each other certificates, and answer nobody who has none.
    pub fn mutual(mut self) -> Options {
        self.mutual = true;
        self
    }

    pub(super) fn tells(&self, service: &str, name: &str) -> bool {
        self.of(service).any(|option| option.name == name)
    }

    pub(super) fn arguments(&self, service: &str) -> impl Iterator<Item = String> {
        self.of(service).map(|Option { name, value, .. }| format!("--{name}={value}"))
    }

    fn of(&self, service: &str) -> impl Iterator<Item = &Option> {
        self.told.iter().filter(move |option| option.service == service)
    }
}
