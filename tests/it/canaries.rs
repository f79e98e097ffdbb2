//! Canaries: distinct strings that are planted in an installation, and the scanner that looks for them and for what
//! can be computed from them.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::bufread::MultiGzDecoder;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// Fills marks (`testdata/canaries/README.md`) with canaries, and remembers every one.
#[derive(Debug, Default)]
pub struct Planter {
    /// Where each was planted, and what.
    pub secrets: Vec<(String, String)>,
    /// Those in a `location`, which is let through.
    pub locations: Vec<String>,
    named: BTreeMap<String, String>,
    planted: usize,
}

const METADATA: &[&str] = &[
    r#"annotations: {"§": "§", "§.example.invalid/§": "§", kubectl.kubernetes.io/last-applied-configuration: "§"}"#,
    r#"finalizers: ["§.example.invalid/§"]"#,
    r#"generateName: "§""#,
    r#"managedFields: [{manager: "§", operation: "§", fieldsV1: {"f:§": {"f:§": {}}}}]"#,
    r#"resourceVersion: "§""#,
    r#"selfLink: "/§""#,
    r#"uid: "§""#,
];

impl Planter {
    /// The text with every mark filled; `place` says where it goes.
    pub fn fill(&mut self, place: &str, text: &str) -> String {
        let mut filled = String::new();
        for (number, line) in text.lines().enumerate() {
            let place = format!("{place}:{}", number + 1);
            match line.strip_suffix("%meta") {
                Some(indent) => METADATA.iter().for_each(|line| {
                    let _ = writeln!(filled, "{indent}{}", self.line(&place, line));
                }),
                None => {
                    let _ = writeln!(filled, "{}", self.line(&place, line));
                }
            }
        }
        filled
    }

    /// The canary of a key, the same every time.
    pub fn named(&mut self, key: &str) -> String {
        if let Some(known) = self.named.get(key) {
            return known.clone();
        }
        let canary = self.next(key);
        self.named.insert(key.to_owned(), canary.clone());
        canary
    }

    /// Texts as a whole are looked for as well as the canaries in them.
    fn line(&mut self, place: &str, line: &str) -> String {
        let segments: Vec<_> = line.split('"').map(|segment| self.segment(place, segment)).collect();
        segments.join("\"")
    }

    fn segment(&mut self, place: &str, segment: &str) -> String {
        let mut filled = String::new();
        let mut rest = segment;
        while let Some(at) = rest.find(['§', '¶', '¥', '£']) {
            filled.push_str(&rest[..at]);
            let mark = rest[at..].chars().next().unwrap();
            rest = &rest[at + mark.len_utf8()..];
            let (key, after) = key(rest);
            rest = after;
            filled.push_str(&self.mark(place, mark, key));
        }
        filled.push_str(rest);
        if filled != segment && !segment.contains('£') && !segment.trim_start().starts_with('#') {
            self.secrets.push((place.to_owned(), filled.clone()));
        }
        filled
    }

    fn mark(&mut self, place: &str, mark: char, key: Option<&str>) -> String {
        match (mark, key) {
            ('§', None) => self.next(place),
            ('§', Some(key)) => self.named(key),
            ('¥', Some(key)) => {
                let email = format!("{}@mail.invalid", self.named(key));
                hex(&Sha256::digest(email))
            }
            ('¶', None) => {
                self.planted += 1;
                let address = format!(
                    "100.{}.{}.{}",
                    65 + self.planted / 10_000,
                    self.planted / 100 % 100,
                    100 + self.planted % 100
                );
                self.secrets.push((place.to_owned(), address.clone()));
                address
            }
            ('£', None) => {
                self.planted += 1;
                let location = format!("Place{:05}kwxv", self.planted);
                self.locations.push(location.clone());
                location
            }
            _ => panic!("{place}: a mark that nobody knows"),
        }
    }

    fn next(&mut self, place: &str) -> String {
        self.planted += 1;
        let canary = format!("cnry{:05}qzjx", self.planted);
        self.secrets.push((place.to_owned(), canary.clone()));
        canary
    }
}

/// The key in braces behind a mark, and what follows.
fn key(text: &str) -> (Option<&str>, &str) {
    let found = text.strip_prefix('{').and_then(|inner| inner.split_once('}'));
    found.map_or((None, text), |(key, after)| (Some(key), after))
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The id that the reference client gives a name: the MD5 of the nil namespace and the name, as a UUID of version 3.
pub fn reference_id(name: &str) -> Uuid {
    let digest = Md5::new().chain_update([0; 16]).chain_update(name).finalize();
    Builder::from_md5_bytes(digest.into()).into_uuid()
}

/// How long a canary is.
const CANARY: usize = "cnry00000qzjx".len();

/// What a canary can be disguised as; the flag says whether case does not matter.
fn disguises(canary: &str) -> Vec<(&'static str, bool, String)> {
    // The head of a canary gives it away as well, unless it is that of a text around several.
    let literal = if canary.starts_with("cnry") && canary.len() == CANARY { &canary[..9] } else { canary };
    let id = reference_id(canary);
    let mut disguises = vec![
        ("literal", true, literal.to_lowercase()),
        ("hex", true, hex(canary.as_bytes())),
        ("MD5", true, hex(&Md5::digest(canary))[..16].to_owned()),
        ("SHA-1", true, hex(&Sha1::digest(canary))[..16].to_owned()),
        ("SHA-256", true, hex(&Sha256::digest(canary))[..16].to_owned()),
        ("reference id", true, id.to_string()),
        ("reference id", true, id.simple().to_string()),
    ];
    disguises.extend((0..3).map(|shift| ("base64", false, base64_core(canary, shift))));
    disguises
}

/// The characters of a text's base64 that do not depend on its neighbours, if it begins `shift` bytes into a group.
fn base64_core(text: &str, shift: usize) -> String {
    let mut bytes = vec![0; shift];
    bytes.extend(text.as_bytes());
    let encoded = BASE64.encode(&bytes);
    let first = (shift * 8).div_ceil(6);
    encoded[first..bytes.len() * 8 / 6].to_owned()
}

/// Looks for canaries in bytes.
pub struct Scanner {
    needles: Vec<Needle>,
    heads: HashMap<[u8; HEAD], Vec<usize>>,
    /// Which pairs of bytes a head begins with: the quick check.
    pairs: Vec<bool>,
}

struct Needle {
    text: String,
    folded: bool,
    meaning: String,
}

/// How much of a needle is looked up at once; none is shorter.
const HEAD: usize = 8;

impl Scanner {
    pub fn new(planter: &Planter) -> Self {
        Self::of(planter.secrets.iter().map(|(place, canary)| (place.as_str(), canary.as_str())))
    }

    /// Looks for the locations instead.
    pub fn of_locations(planter: &Planter) -> Self {
        Self::of(planter.locations.iter().map(|location| (location.as_str(), location.as_str())))
    }

    pub fn of<'c>(canaries: impl Iterator<Item = (&'c str, &'c str)>) -> Self {
        let mut scanner = Self { needles: Vec::new(), heads: HashMap::new(), pairs: vec![false; 1 << 16] };
        for (place, canary) in canaries {
            for (form, folded, text) in disguises(canary) {
                scanner.add(Needle { meaning: format!("{form} of `{canary}` from {place}"), folded, text });
            }
        }
        scanner
    }

    /// Also looks for a digest that stands for several canaries.
    pub fn add_digest(&mut self, meaning: &str, digest: &[u8]) {
        self.add(Needle { text: hex(digest)[..16].to_owned(), folded: true, meaning: meaning.to_owned() });
    }

    fn add(&mut self, needle: Needle) {
        let head: [u8; HEAD] = needle.text.as_bytes()[..HEAD].try_into().unwrap();
        self.pairs[pair(&head)] = true;
        self.heads.entry(head).or_default().push(self.needles.len());
        self.needles.push(needle);
    }

    /// What is found, each with a piece of its surroundings.
    pub fn find(&self, haystack: &[u8]) -> Vec<String> {
        let mut found = self.search(haystack, false);
        found.extend(self.search(&haystack.to_ascii_lowercase(), true));
        found
    }

    fn search(&self, haystack: &[u8], folded: bool) -> Vec<String> {
        let mut found = Vec::new();
        for (at, window) in haystack.windows(HEAD).enumerate() {
            if !self.pairs[pair(window)] {
                continue;
            }
            let hits = self.heads.get(window).into_iter().flatten().map(|index| &self.needles[*index]);
            for needle in
                hits.filter(|needle| needle.folded == folded && haystack[at..].starts_with(needle.text.as_bytes()))
            {
                let around = &haystack[at.saturating_sub(60)..haystack.len().min(at + 60)];
                found.push(format!("{}: …{}…", needle.meaning, String::from_utf8_lossy(around)));
            }
        }
        found
    }
}

fn pair(window: &[u8]) -> usize {
    usize::from(window[0]) << 8 | usize::from(window[1])
}

/// Bytes, and everything in them that is compressed, however deep.
pub fn unpacked(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut layers = vec![bytes.to_vec()];
    let starts = bytes.windows(3).enumerate().filter(|(_, window)| *window == [0x1f, 0x8b, 8]);
    for (at, _) in starts {
        let mut plain = Vec::new();
        let whole = MultiGzDecoder::new(&bytes[at..]).read_to_end(&mut plain);
        // What follows the last member is no gzip; what was decompressed before it counts.
        if whole.is_ok() || !plain.is_empty() {
            layers.extend(unpacked(&plain));
        }
    }
    layers
}

/// Writes the installation of canaries out, and returns its files.
pub fn write_installation(planter: &mut Planter, templates: &Path, target: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    crate::support::walk(templates, &mut found);
    found.retain(|path| path.extension().is_some_and(|extension| extension != "md"));
    found.sort();
    let files = found.iter().map(|template| {
        let relative = template.strip_prefix(templates).unwrap();
        let text = std::fs::read_to_string(template).unwrap();
        let path = target.join(place_of(planter, relative));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, planter.fill(&relative.display().to_string(), &text)).unwrap();
        path
    });
    files.collect()
}

/// Folders of seeds and user clusters are named like them; files get canaries in their names.
fn place_of(planter: &mut Planter, template: &Path) -> PathBuf {
    let parts: Vec<_> = template.iter().map(|part| part.to_str().unwrap()).collect();
    let (file, folders) = parts.split_last().unwrap();
    let mut path: PathBuf = match folders {
        [place, name] => [(*place).to_owned(), planter.named(name)].iter().collect(),
        _ => folders.iter().collect(),
    };
    // `version.json` is recognised by its contents; the other names are free.
    path.push(format!("{}-{file}", planter.next("a file name")));
    path
}
