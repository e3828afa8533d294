//! The prepared training run for a machine with a GPU, as its scripts do it: here on the processor, on phantoms.

#![expect(clippy::unwrap_used, reason = "what a test's helpers need is there, or the test fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{GrayImage, Luma};
use imaging::phantom::{Phantom, Settings};

/// Four patients of two phantoms each, as pictures and masks with a manifest.
fn manifest(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let mut lines = "patient,slice,image,mask\n".to_owned();
    for seed in 0..8 {
        let tumour = seed % 4 != 3;
        let Phantom { volume, truth, .. } =
            Phantom::new(&Settings { tumour, ..Settings::slice(seed) }).unwrap();
        let picture = |name: &str, value: &dyn Fn(usize) -> u8| {
            let at = |x: u32, y: u32| Luma([value((y * 256 + x) as usize)]);
            GrayImage::from_fn(256, 256, at).save(folder.join(name)).unwrap();
        };
        picture(&format!("{seed}.png"), &|index| (volume.voxels[index] / 5.0) as u8);
        picture(&format!("{seed}_mask.png"), &|index| 255 * truth[index]);
        lines += &format!("p{},{},{seed}.png,{seed}_mask.png\n", seed / 2, seed % 2 + 1);
    }
    let path = folder.join("manifest.csv");
    fs::write(&path, lines).unwrap();
    path
}

fn script(name: &str) -> Command {
    let mut command =
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts").join(name));
    command.env("MEDSEG_BINARY", tests::process::built("medseg").unwrap());
    command
}

fn ran(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    output
}

#[test]
fn a_run_prepared_here_trains_elsewhere_goes_on_and_comes_back_as_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let manifest = manifest(&at("phantoms"));
    ran(script("train_gpu.sh").env("PRESET", "0").arg("prepare").arg(at("gpu")).arg(&manifest));
    let pictures = fs::read_dir(at("gpu/data/phantoms")).unwrap().count();
    assert_eq!(pictures, 8 + 8 + 1);

    let go = |minutes: &str, steps: &str| {
        let mut go = Command::new(at("gpu/go.sh"));
        go.args([minutes.as_ref(), at("out").as_os_str()]);
        go.env("LIBTORCH", std::env::var("LIBTORCH").unwrap());
        for (name, value) in
            [("SIDE", "64"), ("BATCH", "4"), ("STEPS", steps), ("CHECKPOINT_MINUTES", "0.2")]
        {
            go.env(name, value);
        }
        go.env("EXTRA", "--phantoms 2 --validation 0.25 --device cpu");
        ran(&mut go);
        fs::read_to_string(at("out/log")).unwrap()
    };
    let log = go("0.05", "1");
    assert!(log.contains("64 pixels: ") && log.contains("100.0 %"), "{log}");
    let views = |log: &str| {
        let last = log.lines().rfind(|line| line.contains(" views ·")).unwrap();
        last.split(" · ").nth(1).unwrap().trim_end_matches(" views").parse::<u64>().unwrap()
    };
    let first = views(&log);
    // By the clock: whatever one step took of the first run's time, this leaves some for another.
    assert!(views(&go("0.5", "0")) > first, "it began anew");
    // Each part fits what can be sent, and all together are what the manifest vouches for.
    for file in fs::read_dir(at("out")).unwrap() {
        assert!(file.unwrap().metadata().unwrap().len() <= 12 << 20);
    }

    let collect = |model: &str| {
        let mut collect = script("train_gpu.sh");
        collect.arg("collect").args([at("out"), at(model)]).arg("9.9.9").arg(&manifest);
        collect.env("JUDGED_PHANTOMS", "0").env("EXTRA", "--validation 0.25");
        collect
    };
    ran(&mut collect("model"));
    let card = fs::read_to_string(at("model/card.md")).unwrap();
    assert!(card.contains("9.9.9"), "{card}");
    // A part that was cut on its way is refused, and nothing is made of it.
    let part = at("out/weights.safetensors.part-00");
    let bytes = fs::read(&part).unwrap();
    fs::write(&part, &bytes[..bytes.len() - 1]).unwrap();
    let refused = collect("other").output().unwrap();
    assert!(!refused.status.success() && !at("other").try_exists().unwrap());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not whole"));
}
