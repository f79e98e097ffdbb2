//! The site's choice: whether telemetry is on, and what is withheld. One place decides, which every verb obeys: for the
//! switch the command line over the environment over the installation's setting over the default; what is withheld
//! adds up, so that no place gives away what another one withholds.

mod installation;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::record::withhold::{NotWithholdable, Withholding};
pub use installation::{Installation, InstallationError};

/// The variable that switches telemetry.
pub const SWITCH: &str = "KUBERMATIC_TELEMETRY";
/// The variable that many programs understand as a wish not to be watched.
pub const DO_NOT_TRACK: &str = "DO_NOT_TRACK";
/// The variable that withholds.
pub const OMIT: &str = "KUBERMATIC_TELEMETRY_OMIT";

/// Where a choice comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// An option on the command line.
    Option(&'static str),
    /// An environment variable.
    Variable(&'static str),
    /// A key of the installation's setting.
    Installation {
        /// The file or directory.
        path: PathBuf,
        /// The key.
        key: &'static str,
    },
    /// Nowhere: the default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(name) | Self::Variable(name) => formatter.write_str(name),
            Self::Installation { path, key } => {
                write!(formatter, "`{key}` in {}", crate::text::escaped(&path.display().to_string()))
            }
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// Whether telemetry is on, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether anything may be collected or leave.
    pub on: bool,
    /// What decided.
    pub by: Place,
}

/// A choice that can't be told. Guessing could let something leave that must not.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// A switch that says neither on nor off.
    #[error("{0} says neither `on` nor `off`")]
    Unclear(Place),
    /// Something is to be withheld that can't be.
    #[error("{place}")]
    Omit {
        /// Where it is asked for.
        place: Place,
        /// What is asked for.
        source: NotWithholdable,
    },
    /// The installation's setting can't be read.
    #[error(transparent)]
    Installation(#[from] InstallationError),
}

impl SettingError {
    /// What a person can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unclear(_) => Some("set it to on or off, or use --telemetry on|off"),
            Self::Omit { .. } => Some("docs/data-collected.md lists every category and field"),
            Self::Installation(error) => error.hint(),
        }
    }

    /// Whether what was typed on the command line is at fault.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Unclear(Place::Option(_)) | Self::Omit { place: Place::Option(_), .. })
    }
}

/// Where choices are made, but for the installation's setting.
pub struct Choices<'c> {
    /// `--telemetry`.
    pub switch: Option<bool>,
    /// Each `--omit`.
    pub omit: &'c [String],
    /// Looks an environment variable up.
    pub variable: &'c dyn Fn(&str) -> Option<String>,
    /// The installation's setting, if it has one; read anew each time.
    pub installation: Option<&'c Path>,
}

/// What is withheld, and which place wants what.
#[derive(Debug, Clone, Default)]
pub struct Withheld {
    /// All of it.
    pub withholding: Withholding,
    /// The places that withhold something, each with the names that it gives, sorted.
    pub by: Vec<(Place, Vec<String>)>,
}

impl Choices<'_> {
    /// Decides whether telemetry is on. Of the variables one that says off wins over one that says on.
    ///
    /// # Errors
    /// The place that decides says neither on nor off, or can't be read.
    pub fn telemetry(&self) -> Result<Decision, SettingError> {
        if let Some(on) = self.switch {
            return Ok(Decision { on, by: Place::Option("--telemetry") });
        }
        let of_variable = switch(&self.text(SWITCH), || Place::Variable(SWITCH))?;
        if of_variable == Some(false) {
            return Ok(Decision { on: false, by: Place::Variable(SWITCH) });
        }
        if !matches!(self.text(DO_NOT_TRACK).trim().to_ascii_lowercase().as_str(), "" | "0" | "false" | "no") {
            return Ok(Decision { on: false, by: Place::Variable(DO_NOT_TRACK) });
        }
        if let Some(on) = of_variable {
            return Ok(Decision { on, by: Place::Variable(SWITCH) });
        }
        if let Some(path) = self.installation {
            let by = || Place::Installation { path: path.to_owned(), key: installation::SWITCH };
            let text = Installation::read(path)?.telemetry.unwrap_or_default();
            if let Some(on) = switch(&text, by)? {
                return Ok(Decision { on, by: by() });
            }
        }
        Ok(Decision { on: true, by: Place::Default })
    }

    /// What is withheld, from all places together.
    ///
    /// # Errors
    /// A name that can't be withheld, with its place; or the installation's setting can't be read.
    pub fn withheld(&self) -> Result<Withheld, SettingError> {
        let mut places = vec![(Place::Option("--omit"), self.omit.join(",")), (Place::Variable(OMIT), self.text(OMIT))];
        if let Some(path) = self.installation {
            let place = Place::Installation { path: path.to_owned(), key: installation::OMIT };
            places.push((place, Installation::read(path)?.omit.unwrap_or_default()));
        }
        let mut by = Vec::new();
        for (place, text) in places {
            let names = text.split([',', ' ', '\t', '\r', '\n']).filter(|name| !name.is_empty());
            match Withholding::of(names) {
                Err(source) => return Err(SettingError::Omit { place, source }),
                Ok(asked) if asked.is_empty() => {}
                Ok(asked) => by.push((place, asked.names().to_vec())),
            }
        }
        let all = by.iter().flat_map(|(_, names)| names).map(String::as_str);
        let withholding =
            Withholding::of(all).map_err(|source| SettingError::Omit { place: Place::Default, source })?;
        Ok(Withheld { withholding, by })
    }

    fn text(&self, variable: &str) -> String {
        (self.variable)(variable).unwrap_or_default()
    }
}

/// What a switch says; nothing where it is empty.
fn switch(text: &str, place: impl Fn() -> Place) -> Result<Option<bool>, SettingError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "on" | "true" | "1" | "yes" | "enabled" => Ok(Some(true)),
        "off" | "false" | "0" | "no" | "disabled" => Ok(Some(false)),
        _ => Err(SettingError::Unclear(place())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(switch: Option<bool>, own: &str, track: &str) -> Result<Decision, SettingError> {
        let variable = |name: &str| Some(if name == DO_NOT_TRACK { track } else { own }.to_owned());
        Choices { switch, omit: &[], variable: &variable, installation: None }.telemetry()
    }

    #[test]
    fn the_command_line_wins_then_whatever_says_off() {
        let option = || Place::Option("--telemetry");
        let cases = [
            (Some(true), "off", "1", true, option()),
            (Some(false), "on", "", false, option()),
            (None, "off", "", false, Place::Variable(SWITCH)),
            (None, "ON", "", true, Place::Variable(SWITCH)),
            (None, "on", "1", false, Place::Variable(DO_NOT_TRACK)),
            (None, "", "true", false, Place::Variable(DO_NOT_TRACK)),
            (None, "", "0", true, Place::Default),
        ];
        for (flag, own, track, on, by) in cases {
            assert_eq!(decide(flag, own, track).unwrap(), Decision { on, by }, "{flag:?} {own} {track}");
        }
        assert!(matches!(decide(None, "maybe", ""), Err(SettingError::Unclear(Place::Variable(SWITCH)))));
    }
}
