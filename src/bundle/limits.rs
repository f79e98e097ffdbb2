//! The limits of a bundle: one struct, the same for packing and for verifying, and one table of what each is called,
//! means and is by default, which options, help, errors and documentation are made from.

use std::fmt;

use crate::record::canonical::Bounds;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What a bundle may be. Sizes are in bytes. The defaults are those of `docs/bundle-format.md`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The whole file.
    pub bundle_bytes: u64,
    /// The signed document: `manifest.json`, or `receipt.json`.
    pub manifest_bytes: u64,
    /// How many records.
    pub records: u64,
    /// One full record, and one entry of the inner tar.
    pub record_bytes: u64,
    /// All full records together, as the manifest says.
    pub total_bytes: u64,
    /// How many times the payload the inner tar may be.
    pub ratio: u64,
    /// How many deltas may follow a full record.
    pub delta_chain: u64,
    /// JSON nesting and string lengths.
    pub json: Bounds,
    /// `note`, `producer`, and a receipt's reasons.
    pub text_bytes: u64,
    /// Links of a rotation chain.
    pub rotation: u64,
}

/// Declares the table: for each limit its name on the command line, its default, what is limited, and where it is kept.
macro_rules! limits {
    ($($variant:ident, $name:literal, $default:expr, $what:literal, $($place:ident).+ as $type:ty;)+) => {
        /// A limit by its name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Limit {
            $(#[doc = $what] $variant,)+
        }

        impl Limit {
            /// Every limit, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Its name, as `--limit` takes it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What is limited.
            #[must_use]
            pub fn what(self) -> &'static str {
                match self {
                    $(Self::$variant => $what,)+
                }
            }

            /// What it is unless somebody sets it.
            #[must_use]
            pub fn default(self) -> u64 {
                match self {
                    $(Self::$variant => $default,)+
                }
            }
        }

        impl Limits {
            /// How much a limit allows.
            #[must_use]
            pub fn get(&self, limit: Limit) -> u64 {
                match limit {
                    $(Limit::$variant => self.$($place).+ as u64,)+
                }
            }

            /// Sets a limit; more than [`Limit::most`] is never allowed.
            pub fn set(&mut self, limit: Limit, allowed: u64) {
                let allowed = allowed.min(limit.most());
                match limit {
                    $(Limit::$variant => self.$($place).+ = <$type>::try_from(allowed).unwrap_or(<$type>::MAX),)+
                }
            }
        }
    };
}

limits! {
    BundleBytes, "bundle-bytes", 256 * MIB, "the size of the whole file", bundle_bytes as u64;
    ManifestBytes, "manifest-bytes", 16 * MIB, "the size of the signed document", manifest_bytes as u64;
    Records, "records", 20_000, "the number of records", records as u64;
    RecordBytes, "record-bytes", 32 * MIB, "the size of one record", record_bytes as u64;
    TotalBytes, "total-bytes", 4 * GIB, "the size of all records together", total_bytes as u64;
    Ratio, "ratio", 400, "how many times the payload the decompressed records are", ratio as u64;
    DeltaChain, "delta-chain", 20_000, "the number of deltas that follow a full record", delta_chain as u64;
    JsonDepth, "json-depth", 64, "the nesting of a JSON document", json.depth as usize;
    StringBytes, "string-bytes", 64 * KIB, "the length of a string in JSON", json.string as usize;
    TextBytes, "text-bytes", KIB, "the length of the note, the producer, or a reason", text_bytes as u64;
    Rotation, "rotation", 16, "the number of links in the rotation chain", rotation as u64;
}

impl Limit {
    /// The limit of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|limit| limit.name() == name)
    }

    /// The highest that it can be set to. Values nested in JSON are walked recursively.
    #[must_use]
    pub fn most(self) -> u64 {
        match self {
            Self::JsonDepth => 512,
            _ => u64::MAX,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Default for Limits {
    fn default() -> Self {
        let json = Bounds { depth: 0, string: 0 };
        let mut limits = Self {
            bundle_bytes: 0,
            manifest_bytes: 0,
            records: 0,
            record_bytes: 0,
            total_bytes: 0,
            ratio: 0,
            delta_chain: 0,
            json,
            text_bytes: 0,
            rotation: 0,
        };
        for limit in Limit::ALL {
            limits.set(*limit, limit.default());
        }
        limits
    }
}

impl Limits {
    /// Checks that `actual` is within a limit.
    ///
    /// # Errors
    /// It is not.
    pub fn within(&self, limit: Limit, actual: u64) -> Result<(), LimitExceeded> {
        let allowed = self.get(limit);
        if actual > allowed { Err(LimitExceeded { limit, actual, allowed, enough: actual }) } else { Ok(()) }
    }
}

/// A limit that something exceeds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} exceeds the limit `{limit}`: {actual} is more than {allowed}", limit.what())]
pub struct LimitExceeded {
    /// Which limit.
    pub limit: Limit,
    /// How much there is, or was found before reading stopped.
    pub actual: u64,
    /// How much is allowed.
    pub allowed: u64,
    /// How much to allow for it to pass, as far as that is known.
    pub enough: u64,
}

impl LimitExceeded {
    /// The option that lets as much pass as there is.
    #[must_use]
    pub fn hint(&self) -> String {
        let (limit, most) = (self.limit, self.limit.most());
        if self.enough > most {
            return format!("no option helps: {limit} can be at most {most}");
        }
        format!("if it is meant to be as large, allow that with --limit {limit}={}", self.enough)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_is_kept_in_a_place_of_its_own() {
        let mut limits = Limits::default();
        for (number, limit) in (1..).zip(Limit::ALL) {
            assert_eq!(limits.get(*limit), limit.default());
            assert_eq!(Limit::named(limit.name()), Some(*limit));
            limits.set(*limit, number);
        }
        for (number, limit) in (1..).zip(Limit::ALL) {
            assert_eq!(limits.get(*limit), number, "{limit}");
        }
        assert_eq!(Bounds::default(), Limits::default().json);
    }

    #[test]
    fn nesting_can_not_be_allowed_without_end() {
        let mut limits = Limits::default();
        limits.set(Limit::JsonDepth, 513);
        assert_eq!(limits.json.depth, 512);
        let exceeded = LimitExceeded { limit: Limit::JsonDepth, actual: 600, allowed: 512, enough: 600 };
        assert_eq!(exceeded.hint(), "no option helps: json-depth can be at most 512");
        assert_eq!(
            limits.within(Limit::Records, 50_000).unwrap_err().hint().split(" --").nth(1),
            Some("limit records=50000")
        );
    }
}
