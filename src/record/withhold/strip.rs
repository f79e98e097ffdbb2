//! Leaving members out of a record's canonical bytes, which stay canonical.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::record::canonical::text_of;
use crate::record::canonical::walk::{Elements, Members, Raw, string};

/// Which of the names that were given; by their place among them.
pub(super) type Names = BTreeSet<usize>;

/// What is to be left out of an object or of the rows of an array.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree(BTreeMap<&'static str, Node>);

#[derive(Debug, Clone)]
enum Node {
    /// The member, for these names.
    Gone(Names),
    /// Something in it.
    Within(Tree),
}

/// What is to be left out of a record, beside its members: problems that concern what is withheld.
#[derive(Debug, Clone, Default)]
pub(super) struct Cut {
    pub tree: Tree,
    /// Steps whose problems go as a whole.
    pub steps: BTreeMap<&'static str, Names>,
    /// Steps whose problems don't tell whom they concern; the names that any other step's don't either.
    pub mentions: BTreeMap<&'static str, Names>,
    pub elsewhere: Names,
}

impl Tree {
    /// Leaves a path out; those above it come first.
    pub fn add(&mut self, path: &'static str, name: usize) {
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        match (self.0.get_mut(first), rest) {
            (Some(Node::Gone(names)), None) => {
                names.insert(name);
            }
            (Some(Node::Gone(_)), Some(_)) => {}
            (Some(Node::Within(tree)), Some(rest)) => tree.add(rest, name),
            (_, None) => {
                self.0.insert(first, Node::Gone([name].into()));
            }
            (None, Some(rest)) => {
                let mut tree = Self::default();
                tree.add(rest, name);
                self.0.insert(first, Node::Within(tree));
            }
        }
    }

    fn of(&self, name: Raw<'_>) -> Option<&Node> {
        self.0.get(std::str::from_utf8(name).ok()?)
    }
}

/// Leaves out of the record `text` what `cut` says, and adds to its member `withheld` what `name_of` calls it. Nothing
/// where there is nothing to be left out.
pub(super) fn strip(text: &[u8], cut: &Cut, name_of: impl Fn(usize) -> String) -> Option<Vec<u8>> {
    let mut names = Names::new();
    let problems = Problems::of(text, cut, &mut names);
    let mut members: Vec<(Raw<'_>, Cow<'_, [u8]>)> = Vec::new();
    let mut withheld = BTreeSet::new();
    for member in Members::of_object(text, 0) {
        let value = member.value.clone();
        let bytes = match (member.name, cut.tree.of(member.name)) {
            (b"withheld", _) => {
                withheld.extend(texts(text, value.start));
                continue;
            }
            (_, Some(Node::Gone(by))) => {
                names.extend(by);
                continue;
            }
            (b"problems", _) if problems.changed => Cow::Owned(problems.bytes()),
            (b"complete", _) if problems.none_left => Cow::Borrowed(&b"true"[..]),
            (_, Some(Node::Within(tree))) => {
                let mut out = Vec::with_capacity(value.len());
                self::value(text, value, tree, &mut out, &mut names);
                Cow::Owned(out)
            }
            (_, None) => Cow::Borrowed(&text[value]),
        };
        members.push((member.name, bytes));
    }
    if names.is_empty() {
        return None;
    }
    withheld.extend(names.iter().map(|name| name_of(*name)));
    let list = serde_json::to_vec(&withheld).unwrap_or_default();
    let place = members.partition_point(|(name, _)| *name < &b"withheld"[..]);
    members.insert(place, (b"withheld", Cow::Owned(list)));
    Some(joined(&members))
}

fn joined(members: &[(Raw<'_>, Cow<'_, [u8]>)]) -> Vec<u8> {
    let size = members.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>() + 1;
    let mut bytes = Vec::with_capacity(size);
    for (index, (name, value)) in members.iter().enumerate() {
        bytes.push(if index == 0 { b'{' } else { b',' });
        for part in [b"\"", *name, b"\":", value] {
            bytes.extend_from_slice(part);
        }
    }
    bytes.push(b'}');
    bytes
}

/// The strings of the array at `at`.
pub(super) fn texts(text: &[u8], at: usize) -> impl Iterator<Item = String> {
    let raw = Elements::new(text, at).filter_map(move |element| string(text, element));
    raw.map(|raw| text_of(raw).into_owned())
}

fn value(text: &[u8], at: std::ops::Range<usize>, tree: &Tree, out: &mut Vec<u8>, names: &mut Names) {
    match text.get(at.start) {
        Some(b'{') => object(text, at.start, tree, out, names),
        Some(b'[') => {
            out.push(b'[');
            for (index, element) in Elements::new(text, at.start).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                value(text, element, tree, out, names);
            }
            out.push(b']');
        }
        _ => out.extend_from_slice(&text[at]),
    }
}

fn object(text: &[u8], at: usize, tree: &Tree, out: &mut Vec<u8>, names: &mut Names) {
    out.push(b'{');
    let start = out.len();
    for member in Members::of_object(text, at) {
        let node = tree.of(member.name);
        if let Some(Node::Gone(by)) = node {
            names.extend(by);
            continue;
        }
        if out.len() > start {
            out.push(b',');
        }
        match node {
            Some(Node::Within(tree)) => {
                out.extend_from_slice(&text[member.start..member.value.start]);
                value(text, member.value, tree, out, names);
            }
            _ => out.extend_from_slice(&text[member.start..member.value.end]),
        }
    }
    out.push(b'}');
}

/// The problems that a record still has.
#[derive(Debug, Default)]
struct Problems {
    left: BTreeSet<String>,
    changed: bool,
    none_left: bool,
}

impl Problems {
    fn of(text: &[u8], cut: &Cut, names: &mut Names) -> Self {
        let Some(member) = Members::of_object(text, 0).find(|member| member.name == b"problems") else {
            return Self::default();
        };
        let mut problems = Self::default();
        for element in Elements::new(text, member.value.start) {
            let Ok(mut problem) = serde_json::from_slice::<Map<String, Value>>(&text[element]) else { continue };
            let step = problem.get("step").and_then(Value::as_str).unwrap_or_default();
            if let Some(by) = cut.steps.get(step) {
                names.extend(by);
                problems.changed = true;
                continue;
            }
            let by = cut.mentions.get(step).unwrap_or(&cut.elsewhere);
            if !by.is_empty() && problem.remove("concerns").is_some() {
                names.extend(by);
                problems.changed = true;
            }
            // In the order of canonical bytes, each once, as sets are.
            problems.left.extend(serde_json::to_string(&problem));
        }
        problems.none_left = problems.changed && problems.left.is_empty();
        problems
    }

    fn bytes(&self) -> Vec<u8> {
        let left: Vec<_> = self.left.iter().map(String::as_str).collect();
        format!("[{}]", left.join(",")).into_bytes()
    }
}
