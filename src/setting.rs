//! Whether telemetry is on, and which setting decided: command line over environment over default.

/// What decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `--telemetry` on the command line.
    CommandLine,
    /// The variable `KUBERMATIC_TELEMETRY`.
    Variable,
    /// The variable `DO_NOT_TRACK`.
    DoNotTrack,
    /// Nothing: telemetry is on by default.
    Default,
}

impl Source {
    /// How to name it to a person.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CommandLine => "--telemetry",
            Self::Variable => "KUBERMATIC_TELEMETRY",
            Self::DoNotTrack => "DO_NOT_TRACK",
            Self::Default => "default",
        }
    }
}

/// Whether telemetry is on, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether anything may be collected or leave.
    pub on: bool,
    /// What decided.
    pub by: Source,
}

/// A variable that says neither on nor off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("KUBERMATIC_TELEMETRY is set to something that is neither `on` nor `off`")]
pub struct Unclear;

/// Decides. A variable that says off wins over one that says on.
///
/// # Errors
/// `KUBERMATIC_TELEMETRY` says neither on nor off: guessing could let something leave that must not.
pub fn decide(command_line: Option<bool>, variable: impl Fn(&str) -> Option<String>) -> Result<Decision, Unclear> {
    if let Some(on) = command_line {
        return Ok(Decision { on, by: Source::CommandLine });
    }
    let own = match variable("KUBERMATIC_TELEMETRY").unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" => None,
        "on" | "true" | "1" | "yes" | "enabled" => Some(true),
        "off" | "false" | "0" | "no" | "disabled" => Some(false),
        _ => return Err(Unclear),
    };
    let do_not_track = variable("DO_NOT_TRACK").unwrap_or_default();
    Ok(match own {
        Some(false) => Decision { on: false, by: Source::Variable },
        _ if !matches!(do_not_track.trim().to_ascii_lowercase().as_str(), "" | "0" | "false" | "no") => {
            Decision { on: false, by: Source::DoNotTrack }
        }
        Some(true) => Decision { on: true, by: Source::Variable },
        None => Decision { on: true, by: Source::Default },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_wins_then_whatever_says_off() {
        let with = |own: &'static str, track: &'static str| {
            move |name: &str| Some(if name == "DO_NOT_TRACK" { track } else { own }.to_owned())
        };
        let cases = [
            (Some(true), "off", "1", true, Source::CommandLine),
            (Some(false), "on", "", false, Source::CommandLine),
            (None, "off", "", false, Source::Variable),
            (None, "ON", "", true, Source::Variable),
            (None, "on", "1", false, Source::DoNotTrack),
            (None, "", "true", false, Source::DoNotTrack),
            (None, "", "0", true, Source::Default),
        ];
        for (flag, own, track, on, by) in cases {
            assert_eq!(decide(flag, with(own, track)), Ok(Decision { on, by }), "{flag:?} {own} {track}");
        }
        assert_eq!(decide(None, with("maybe", "")), Err(Unclear));
    }
}
