//! Where passphrases come from: a file, a descriptor, or a person at a terminal; never the command line itself.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use kubermatic_telemetry::identity::{Identity, IdentityError};
use kubermatic_telemetry::keys::{KeyError, Passphrase, PrivateKey, SigningKey};

use super::failure::Failure;
use super::terminal::Terminal;

/// The passphrase of a private key that is used.
#[derive(Debug, Clone, clap::Args)]
pub struct PassphraseArgs {
    /// File whose first line is the passphrase of the private key; `-` is stdin [default: ask on the terminal].
    #[arg(long, value_name = "FILE", env = "KUBERMATIC_TELEMETRY_PASSPHRASE_FILE", hide_env_values = true)]
    passphrase_file: Option<PathBuf>,
    /// Number of an open descriptor to read the passphrase from; goes before the file.
    #[arg(long, value_name = "NUMBER")]
    passphrase_fd: Option<u32>,
}

/// The passphrase that a private key gets.
#[derive(Debug, Clone, clap::Args)]
pub struct NewPassphraseArgs {
    /// File whose first line is the new passphrase; `-` is stdin [default: ask on the terminal].
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    /// Number of an open descriptor to read the new passphrase from.
    #[arg(long, value_name = "NUMBER", conflicts_with = "new_passphrase_file")]
    new_passphrase_fd: Option<u32>,
}

/// The passphrase of a private key that is imported.
#[derive(Debug, Clone, clap::Args)]
pub struct ImportPassphraseArgs {
    /// File whose first line is the passphrase of the imported key; `-` is stdin [default: ask on the terminal].
    #[arg(long, value_name = "FILE", requires = "import")]
    import_passphrase_file: Option<PathBuf>,
    /// Number of an open descriptor to read the passphrase of the imported key from.
    #[arg(long, value_name = "NUMBER", requires = "import", conflicts_with = "import_passphrase_file")]
    import_passphrase_fd: Option<u32>,
}

/// Where one passphrase comes from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    file: Option<&'a Path>,
    descriptor: Option<u32>,
    /// What the options begin with.
    options: &'static str,
}

impl PassphraseArgs {
    pub fn source(&self) -> Source<'_> {
        let (file, descriptor) = (self.passphrase_file.as_deref(), self.passphrase_fd);
        Source { file, descriptor, options: "--passphrase" }
    }

    /// The passphrase of an identity's signing key, if it takes one, once it is found to be the right one.
    pub fn of_identity(&self, identity: &Identity) -> Result<Option<Passphrase>, Failure> {
        if !identity.is_encrypted() {
            return Ok(None);
        }
        self.source().read_fitting("the signing key", |passphrase| match identity.unlock(Some(passphrase)) {
            Err(IdentityError::Key { source: KeyError::WrongPassphrase, .. }) => Ok(false),
            result => Ok(result.map(|_| true)?),
        })
    }
}

impl NewPassphraseArgs {
    pub fn source(&self) -> Source<'_> {
        let (file, descriptor) = (self.new_passphrase_file.as_deref(), self.new_passphrase_fd);
        Source { file, descriptor, options: "--new-passphrase" }
    }
}

impl ImportPassphraseArgs {
    pub fn source(&self) -> Source<'_> {
        let (file, descriptor) = (self.import_passphrase_file.as_deref(), self.import_passphrase_fd);
        Source { file, descriptor, options: "--import-passphrase" }
    }
}

/// How often a person may mistype.
const ATTEMPTS: usize = 3;

impl Source<'_> {
    /// The passphrase of what is called `whose`.
    pub fn read(&self, whose: &str) -> Result<Passphrase, Failure> {
        match self.elsewhere()? {
            Some(passphrase) => Ok(passphrase),
            None => Ok(self.terminal(whose)?.ask(&format!("passphrase of {whose}"))?),
        }
    }

    /// A passphrase that does not exist yet, which a person types twice.
    pub fn read_new(&self, whose: &str) -> Result<Passphrase, Failure> {
        if let Some(passphrase) = self.elsewhere()? {
            return Ok(passphrase);
        }
        let terminal = self.terminal(whose)?;
        let passphrase = terminal.ask(&format!("new passphrase of {whose}"))?;
        if terminal.ask("the same once more")? == passphrase {
            Ok(passphrase)
        } else {
            Err(Failure::new("the two passphrases are not the same").hint("nothing was changed; try again"))
        }
    }

    /// The passphrase that fits; of a person another one is asked for a few times.
    fn read_fitting(
        &self,
        whose: &str,
        fits: impl Fn(&Passphrase) -> Result<bool, Failure>,
    ) -> Result<Option<Passphrase>, Failure> {
        let attempts = if self.file.is_none() && self.descriptor.is_none() { ATTEMPTS } else { 1 };
        for _ in 0..attempts {
            let passphrase = self.read(whose)?;
            if fits(&passphrase)? {
                return Ok(Some(passphrase));
            }
        }
        Err(Failure::from(KeyError::WrongPassphrase).context(whose.to_owned()))
    }

    /// Unlocks a private key that was read from `path`, and tells the passphrase that it took.
    pub fn unlock(&self, key: &PrivateKey, path: &Path) -> Result<(SigningKey, Option<Passphrase>), Failure> {
        let name = path.display().to_string();
        let unlocked = |passphrase: Option<&Passphrase>| key.unlock(passphrase);
        let passphrase = if key.is_encrypted() {
            self.read_fitting(&name, |passphrase| match unlocked(Some(passphrase)) {
                Err(KeyError::WrongPassphrase) => Ok(false),
                result => result.map(|_| true).map_err(|error| Failure::from(error).context(name.clone())),
            })?
        } else {
            None
        };
        let key = unlocked(passphrase.as_ref()).map_err(|error| Failure::from(error).context(name))?;
        Ok((key, passphrase))
    }

    /// The passphrase out of the descriptor or the file, if one was given.
    fn elsewhere(&self) -> Result<Option<Passphrase>, Failure> {
        let (path, stdin) = match (self.descriptor, self.file) {
            // Opened anew by its name, which is the way to a descriptor by its number alone.
            (Some(number), _) => (PathBuf::from(format!("/dev/fd/{number}")), false),
            (None, Some(path)) => (path.to_owned(), path.as_os_str() == "-"),
            (None, None) => return Ok(None),
        };
        let failed = |error: Failure| error.context(format!("can't read the passphrase from {}", path.display()));
        let passphrase = if stdin {
            Passphrase::read_line(io::stdin().lock())
        } else {
            let file = File::open(&path).map_err(|error| failed(error.into()))?;
            warn_of_open_secret(&file, &path);
            Passphrase::read_line(file)
        };
        passphrase.map(Some).map_err(|error| failed(error.into()))
    }

    fn terminal(&self, whose: &str) -> Result<Terminal, Failure> {
        let options = self.options;
        Terminal::open().ok_or_else(|| {
            Failure::new(format!("the passphrase of {whose} is needed, and there is no terminal to ask for it"))
                .hint(format!("give it with {options}-file FILE or {options}-fd NUMBER"))
        })
    }
}

fn warn_of_open_secret(file: &File, path: &Path) {
    if file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o077 != 0) {
        tracing::warn!(file = %path.display(), "a secret that others can read: chmod 600 it");
    }
}

/// Reads a file with a private key.
pub fn read_private_key(path: &Path) -> Result<PrivateKey, Failure> {
    let failed = |failure: Failure| failure.context(format!("can't read the private key {}", path.display()));
    PrivateKey::read(path).map_err(|error| failed(error.into()))?.map_err(|error| failed(error.into()))
}
