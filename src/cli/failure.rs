//! Failures as a person sees them: what was attempted on what, why it failed, and a hint.

use kubermatic_telemetry::bundle::VerifyError;
use kubermatic_telemetry::bundle::limits::LimitExceeded;
use kubermatic_telemetry::bundle::pack::PackError;
use kubermatic_telemetry::identity::IdentityError;
use kubermatic_telemetry::identity::renew::RenewError;
use kubermatic_telemetry::keys::KeyError;
use kubermatic_telemetry::keys::keyring::KeyringError;
use kubermatic_telemetry::receipt::ReceiptError;
use kubermatic_telemetry::record::foreign::ForeignError;
use kubermatic_telemetry::reporter::ExportError;
use kubermatic_telemetry::store::StoreError;

/// A verb that failed.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    error: anyhow::Error,
    hint: Option<String>,
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { code: 1, error: error.into(), hint: None }
    }
}

impl Failure {
    /// A failure with nothing behind it.
    pub fn new(message: impl Into<String>) -> Self {
        Self { code: 1, error: anyhow::Error::msg(message.into()), hint: None }
    }

    /// Wrong usage that the parser could not see.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, ..Self::new(message) }
    }

    /// Gives the failure a hint of its own.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what was attempted.
    pub fn context(mut self, what: impl Into<String>) -> Self {
        // Looked up first: the context hides the type of the error below it from nobody but readers.
        self.hint = self.find_hint();
        self.error = self.error.context(what.into());
        self
    }

    /// The message: every cause once, outermost first.
    pub fn message(&self) -> String {
        let causes: Vec<_> = self.error.chain().map(ToString::to_string).collect();
        let mut parts: Vec<String> = Vec::new();
        for cause in causes {
            if parts.last() != Some(&cause) {
                parts.push(cause);
            }
        }
        parts.join(": ")
    }

    /// Whether a cause is of this type and `is` so.
    #[cfg(feature = "agent")]
    pub fn has_cause<E: std::error::Error + 'static>(&self, is: impl Fn(&E) -> bool) -> bool {
        self.error.chain().any(|cause| cause.downcast_ref::<E>().is_some_and(&is))
    }

    /// Why a bundle or receipt was refused, if that is the cause.
    pub fn refusal(&self) -> Option<&VerifyError> {
        self.error.chain().find_map(refusal_in)
    }

    /// The stable code of what a bundle or receipt was refused for, as `verify --json` has it.
    pub fn code(&self) -> Option<&'static str> {
        self.error.chain().find_map(code_of)
    }

    /// What a person can do about it.
    pub fn find_hint(&self) -> Option<String> {
        self.hint.clone().or_else(|| self.error.chain().find_map(hint_of))
    }
}

fn hint_of(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<ForeignError>() {
        return error.hint();
    }
    if let Some(error) = refusal_in(error) {
        return error.hint();
    }
    if let Some(limit) = packing_limit(error) {
        return Some(format!(
            "export in several bundles with --max-size and -o DIR/, or raise the limit with --limit {}={}, which whoever \
             verifies the bundle has to raise as well",
            limit.limit, limit.enough
        ));
    }
    #[cfg(feature = "agent")]
    if let Some(error) = error.downcast_ref::<kubermatic_telemetry::reporter::http::SendError>() {
        return error.hint();
    }
    #[cfg(feature = "agent")]
    if let Some(error) = error.downcast_ref::<kubermatic_telemetry::agent::live::kept::SecretError>() {
        return error.hint();
    }
    let text = if let Some(error) = error.downcast_ref::<IdentityError>() {
        identity_hint(error)
    } else if let Some(error) = error.downcast_ref::<StoreError>() {
        store_hint(error)
    } else if let Some(error) = error.downcast_ref::<ReceiptError>() {
        receipt_hint(error)
    } else if let Some(error) = error.downcast_ref::<ExportError>() {
        export_hint(error)
    } else if let Some(error) = error.downcast_ref::<KeyError>() {
        error.hint()
    } else if let Some(error) = error.downcast_ref::<KeyringError>() {
        keyring_hint(error)
    } else if let Some(error) = error.downcast_ref::<RenewError>() {
        renew_hint(error)
    } else {
        more_hints(error)
    };
    text.map(str::to_owned)
}

/// The limit that keeps a bundle from being packed, if it is that.
fn packing_limit<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e LimitExceeded> {
    match error.downcast_ref::<ExportError>()? {
        ExportError::Pack(error) => match &**error {
            PackError::Limit(limit) => Some(limit),
            _ => None,
        },
        _ => None,
    }
}

fn code_of(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    #[cfg(feature = "ingest")]
    if let Some(error) = error.downcast_ref::<kubermatic_telemetry::ingest::IngestError>() {
        return error.refusal();
    }
    refusal_in(error).map(|error| error.code().as_str())
}

/// Why a bundle or receipt was refused, if it is that.
fn refusal_in<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e VerifyError> {
    #[cfg(feature = "ingest")]
    if let Some(kubermatic_telemetry::ingest::IngestError::Verify(error)) = error.downcast_ref() {
        return Some(error);
    }
    if let Some(ReceiptError::Verify(error)) = error.downcast_ref() {
        return Some(error);
    }
    error.downcast_ref()
}

#[cfg(feature = "agent")]
fn agent_hint(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    use kubermatic_telemetry::agent::live::LiveError;
    use kubermatic_telemetry::agent::manifests::ManifestError;

    if let Some(error) = error.downcast_ref::<LiveError>() {
        return error.hint();
    }
    error.downcast_ref::<ManifestError>()?.hint()
}

fn more_hints(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    #[cfg(feature = "agent")]
    if let Some(hint) = agent_hint(error) {
        return Some(hint);
    }
    #[cfg(feature = "ingest")]
    if let Some(hint) = accepting_hint(error) {
        return Some(hint);
    }
    error.downcast_ref().and_then(kubermatic_telemetry::setting::SettingError::hint)
}

#[cfg(feature = "ingest")]
fn accepting_hint(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    use kubermatic_telemetry::ingest::archive::ArchiveError;

    let ingest = error.downcast_ref().and_then(ingest_hint);
    let change = || error.downcast_ref().and_then(change_hint);
    let tables = || error.downcast_ref().and_then(kubermatic_telemetry::tables::TablesError::hint);
    ingest.or_else(change).or_else(tables).or_else(|| error.downcast_ref().and_then(ArchiveError::hint))
}

#[cfg(feature = "ingest")]
fn change_hint(error: &kubermatic_telemetry::ingest::operator::ChangeError) -> Option<&'static str> {
    use kubermatic_telemetry::ingest::operator::ChangeError;
    match error {
        ChangeError::IsRevoked(_) => Some(REVOKED_FOR_GOOD),
        ChangeError::Archive(error) => error.hint(),
        ChangeError::System(_) => None,
    }
}

#[cfg(feature = "ingest")]
fn ingest_hint(error: &kubermatic_telemetry::ingest::IngestError) -> Option<&'static str> {
    use kubermatic_telemetry::ingest::IngestError as E;
    match error {
        E::Archive(error) => error.hint(),
        E::UnknownSigner { .. } => Some(
            "ask the client for its public key (`keys export`), compare its key id by another way (`keys show`), and \
             trust it: keys trust FILE --client UUID --keyring DIR, or --archive URL; or use --trust tofu",
        ),
        E::TooManyPins { .. } => Some(
            "if these are no strangers, trust their keys (`keys trust`) or raise --pins-per-hour; else wait an hour",
        ),
        E::ReceiptKey { source: KeyError::Locked, .. } => {
            Some("give the file with --receipt-key FILE, and its passphrase with --passphrase-file FILE")
        }
        E::NoReceiptKey => Some("give one with --receipt-key FILE"),
        _ => None,
    }
}

fn identity_hint(error: &IdentityError) -> Option<&'static str> {
    match error {
        IdentityError::Key { source: KeyError::NotPrivate | KeyError::Several, .. }
        | IdentityError::Partial { .. }
        | IdentityError::Content { .. }
        | IdentityError::Rotations { .. } => {
            Some("restore the identity from a backup; if it is lost, `init --new-client` makes a new client")
        }
        IdentityError::Key { source, .. } => source.hint(),
        IdentityError::OtherRotations { .. } => {
            Some("restore the identity as a whole, from one backup; files of two don't fit together")
        }
        IdentityError::Unfinished { .. } => Some("`init --new-client` finishes it"),
        IdentityError::Busy { .. } | IdentityError::Replaced { .. } => Some("wait for other commands to end"),
        IdentityError::UsedKey { .. } => Some("`keys rotate` without --import makes a new key"),
        IdentityError::TooManyRotations => {
            Some("export a bundle and import its receipt (`receipt FILE`); it confirms the rotations so far")
        }
        IdentityError::Foreign { .. } => Some("give another place with --identity DIR or --state DIR"),
        IdentityError::Exists { .. } => Some("an identity is never overwritten; `init --new-client` moves it aside"),
        IdentityError::OtherSecret { .. } => Some("name that Secret, or give another place with --identity DIR"),
        IdentityError::OtherKeys { .. } => Some(
            "neither is overwritten: find out which one signs the bundles (`keys show`), and move the directory or delete \
             the Secret that does not",
        ),
        IdentityError::KeptInSecret { .. } => Some(
            "`keys rotate` and `keys passphrase` change both with --secret NAMESPACE/NAME; to start over, see \
             docs/keys.md",
        ),
        IdentityError::File(_) | IdentityError::Random(_) => None,
    }
}

fn store_hint(error: &StoreError) -> Option<&'static str> {
    match error {
        StoreError::Foreign { .. } => Some("give another place with --store DIR or --state DIR"),
        StoreError::Description { .. } => Some("restore it from a backup, or move the store aside"),
        StoreError::OtherClient { .. } => Some(
            "use the identity that the store was made with, or give another place with --store DIR; if `init \
                 --new-client` was interrupted, run it again",
        ),
        StoreError::OtherInstallation { .. } => Some(
            "every installation needs a state directory of its own: give another one with --state DIR, or move this \
             one aside if it was a trial; if the installation was made anew, --rebind makes the store its own",
        ),
        StoreError::Busy { .. } => Some("wait for it to end, or see with `fuser` which process it is"),
        StoreError::UnknownInstallation { .. } => Some(
            "export the KubermaticConfiguration to master/ as kubectl prints it, with its metadata, or let the \
                 agent get the namespace kube-system (docs/permissions.md)",
        ),
        StoreError::File(_) | StoreError::Damaged { .. } | StoreError::Exhausted | StoreError::System(_) => None,
    }
}

fn keyring_hint(error: &KeyringError) -> Option<&'static str> {
    match error {
        KeyringError::IsRevoked { .. } => Some(REVOKED_FOR_GOOD),
        KeyringError::Missing { .. } => Some("`keys trust FILE --client UUID --keyring DIR` makes one"),
        KeyringError::Busy { .. } => Some("wait for it to end"),
        KeyringError::Key { source, .. } => source.hint(),
        _ => None,
    }
}

const REVOKED_FOR_GOOD: &str =
    "a revocation is for good; the client needs a new key: `keys rotate`, or `init --new-client` if the key is lost";

fn renew_hint(error: &RenewError) -> Option<&'static str> {
    match error {
        RenewError::OtherAttempt { .. } => Some(
            "without other options `init --new-client` finishes that attempt; or remove what it made, and start over",
        ),
        RenewError::SameClient(_) => Some("leave --client-uuid out"),
        RenewError::Identity(error) => identity_hint(error),
        RenewError::Store(error) => store_hint(error),
        RenewError::File(_) => None,
    }
}

fn receipt_hint(error: &ReceiptError) -> Option<&'static str> {
    match error {
        ReceiptError::UnknownSigner { .. } => Some(
            "if this is Kubermatic's key, add its PEM to receipt-keys.pem in the state directory, or give it with \
             --receipt-key FILE",
        ),
        ReceiptError::OtherClient { .. } => {
            Some("import it where the bundle was exported, with that state directory (--state DIR)")
        }
        ReceiptError::Verify(_) | ReceiptError::Store(_) => None,
    }
}

fn export_hint(error: &ExportError) -> Option<&'static str> {
    match error {
        ExportError::NoSuchExport(_) => Some("`status --history` lists the exports"),
        ExportError::DoesNotFit { .. } => Some("allow larger bundles with --max-size, or `discard` the record"),
        ExportError::NotKept(_) | ExportError::Damaged(_) | ExportError::Withheld(_) => {
            Some("its records are still pending unless a receipt came: export them anew")
        }
        _ => None,
    }
}
