//! What single texts look like: one pattern each, which the JSON Schema shows and records are checked with, in what
//! regular expressions of ECMA-262 and of Rust have in common.

use std::sync::LazyLock;

use regex::Regex;

use crate::record::catalogue::Privacy;

/// The form of a text.
pub(super) struct Form {
    /// The pattern that it has as a whole.
    pub pattern: &'static str,
    /// What it must be, for people.
    pub must_be: &'static str,
    regex: LazyLock<Option<Regex>>,
}

impl Form {
    /// Whether a text has it.
    pub fn fits(&self, text: &str) -> bool {
        self.regex.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

macro_rules! forms {
    ($($name:ident: $must_be:literal, $pattern:literal;)+) => {
        $(static $name: Form = Form {
            pattern: $pattern,
            must_be: $must_be,
            regex: LazyLock::new(|| Regex::new($pattern).ok()),
        };)+

        #[cfg(test)]
        static ALL: &[&Form] = &[$(&$name),+];
    };
}

forms! {
    PSEUDONYM: "a UUID in lower case", r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
    WORD: "a word", r"^[A-Za-z0-9][A-Za-z0-9._/+-]{0,62}$";
    RELEASE: "a version", r"^(other|v?[0-9]{1,10}(\.[0-9]{1,10}){1,2}([-+][0-9A-Za-z.+-]{1,64})?)$";
    NUMERIC_RELEASE: "the numbers of a version", r"^(other|[0-9]{1,10}(\.[0-9]{1,10}){1,3})$";
    COUNTRY: "a country code", r"^(other|[A-Z]{2})$";
    LOCATION: "a text of at most 128 printable characters", r"^[^\u0000-\u001F\u007F-\u009F]{1,128}$";
    REGION: "a region or a UUID", r"^[a-z0-9][a-z0-9-]{0,62}$";
    OS_IMAGE: "a distribution and its version", r"^[A-Za-z][A-Za-z/ -]{0,62}[0-9.]{0,32}$";
    RUNTIME: "a container runtime and its version",
        r"^(other|[a-z-]{1,32}://(other|v?[0-9]{1,10}(\.[0-9]{1,10}){1,2}([-+][0-9A-Za-z.+-]{1,64})?))$";
    QUANTITY: "a quantity", r"^[0-9]{1,24}(\.[0-9]{1,24})?([numkMGTPE]|[KMGTPE]i)?$";
    TIME: "an RFC 3339 time",
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$";
    NAME: "the name of a category or field", r"^[A-Za-z][A-Za-z0-9.-]{0,127}$";
}

/// The form of a text, or of the texts in a list; nothing for what is no text, and for a fixed word.
pub(super) fn of(privacy: Privacy) -> Option<&'static Form> {
    Some(match privacy {
        Privacy::Pseudonym(_) | Privacy::Pseudonyms(_) => &PSEUDONYM,
        Privacy::Choice(_) => &WORD,
        Privacy::Release => &RELEASE,
        Privacy::NumericRelease => &NUMERIC_RELEASE,
        Privacy::Country => &COUNTRY,
        Privacy::Location => &LOCATION,
        Privacy::Region => &REGION,
        Privacy::OsImage => &OS_IMAGE,
        Privacy::RuntimeVersion => &RUNTIME,
        Privacy::Quantity => &QUANTITY,
        Privacy::Time => &TIME,
        Privacy::Names => &NAME,
        Privacy::Flag | Privacy::Number | Privacy::Constant(_) | Privacy::Rows(_) | Privacy::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::values;

    #[test]
    fn every_pattern_is_one_and_stands_for_the_whole_text() {
        for form in ALL {
            assert!(form.regex.is_some(), "{}", form.pattern);
            assert!(form.pattern.starts_with('^') && form.pattern.ends_with('$'), "{}", form.pattern);
            assert!(!form.fits("") && !form.fits("a\nb") && !form.fits("\u{1b}[31m"), "{}", form.pattern);
        }
    }

    #[test]
    fn what_collectors_let_through_has_its_form() {
        let words = [
            values::PROVIDERS,
            values::MACHINE_PROVIDERS,
            values::PHASES,
            values::RESOURCES,
            values::NODE_SYSTEMS,
            values::ARCHITECTURES,
            values::CNI_PLUGINS,
            values::IP_FAMILIES,
            &["other"],
        ];
        assert!(words.into_iter().flatten().all(|word| WORD.fits(word)));
        for raw in ["v2.31.0-5-gabc1234-dirty", "1.27.6", "v1.30.2+k3s1", "v1.34.0-beta2", "acme", "v3.25"] {
            assert!(RELEASE.fits(values::Release::reduce(raw).unwrap().as_str()), "{raw}");
            let runtime = values::RuntimeVersion::reduce(&format!("containerd://{raw}")).unwrap();
            assert!(RUNTIME.fits(serde_json::to_value(runtime).unwrap().as_str().unwrap()), "{raw}");
        }
        for name in values::DISTRIBUTIONS {
            assert!(OS_IMAGE.fits(name) && OS_IMAGE.fits(&format!("{name} 22.04.4")), "{name}");
        }
        assert!(["4", "7958656Ki", "0.5", "1500m"].iter().all(|quantity| QUANTITY.fits(quantity)));
        assert!(LOCATION.fits(&"ä".repeat(values::Location::MAX)));
    }

    #[test]
    fn what_could_name_somebody_has_no_form() {
        for text in ["max@example.com", "10.0.0.1:443", "https://example.com", "Acme prod", "a b"] {
            let forms = [&PSEUDONYM, &WORD, &RELEASE, &COUNTRY, &REGION, &QUANTITY, &NUMERIC_RELEASE, &RUNTIME, &NAME];
            assert!(forms.iter().all(|form| !form.fits(text)), "{text}");
        }
    }
}
