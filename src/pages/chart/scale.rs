//! Numbers on an axis: where it ends, where its ticks are, and how they are spelled.

use crate::pages::number;

/// How many steps an axis has at most.
const MOST_STEPS: f64 = 5.0;

/// An axis from zero up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale {
    /// Its end, at or beyond the largest value.
    pub top: f64,
    step: f64,
}

impl Scale {
    /// An axis for values up to `largest`: steps are one, two or five of a power of ten.
    pub fn up_to(largest: f64) -> Self {
        // Counts are whole, and a chart of nothing has an axis as well.
        let rough = (largest / MOST_STEPS).max(if largest < 1.0 && largest > 0.0 { 0.0 } else { 1.0 });
        let power = 10_f64.powf(rough.log10().floor());
        let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= rough * 0.999_999);
        let step = factor.unwrap_or(10.0) * power;
        Self { top: (largest / step).ceil().max(1.0) * step, step }
    }

    /// The ticks, from zero to the end.
    pub fn ticks(self) -> impl Iterator<Item = f64> {
        let count = (self.top / self.step).round();
        std::iter::successors(Some(0.0), |tick| Some(tick + 1.0))
            .take_while(move |tick| *tick <= count)
            .map(move |tick| tick * self.step)
    }

    /// How much of the axis a value takes, from 0 to 1.
    pub fn share(self, value: f64) -> f64 {
        value / self.top
    }
}

/// A count as a coordinate; beyond 2^53 it is not exact, where nobody counts.
#[expect(clippy::cast_precision_loss, reason = "a drawing is coarser")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// A value for people: whole, or with at most two digits behind the point.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole, not negative, and bounded")]
pub(super) fn text(value: f64) -> String {
    if value.fract() == 0.0 && value < 9.0e15 {
        return number(value as u64);
    }
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few_and_reach_the_largest() {
        for (largest, expected) in [
            (0.0, "0 1"),
            (1.0, "0 1"),
            (3.0, "0 1 2 3"),
            (7.0, "0 2 4 6 8"),
            (10.0, "0 2 4 6 8 10"),
            (11.0, "0 5 10 15"),
            (99.0, "0 20 40 60 80 100"),
            (1234.0, "0 500 1,000 1,500"),
            (0.5, "0 0.1 0.2 0.3 0.4 0.5"),
        ] {
            let ticks: Vec<_> = Scale::up_to(largest).ticks().map(text).collect();
            assert_eq!(ticks.join(" "), expected, "{largest}");
        }
        for largest in (0..2000).map(|it| f64::from(it) * 37.7) {
            let scale = Scale::up_to(largest);
            assert!(scale.top >= largest && scale.ticks().count() <= 6, "{largest}: {scale:?}");
        }
    }

    #[test]
    fn values_are_spelled_for_people() {
        assert_eq!([0.0, 0.25, 1.5, 1e6, 33.333].map(text), ["0", "0.25", "1.5", "1,000,000", "33.33"]);
    }
}
