//! Horizontal bars: what each is to the left, how much to the right.

use maud::html;

use super::scale::{Scale, float, text};
use super::{CHARACTER, Drawing, WIDTH, at, width};

/// From one bar to the next.
const STEP: f64 = 30.0;
const THICK: f64 = 18.0;
/// How much of the width labels take at most.
const LABELS: f64 = 0.42;

pub(super) fn draw(labels: &[String], values: &[Option<f64>]) -> Drawing {
    let values: Vec<_> = values.iter().map(|value| value.unwrap_or_default()).collect();
    let scale = Scale::up_to(values.iter().copied().fold(0.0, f64::max));
    let labels: Vec<_> = labels.iter().map(|label| fitting(label)).collect();
    let left = labels.iter().map(|label| width(label)).fold(0.0, f64::max) + 8.0;
    let right = values.iter().map(|value| width(&text(*value))).fold(0.0, f64::max) + 10.0;
    let room = WIDTH - left - right;
    let top = |index: usize| 4.0 + STEP * float(index as u64);
    let shapes = html! {
        @for (index, (label, value)) in labels.iter().zip(&values).enumerate() {
            @let y = top(index);
            @let middle = at(y + THICK / 2.0 + 5.0);
            @let long = scale.share(*value) * room;
            text x=(at(left - 8.0)) y=(middle) text-anchor="end" { (label) }
            rect class="bar series-1" x=(at(left)) y=(at(y)) width=(at(long)) height=(at(THICK)) {}
            text.value x=(at(left + long + 6.0)) y=(middle) { (text(*value)) }
        }
        line.axis x1=(at(left)) x2=(at(left)) y1="0" y2=(at(top(values.len()) - 8.0)) {}
    };
    Drawing { height: top(values.len()).max(STEP), shapes }
}

/// A label that leaves room for its bar; the table has the whole of it.
fn fitting(label: &str) -> String {
    let mut room = WIDTH * LABELS;
    let mut text = String::new();
    for c in label.chars() {
        room -= CHARACTER;
        if room < CHARACTER {
            return text + "…";
        }
        text.push(c);
    }
    text
}
