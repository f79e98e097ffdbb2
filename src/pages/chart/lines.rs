//! Lines over time: a drawing of several, and the legend that tells them apart.

use maud::{Markup, html};

use super::scale::{Scale, float, text};
use super::{Drawing, Series, WIDTH, at, width};

const HEIGHT: f64 = 240.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 34.0;
const RIGHT: f64 = 14.0;
/// How many labels there are below the axis at most.
const MOST_LABELS: usize = 4;
/// A line with more points than these has marks at some of them.
const MOST_MARKS: usize = 12;

/// Where things are.
struct Frame<'a> {
    left: f64,
    scale: Scale,
    labels: &'a [String],
    places: Option<&'a [f64]>,
}

pub(super) fn draw(labels: &[String], places: Option<&[f64]>, series: &[Series]) -> Drawing {
    let largest = series.iter().flat_map(|it| &it.values).flatten().copied().fold(0.0, f64::max);
    let scale = Scale::up_to(largest);
    let left = scale.ticks().map(|tick| width(&text(tick))).fold(0.0, f64::max) + 10.0;
    let frame = Frame { left, scale, labels, places };
    let shapes = html! {
        (frame.values())
        (frame.times())
        @for (index, line) in series.iter().enumerate() { (frame.line(index + 1, line)) }
    };
    Drawing { height: HEIGHT, shapes }
}

impl Frame<'_> {
    fn x(&self, index: usize) -> f64 {
        let share = match self.places {
            Some([first, .., last]) if last > first => {
                (self.places.map_or(*first, |it| it[index]) - first) / (last - first)
            }
            _ if self.labels.len() > 1 => float(index as u64) / float(self.labels.len() as u64 - 1),
            _ => 0.5,
        };
        // The first and the last stand a little inside, so that their marks are whole.
        self.left + 6.0 + share * (WIDTH - RIGHT - self.left - 12.0)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.scale.share(value) * (HEIGHT - BOTTOM - TOP)
    }

    fn values(&self) -> Markup {
        html! {
            @for tick in self.scale.ticks() {
                @let y = self.y(tick);
                line class=(if tick == 0.0 { "axis" } else { "grid" }) x1=(at(self.left)) x2=(at(WIDTH - RIGHT)) y1=(at(y)) y2=(at(y)) {}
                text x=(at(self.left - 6.0)) y=(at(y + 5.0)) text-anchor="end" { (text(tick)) }
            }
        }
    }

    /// The first label, the last, and some between them that are not in each other's way.
    fn times(&self) -> Markup {
        let mut shown: Vec<(usize, &str)> = Vec::new();
        let last = self.labels.len().saturating_sub(1);
        let wide = self.labels.iter().map(|it| width(it)).fold(0.0, f64::max);
        for index in 1..last {
            let is_free = |other: usize| (self.x(index) - self.x(other)).abs() > wide;
            let is_wanted = shown.len() + 2 < MOST_LABELS && self.is_near_a_share(index);
            // The outer ones stand inside of the axis' ends.
            let is_inside = self.x(index) - self.x(0) > 1.5 * wide && self.x(last) - self.x(index) > 1.5 * wide;
            if is_wanted && is_inside && shown.iter().all(|(other, _)| is_free(*other)) {
                shown.push((index, "middle"));
            }
        }
        let outer = if last == 0 { vec![(0, "middle")] } else { vec![(0, "start"), (last, "end")] };
        let outer = outer.into_iter().filter(|(index, _)| *index < self.labels.len());
        let y = at(HEIGHT - 10.0);
        html! {
            @for (index, anchor) in outer {
                text x=(at(self.x(index))) y=(y) text-anchor=(anchor) { (self.labels[index]) }
            }
            @for (index, anchor) in shown {
                text.between x=(at(self.x(index))) y=(y) text-anchor=(anchor) { (self.labels[index]) }
            }
        }
    }

    /// Whether no other label is nearer to one of the even shares of the axis.
    fn is_near_a_share(&self, index: usize) -> bool {
        let (first, last) = (self.x(0), self.x(self.labels.len() - 1));
        (1..MOST_LABELS - 1).any(|part| {
            let wanted = first + (last - first) * float(part as u64) / float(MOST_LABELS as u64 - 1);
            let distance = |index: usize| (self.x(index) - wanted).abs();
            distance(index) <= distance(index - 1) && distance(index) <= distance(index + 1)
        })
    }

    fn line(&self, kind: usize, line: &Series) -> Markup {
        let every = line.values.len().div_ceil(MOST_MARKS).max(1);
        let points = |run: &[Option<f64>], start: usize| -> Vec<String> {
            let values = run.iter().flatten().enumerate();
            values.map(|(index, value)| format!("{},{}", at(self.x(start + index)), at(self.y(*value)))).collect()
        };
        let marks = line.values.iter().enumerate().filter_map(|(index, value)| value.map(|value| (index, value)));
        let is_last = |index: usize| index + 1 == line.values.len();
        let marks = marks.filter(|(index, _)| {
            let is_alone =
                |other: Option<usize>| other.is_none_or(|it| line.values.get(it).is_none_or(Option::is_none));
            index % every == 0 || is_last(*index) || is_alone(index.checked_sub(1)) && is_alone(index.checked_add(1))
        });
        let mut start = 0;
        let runs = line.values.split(Option::is_none).map(|run| {
            let points = points(run, start);
            start += run.len() + 1;
            points
        });
        let runs: Vec<_> = runs.filter(|points| points.len() > 1).collect();
        html! {
            g class={ "series-" (kind) } {
                @for points in runs { polyline class={ "line dash-" (kind) } points=(points.join(" ")) {} }
                @for (index, value) in marks { (mark(kind, self.x(index), self.y(value))) }
            }
        }
    }
}

/// What the points of a line are marked with.
fn mark(kind: usize, x: f64, y: f64) -> Markup {
    // Corners as seen from the middle.
    let corners: &[(f64, f64)] = match kind {
        2 => &[(-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)],
        3 => &[(0.0, -4.5), (4.5, 3.5), (-4.5, 3.5)],
        4 => &[(0.0, -5.0), (5.0, 0.0), (0.0, 5.0), (-5.0, 0.0)],
        5 => &[(-4.5, -3.5), (4.5, -3.5), (0.0, 4.5)],
        6 => &[(-5.0, -2.0), (5.0, -2.0), (5.0, 2.0), (-5.0, 2.0)],
        _ => &[],
    };
    let corners: Vec<_> = corners.iter().map(|(dx, dy)| format!("{},{}", at(x + dx), at(y + dy))).collect();
    html! {
        @if corners.is_empty() {
            circle.mark cx=(at(x)) cy=(at(y)) r="3.5" {}
        } @else {
            polygon.mark points=(corners.join(" ")) {}
        }
    }
}

/// What each line is, beside a piece of it.
pub(super) fn legend(series: &[Series]) -> Markup {
    html! {
        ul.legend {
            @for (index, line) in series.iter().enumerate() {
                @let kind = index + 1;
                li {
                    svg viewBox="0 0 48 16" aria-hidden="true" {
                        g class={ "series-" (kind) } {
                            polyline class={ "line dash-" (kind) } points="1,8 47,8" {}
                            (mark(kind, 24.0, 8.0))
                        }
                    }
                    span { (line.name) }
                }
            }
        }
    }
}
