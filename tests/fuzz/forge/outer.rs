//! Containers made by a script, without regard for what is in them.
//!
//! | step | does |
//! |---|---|
//! | `n` NAME TEXT | adds a file |
//! | `/` NAME | adds a directory |
//! | `x` I, `d` I, `s` I J | drops, doubles, swaps entries |
//! | `h` I FIELD TEXT, `H` | writes over a field of a header; `H` leaves the checksum as it was |
//! | `p` I | padding that is not zero |
//! | `z` N, `t` TEXT | so many zero blocks at the end, and TEXT behind them |
//! | `b` PLACE X | flips bits of the whole |

use crate::script::{alter_headers, alter_list, of, steps};
use crate::tar::{self, Entry};

/// Makes the container that a script describes.
#[must_use]
pub fn forge(script: &[u8]) -> Vec<u8> {
    let steps = steps(script);
    let mut entries = Vec::new();
    for mut step in of(&steps, b"n/") {
        let name = step.operands.word();
        entries.push(match step.letter {
            b'n' => Entry::new(&name, &contents(&name, step.operands.rest())),
            _ => Entry::directory(&name),
        });
    }
    alter_list(&mut entries, &steps, b"xds");
    alter_headers(&mut entries, &steps, b"hHp");
    let end = of(&steps, b"z").last().map_or(2, |mut step| step.operands.number() % 64);
    let mut file = tar::write(&entries, end);
    for step in of(&steps, b"t") {
        file.extend(step.operands.rest());
    }
    for mut step in of(&steps, b"b") {
        let place = step.operands.place(file.len());
        if let Some(byte) = file.get_mut(place) {
            *byte ^= step.operands.flip();
        }
    }
    file
}

/// Signature files have one length, which nobody should have to find.
fn contents(name: &str, text: &[u8]) -> Vec<u8> {
    let mut contents = text.to_vec();
    if name.as_bytes().ends_with(b".sig") && text.is_empty() {
        contents.resize(89, b'=');
    }
    contents
}
