//! Which of the stored records a verb takes: `export` packs them, `preview` shows them.

use kubermatic_telemetry::record::withhold::Withholding;
use kubermatic_telemetry::reporter::Selection;

/// What rejected records are not taken together with.
#[cfg(feature = "agent")]
const NOT_WITH_REJECTED: [&str; 3] = ["new", "manifests", "kubeconfig"];
#[cfg(not(feature = "agent"))]
const NOT_WITH_REJECTED: [&str; 1] = ["new"];

/// The choice; everything that is pending unless something is said.
#[derive(Debug, clap::Args)]
pub struct SelectionArgs {
    /// Only what was never exported.
    #[arg(long)]
    new: bool,
    /// The records that ingest rejected, and nothing else, to try them again.
    #[arg(long, conflicts_with_all = NOT_WITH_REJECTED)]
    rejected: bool,
}

impl SelectionArgs {
    /// The same as the library takes it.
    pub fn selection(&self, note: Option<String>, withholding: &Withholding) -> Selection {
        let withholding = withholding.clone();
        Selection { only_new: self.new, rejected: self.rejected, note, withholding }
    }

    /// What to say where there is nothing of the kind.
    pub fn nothing(&self) -> &'static str {
        match (self.rejected, self.new) {
            (true, _) => "nothing was rejected",
            (false, true) => "nothing new is pending",
            (false, false) => "nothing is pending",
        }
    }
}
