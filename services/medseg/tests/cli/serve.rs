use crate::place::{FAILED, MISUSED, Place};

#[test]
fn what_keeps_it_from_starting_is_told_before_anything_is_served() {
    let place = Place::new();
    place.write("taken", "a file where a folder is asked for");
    for (options, code, words) in [
        ("--listen nowhere", MISUSED, ["invalid value 'nowhere'", "--listen"]),
        ("--modalities MR,XR", MISUSED, ["`XR` is neither `MR` nor `CT`", "--modalities"]),
        ("--max-uploads many", MISUSED, ["invalid value 'many'", "--max-uploads"]),
        ("--trusted-proxies 10.0.0.1", MISUSED, ["invalid value '10.0.0.1'", "--trusted-proxies"]),
        ("--trusted-proxies 0.0.0.0/0", FAILED, ["TRUSTED_PROXIES", "every address"]),
        ("--data taken", FAILED, ["the data directory", "taken"]),
        ("--listen 0.0.0.0:0", FAILED, ["0.0.0.0:0 is reached by other machines", "BEHIND_PROXY"]),
        (
            "--listen 0.0.0.0:0 --public-tls-certificate nowhere.crt --public-tls-key nowhere.key",
            FAILED,
            ["cannot read", "nowhere.crt"],
        ),
        ("--public-tls-certificate alone.crt", MISUSED, ["--public-tls-key", "not provided"]),
        ("--data /proc/nowhere", FAILED, ["the data directory", "/proc/nowhere"]),
    ] {
        place.medseg(&format!("serve {options}")).bad(code, &words);
    }
    assert_eq!(place.names("."), ["taken"]);
}

#[test]
fn where_other_machines_reach_it_nobody_has_printed_the_password() {
    let place = Place::new();
    let folder = place.at("data").display().to_string();
    let data = folder.as_str();
    let at = |address: &'static str| {
        ["serve", "--data", data, "--model-url", "threshold:", "--research", "--listen", address]
    };
    let open = [&at("0.0.0.0:0")[..], &["--behind-proxy"]].concat();
    let told = ["is one that is printed", "FIRST_PASSWORD", "reset-password"];
    place.words(&open, "").bad(FAILED, &told);

    let mut running = place.start(&at("127.0.0.1:0"));
    running.said_until("medseg answers on http://127.0.0.1");
    running.terminate();
    running.ended();
    place.words(&open, "").bad(FAILED, &told);

    let reset = ["user", "--data", data, "reset-password", "admin"];
    place.words(&reset, "another one than was printed").good();
    let mut running = place.start(&[&open[..], &["--probes", "127.0.0.1:0"]].concat());
    running.said_until("medseg answers on http://0.0.0.0");
    running.terminate();
    running.ended();
}
