use std::path::PathBuf;

use anyhow::Context;
use model::Device;
use model::tracking::Tracking;
use model::train::{Again, finish_again, refer_again};

use crate::mlflow::Options;

/// `medseg finish`
#[derive(clap::Args)]
pub struct Finish {
    /// The model whose weights are taken as they are. Its card, if it has one, must tell of the same data and split.
    #[arg(long, default_value = "models/medseg-mr")]
    model: PathBuf,

    /// The manifests that it was trained with. How each kind of image is predicted and assessed is chosen on the validation
    /// patients.
    #[arg(long, required = true)]
    manifest: Vec<PathBuf>,

    /// What the data is, whose, and under which licence: for weights that were left unjudged and have no card yet.
    #[arg(long, default_value = "Not described.")]
    data: String,

    /// Where the model goes with what was chosen and measured anew: weights, manifest, card and drift reference.
    #[arg(long, default_value = "model")]
    out: PathBuf,

    /// Where pictures of the worst validation scans go.
    #[arg(long, default_value = "run")]
    run: PathBuf,

    /// The version that it then has.
    #[arg(long, required_unless_present = "embeddings")]
    model_version: Option<String>,

    /// Instead, only fill in what the drift reference of MODEL itself does not tell: where the scans that it comes from lie in what
    /// the network knows of images, and features that were not measured when it was made. Nothing else of MODEL changes.
    #[arg(long, conflicts_with = "model_version")]
    embeddings: bool,

    /// Use no test-time augmentation (a flip), which costs twice the time.
    #[arg(long)]
    straight: bool,

    /// The part of the patients that was kept for validation.
    #[arg(long, default_value_t = 0.17)]
    validation: f64,

    /// The split's seed.
    #[arg(long, default_value_t = 7)]
    seed: u64,

    /// Phantoms whose volumes the model measures for its card, shared out among five spacings.
    #[arg(long, default_value_t = 200)]
    judged_phantoms: u64,

    /// The report of a cross-validation, to be part of the card; without it, the card's own stays.
    #[arg(long)]
    cross_validation: Option<PathBuf>,

    /// Where to calculate: auto, cpu, openvino or cuda:0.
    #[arg(long, default_value = "auto")]
    device: String,

    #[command(flatten)]
    mlflow: Options,
}

/// Where a run's folder keeps how its weights were finished: another time than that of training.
const FINISHING: &str = "finish";

impl Finish {
    /// Chooses and measures everything that does not change the weights, and says where the card is; or fills in the drift reference,
    /// and says where that is.
    pub fn run(self) -> anyhow::Result<()> {
        let device = Device::choose(&self.device)?;
        if self.embeddings {
            let reference = refer_again(&self.again(Tracking::default()), device)
                .context("the drift reference was not filled in")?;
            println!("{}", reference.display());
            return Ok(());
        }
        let tracked = self.mlflow.track(&self.run.join(FINISHING), "finish")?;
        let card = finish_again(&self.again(tracked.tracking.clone()), device);
        tracked.finish();
        println!("{}", card.context("the model was not finished")?.display());
        Ok(())
    }

    fn again(self, tracking: Tracking) -> Again {
        Again {
            from: self.model,
            manifests: self.manifest,
            data: self.data,
            seed: self.seed,
            validation: self.validation,
            model: self.out,
            run: self.run,
            version: self.model_version.unwrap_or_default(),
            mirrored: !self.straight,
            judged_phantoms: self.judged_phantoms,
            cross_validation: self.cross_validation,
            tracking,
        }
    }
}
