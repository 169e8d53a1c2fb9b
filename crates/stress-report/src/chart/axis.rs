//! Logarithmic scales: their range, their ticks, and what stands at these.

use std::time::Duration;

use crate::lang::Lang;

/// What a plate shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    /// Bytes per second of a client.
    Throughput,
    /// The time of a client, nanoseconds.
    Time,
    /// Bytes per second of all clients together, in millionths of what this machine can move at all.
    Ceiling,
}

impl Figure {
    pub(super) const ALL: [Self; 3] = [Self::Throughput, Self::Time, Self::Ceiling];

    pub(super) fn name(self, lang: Lang) -> &'static str {
        lang.text(match self {
            Self::Throughput => "chart.throughput_per_client",
            Self::Time => "chart.time_per_client",
            Self::Ceiling => "chart.share_of_ceiling",
        })
    }

    /// A value for a person.
    pub(super) fn text(self, value: u64, lang: Lang) -> String {
        match self {
            Self::Time => lang.time(Duration::from_nanos(value)),
            Self::Throughput => lang.rate(value),
            Self::Ceiling => lang.percent(value as f64 / 1e6),
        }
    }

    /// A value of one digit and zeros, as short as can be.
    fn tick(self, value: f64, lang: Lang) -> String {
        let steps: &[(f64, &str)] = match self {
            Self::Time => &[(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")],
            Self::Throughput => &[(1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1.0, "B/s")],
            Self::Ceiling => &[(1e4, "%"), (1e2, "‱"), (1.0, "ppm")],
        };
        let fits = |step: &&(f64, &str)| value >= step.0 * 0.999;
        let (factor, unit) = steps.iter().find(fits).unwrap_or(&steps[steps.len() - 1]);
        format!("{} {unit}", lang.float(value / factor, 0))
    }
}

/// A logarithmic scale.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    figure: Figure,
}

impl Scale {
    /// A scale with room for all of `values`.
    pub(super) fn around(values: impl Iterator<Item = u64>, figure: Figure) -> Self {
        let (low, high) = values
            .map(|value| (value as f64).max(1.0))
            .fold((f64::INFINITY, 1.0_f64), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        let (mut low, mut high) = (low.min(high) / 1.2, high * 1.2);
        // With less than a factor of five there would be noise from edge to edge, and hardly a tick.
        let missing = (5.0 / (high / low)).max(1.0).sqrt();
        low /= missing;
        high *= missing;
        if figure == Figure::Ceiling {
            high = high.min(1.2e6).max(low * 2.0);
        }
        Self { low, high, figure }
    }

    /// Where `value` is: 0 at the low end, 1 at the high one.
    pub(super) fn place(&self, value: f64) -> f64 {
        let share = (value.max(1e-9) / self.low).ln() / (self.high / self.low).ln();
        share.clamp(0.0, 1.0)
    }

    /// The values with a line across and words beside it.
    pub(super) fn ticks(&self, lang: Lang) -> Vec<(f64, String)> {
        let decades = (self.high / self.low).log10();
        let digits: &[f64] = match decades {
            ..1.6 => &[1.0, 2.0, 5.0],
            1.6..2.6 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let first = self.low.log10().floor() as i32;
        let last = self.high.log10().ceil() as i32;
        let values = (first..=last)
            .flat_map(|power| digits.iter().map(move |digit| digit * 10_f64.powi(power)));
        values
            .filter(|value| (self.low..=self.high).contains(value))
            .map(|value| (value, self.figure.tick(value, lang)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(values: &[u64], figure: Figure) -> Vec<String> {
        let scale = Scale::around(values.iter().copied(), figure);
        let ticks = scale.ticks(Lang::En).into_iter();
        ticks.map(|(_, words)| words).collect()
    }

    #[test]
    fn every_range_has_a_few_ticks_of_round_values() {
        let check = |values: &[u64], figure, want: &[&str]| assert_eq!(words(values, figure), want);
        check(&[4_161_000, 4_161_000], Figure::Time, &["2 ms", "5 ms"]);
        check(
            &[3_700_000, 2_154_000_000],
            Figure::Time,
            &["10 ms", "100 ms", "1 s"],
        );
        check(
            &[50_870_000, 995_000_000],
            Figure::Throughput,
            &["50 MB/s", "100 MB/s", "200 MB/s", "500 MB/s", "1 GB/s"],
        );
        check(
            &[120_000, 900_000],
            Figure::Ceiling,
            &["10 %", "20 %", "50 %", "100 %"],
        );
    }

    #[test]
    fn a_scale_without_values_can_still_be_drawn() {
        let scale = Scale::around(std::iter::empty(), Figure::Time);
        assert!(scale.place(0.0).is_finite());
        assert!(!scale.ticks(Lang::Id).is_empty());
    }
}
