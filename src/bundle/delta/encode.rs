//! Making a delta: a walk over both records at once.

use std::cmp::Ordering;

use super::{compare_keys, compare_raw};
use crate::record::document::{Document, Member, Rows};

/// The canonical bytes of the delta that makes `target` from `base`.
#[must_use]
pub fn encode(base: &Document, target: &Document) -> Vec<u8> {
    let mut parts = Parts::default();
    let (mut old, mut new) = (base.members().iter().peekable(), target.members().iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => compare_raw(base.text(left.name), target.text(right.name)),
        };
        let (left, right) =
            (if order.is_le() { old.next() } else { None }, if order.is_ge() { new.next() } else { None });
        match (left, right) {
            (Some(left), None) => parts.unset.push(base.text(left.name)),
            (None, Some(right)) => parts.set(target, right),
            (Some(left), Some(right)) if base.slice(left.value) != target.slice(right.value) => {
                parts.change((base, left), (target, right));
            }
            _ => {}
        }
    }
    parts.into_bytes()
}

/// The parts of a delta in the making, each a list of ready pieces of JSON text.
#[derive(Default)]
struct Parts<'a> {
    rows: Vec<Vec<u8>>,
    set: Vec<Vec<u8>>,
    unset: Vec<&'a str>,
}

impl Parts<'_> {
    fn set(&mut self, target: &Document, member: &Member) {
        self.set.push(named(target.text(member.name), target.slice(member.value)));
    }

    fn change(&mut self, (base, old): (&Document, &Member), (target, new): (&Document, &Member)) {
        match (&old.rows, &new.rows) {
            (Some(left), Some(right)) if left.field == right.field => {
                self.rows.push(named(target.text(new.name), &row_changes((base, left), (target, right))));
            }
            _ => self.set(target, new),
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        let mut members = Vec::new();
        if !self.rows.is_empty() {
            members.push(named("rows", &wrap(b'{', &self.rows, b'}')));
        }
        if !self.set.is_empty() {
            members.push(named("set", &wrap(b'{', &self.set, b'}')));
        }
        if !self.unset.is_empty() {
            let names: Vec<_> = self.unset.iter().map(|name| format!("\"{name}\"").into_bytes()).collect();
            members.push(named("unset", &wrap(b'[', &names, b']')));
        }
        wrap(b'{', &members, b'}')
    }
}

fn named(name: &str, value: &[u8]) -> Vec<u8> {
    let mut member = format!("\"{name}\":").into_bytes();
    member.extend_from_slice(value);
    member
}

fn wrap(open: u8, pieces: &[impl AsRef<[u8]>], close: u8) -> Vec<u8> {
    let mut text = vec![open];
    for (index, piece) in pieces.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        text.extend_from_slice(piece.as_ref());
    }
    text.push(close);
    text
}

/// `{"delete": [key], "put": [row]}` of two keyed arrays.
fn row_changes((base, left): (&Document, &Rows), (target, right): (&Document, &Rows)) -> Vec<u8> {
    let (mut put, mut delete) = (Vec::new(), Vec::new());
    let (mut old, mut new) = (left.rows.iter().peekable(), right.rows.iter().peekable());
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => break,
            (Some(gone), None) => {
                delete.push(quoted(base.text(gone.key())));
                old.next();
            }
            (None, Some(row)) => {
                put.push(target.slice(row.value()));
                new.next();
            }
            (Some(before), Some(row)) => match compare_keys(base.text(before.key()), target.text(row.key())) {
                Ordering::Less => {
                    delete.push(quoted(base.text(before.key())));
                    old.next();
                }
                Ordering::Greater => {
                    put.push(target.slice(row.value()));
                    new.next();
                }
                Ordering::Equal => {
                    if base.slice(before.value()) != target.slice(row.value()) {
                        put.push(target.slice(row.value()));
                    }
                    old.next();
                    new.next();
                }
            },
        }
    }
    let mut members = Vec::new();
    if !delete.is_empty() {
        members.push(named("delete", &wrap(b'[', &delete, b']')));
    }
    if !put.is_empty() {
        members.push(named("put", &wrap(b'[', &put, b']')));
    }
    wrap(b'{', &members, b'}')
}

fn quoted(raw: &str) -> Vec<u8> {
    format!("\"{raw}\"").into_bytes()
}
