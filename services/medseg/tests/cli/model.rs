use std::fs;

use serde_json::Value;

use crate::place::{Ended, FAILED, MISUSED, Place, Running, shipped};

const PASSWORD: &str = "the password that this test has chosen";

/// A medseg whose registry begins empty, and whose workers follow something else: nothing is evaluated.
struct Registry {
    place: Place,
    running: Running,
    url: String,
}

impl Registry {
    fn start() -> Registry {
        let place = Place::new();
        let line =
            "serve --data data --listen 127.0.0.1:0 --log=error --model-url threshold: --research";
        let words: Vec<_> = line.split(' ').collect();
        let mut running = place.start_with(&words, &[("FIRST_PASSWORD", PASSWORD)]);
        let lines = running.said_until("medseg answers on ");
        let url = lines.last().unwrap().rsplit(' ').next().unwrap().to_owned();
        Registry { place, running, url }
    }

    /// Runs `medseg model` with these words.
    fn model(&self, words: &[&str]) -> Ended {
        self.model_by(PASSWORD, words)
    }

    fn model_by(&self, password: &str, words: &[&str]) -> Ended {
        let words = [&["model"][..], words].concat();
        let settings = [("MEDSEG_URL", self.url.as_str()), ("MEDSEG_PASSWORD", password)];
        self.place.start_with(&words, &settings).ended()
    }

    /// What `medseg model` prints of these words as JSON.
    fn told(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.model(words).good()).unwrap()
    }

    /// Copies the model that came with the program, and says where to.
    fn copied(&self, name: &str) -> String {
        for file in ["model.json", "weights.safetensors", "card.md", "golden.pbm"] {
            self.place.write(&format!("{name}/{file}"), fs::read(shipped(file)).unwrap());
        }
        name.to_owned()
    }

    fn stop(self) {
        self.running.terminate();
        self.running.ended().printed(0);
    }
}

#[test]
fn a_version_goes_from_its_folder_into_the_registry_and_back_and_serves_for_a_reason() {
    let registry = Registry::start();
    assert_eq!(registry.model(&["list"]).good(), "");
    let folder = registry.copied("a model");
    let imported = registry.model(&["import", &folder, "--source", "a test"]).good();
    let version = imported.split(' ').next().unwrap();
    assert!(version.starts_with("medseg-mr/") && imported.contains(" registered "), "{imported}");
    assert_eq!(registry.model(&["list"]).good(), imported);
    assert_eq!(registry.model(&["list", "another"]).good(), "");

    registry.model(&["export", version, "--out", "back"]).good();
    assert_eq!(registry.place.names("back"), registry.place.names(&folder));
    for file in registry.place.names("back") {
        let [back, sent] = ["back", folder.as_str()]
            .map(|folder| fs::read(registry.place.at(folder).join(&file)).unwrap());
        assert!(back == sent, "{file} is another one");
    }
    // The same again is the same version, also where its weights are named.
    let again = registry.model(&["import", "back/weights.safetensors", "--source", "again"]).good();
    assert_eq!(again, imported);

    let looks_on = registry.model(&["shadow", version, "--reason", "to look"]).good();
    assert!(looks_on.contains(" shadow "), "{looks_on}");
    assert_eq!(registry.told(&["compare", version])["scans"], 0);
    let refused = registry.model(&["promote", version]);
    assert!(refused.printed(FAILED).starts_with("FAILED evaluated"), "{}", refused.stdout());
    assert!(refused.stderr().contains("no worker has evaluated it yet"), "{}", refused.stderr());
    registry.model(&["promote", version, "--force"]).bad(MISUSED, &["--reason"]);
    let forced = ["promote", version, "--force", "--reason", "nothing serves yet"];
    let serves = registry.model(&forced).good();
    assert!(serves.contains("FAILED evaluated") && serves.contains(" serving "), "{serves}");
    let shown = registry.told(&["show", version]);
    assert_eq!(shown["source"], "a test");
    assert_eq!(shown["forced_because"], "nothing serves yet");
    registry.model(&["roll-back", version]).bad(FAILED, &["nothing served before"]);
    registry.model(&["retire", version]).bad(FAILED, &["promote another version first"]);

    let history = registry.model(&["history"]).good();
    let acts = history.lines().map(|line| line.split_whitespace().nth(1).unwrap());
    assert_eq!(acts.collect::<Vec<_>>(), ["forced", "refused", "shadowed", "registered"]);
    assert!(history.lines().next().unwrap().ends_with("nothing serves yet"), "{history}");
    registry.stop();
}

#[test]
fn what_is_no_version_is_refused_in_words_and_nothing_is_registered() {
    let registry = Registry::start();
    registry.copied("cut");
    let weights = fs::read(shipped("weights.safetensors")).unwrap();
    registry.place.write("cut/weights.safetensors", &weights[..weights.len() / 2]);
    registry.place.write("bare/weights.safetensors", &weights);
    for (line, status, told) in [
        ("import cut", FAILED, "weights.safetensors"),
        ("import bare", FAILED, "model.json"),
        ("import nowhere", FAILED, "nowhere"),
        ("show medseg-mr", MISUSED, "NAME/VERSION"),
        ("show nobody/1", FAILED, "nobody"),
        ("promote nobody/1", FAILED, "nobody"),
        ("export nobody/1", FAILED, "nobody"),
        ("promote nobody/1 --kind t2", MISUSED, "t2"),
    ] {
        let words: Vec<_> = line.split(' ').collect();
        registry.model(&words).bad(status, &[told]);
    }
    registry.model_by("another password", &["list"]).bad(FAILED, &["not signed in"]);
    assert_eq!(registry.model(&["list"]).good(), "");
    assert!(!registry.place.has("model"), "a folder was made for what is not there");
    registry.stop();
}
