//! Lists in pages: continue tokens that pin the state of the cluster in which a list began.

use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use super::access::Attributes;
use super::objects::{List, Objects, Resource};

/// A cluster in time.
#[derive(Debug)]
pub struct Cluster {
    objects: Objects,
    /// What `metadata.resourceVersion` says of lists.
    pub revision: i64,
    /// Lists as they were when somebody began to read them.
    snapshots: BTreeMap<(i64, String), List>,
}

/// What a client asks of a list.
#[derive(Debug, Default)]
pub struct Wanted {
    pub limit: usize,
    pub token: Option<String>,
    pub resource_version: Option<String>,
}

/// A part of a list, perhaps all of it.
#[derive(Debug)]
pub struct Page {
    pub list: List,
    pub range: Range<usize>,
    pub revision: i64,
    pub token: Option<String>,
    pub remaining: Option<usize>,
}

/// Why there is no page.
#[derive(Debug)]
pub enum NoPage {
    /// The token is none of this server, or may not be used like this.
    Bad(&'static str),
    /// The server forgot the snapshot; the rest can be read as it is now with this token.
    Expired(String),
}

/// Tokens with this revision go on in the state of today.
const LATEST: i64 = -1;

impl Cluster {
    pub fn new(objects: Objects) -> Self {
        Self { objects, revision: 271_828, snapshots: BTreeMap::new() }
    }

    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    pub fn change<R>(&mut self, change: impl FnOnce(&mut Objects) -> R) -> R {
        self.revision += 1;
        change(&mut self.objects)
    }

    /// Forgets every earlier state, as a compaction of etcd does: tokens that were given out are too old now.
    pub fn compact(&mut self) {
        self.revision += 1;
        self.snapshots.clear();
    }

    pub fn page(&mut self, resource: &Resource, asked: &Attributes, wanted: &Wanted) -> Result<Page, NoPage> {
        let (revision, start) = match &wanted.token {
            None => (LATEST, String::new()),
            Some(_) if wanted.resource_version.as_deref().is_some_and(|version| version != "0") => {
                return Err(NoPage::Bad("specifying resource version is not allowed when using continue"));
            }
            Some(token) => parse(token).ok_or(NoPage::Bad("invalid continue token: continue key is not valid"))?,
        };
        let whole = if revision == LATEST {
            self.objects.list(resource)
        } else {
            let known = self.snapshots.get(&(revision, resource.title())).cloned();
            known.ok_or_else(|| NoPage::Expired(token(LATEST, &start)))?
        };
        let revision = if revision == LATEST { self.revision } else { revision };
        self.snapshots.entry((revision, resource.title())).or_insert_with(|| whole.clone());
        let list = asked.namespace.as_deref().map_or_else(|| whole.clone(), |namespace| whole.within(namespace));
        let first = list.first_from(&start);
        // Version 0 is answered from the watch cache, which knows no pages.
        let all = wanted.limit == 0 || wanted.resource_version.as_deref() == Some("0");
        let end = if all { list.len() } else { list.len().min(first + wanted.limit) };
        let rest = list.len() - end;
        let token = (rest > 0).then(|| token(revision, &format!("{}\0", list.key(end - 1))));
        Ok(Page { list, range: first..end, revision, token, remaining: (rest > 0).then_some(rest) })
    }
}

fn token(revision: i64, start: &str) -> String {
    BASE64.encode(json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start}).to_string())
}

fn parse(token: &str) -> Option<(i64, String)> {
    let token: Value = serde_json::from_slice(&BASE64.decode(token).ok()?).ok()?;
    Some((token["rv"].as_i64()?, token["start"].as_str()?.to_owned()))
}

/// The token that goes on behind the one of a request in the state of today, as an answer 410 offers it.
pub fn inconsistent(expired: &str) -> String {
    let (_, start) = parse(expired).unwrap_or_default();
    token(LATEST, &start)
}
