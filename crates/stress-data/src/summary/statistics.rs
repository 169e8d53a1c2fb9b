//! Medians and spread, in whole numbers: nanoseconds and bytes per second need no fractions.

/// The middle of some values and how far they lie from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// The median.
    pub median: u64,
    /// The least value.
    pub min: u64,
    /// The greatest value.
    pub max: u64,
    /// The median absolute deviation from the median; none for a single value, which has no spread.
    pub mad: Option<u64>,
}

impl Spread {
    /// The deviation as a share of the median.
    #[must_use]
    pub fn mad_share(&self) -> Option<f64> {
        Some(self.mad? as f64 / self.median.max(1) as f64)
    }

    /// The spread of `values`; none if there are none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = u64>) -> Option<Self> {
        let values: Vec<u64> = values.into_iter().collect();
        let middle = median(values.iter().copied())?;
        let deviations = values.iter().map(|value| value.abs_diff(middle));
        Some(Self {
            median: middle,
            min: values.iter().copied().min()?,
            max: values.iter().copied().max()?,
            mad: if values.len() > 1 {
                median(deviations)
            } else {
                None
            },
        })
    }
}

/// The middle value, or the mean of the two middle ones (rounded down).
#[must_use]
pub fn median(values: impl IntoIterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.into_iter().collect();
    values.sort_unstable();
    let above = *values.get(values.len() / 2)?;
    let below = values[(values.len() - 1) / 2];
    Some(u64::midpoint(below, above))
}

/// The value that so many of 100 do not exceed (nearest rank); none of values so few that all of them would be needed.
pub(crate) fn percentile(of_100: usize, values: impl IntoIterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.into_iter().collect();
    values.sort_unstable();
    let rank = (values.len() * of_100).div_ceil(100);
    match values.len() * (100 - of_100) {
        0..100 => None,
        _ => values.get(rank - 1).copied(),
    }
}

/// The mean, rounded to the nearest whole number.
pub(crate) fn mean(values: impl IntoIterator<Item = u64>) -> Option<u64> {
    let (mut sum, mut count) = (0_u128, 0_u128);
    for value in values {
        sum += u128::from(value);
        count += 1;
    }
    // A mean is never above the greatest value, so it fits.
    (sum + count / 2)
        .checked_div(count)
        .and_then(|mean| u64::try_from(mean).ok())
}

/// Bytes per second, rounded to the nearest; none for no time.
#[must_use]
pub fn rate(bytes: u64, time_ns: u64) -> Option<u64> {
    let scaled = u128::from(bytes) * 1_000_000_000 + u128::from(time_ns / 2);
    scaled
        .checked_div(u128::from(time_ns))
        .and_then(|rate| u64::try_from(rate).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn medians_and_means_of_known_values() {
        assert_eq!(median([]), None);
        assert_eq!(median([7]), Some(7));
        assert_eq!(median([9, 1, 5]), Some(5));
        assert_eq!(median([9, 1, 5, 6]), Some(5));
        assert_eq!(median([u64::MAX, u64::MAX]), Some(u64::MAX));
        assert_eq!(mean([]), None);
        assert_eq!(mean([1, 2]), Some(2));
        assert_eq!(mean([u64::MAX, u64::MAX]), Some(u64::MAX));
    }

    #[test]
    fn a_percentile_needs_as_many_values_as_it_has_parts() {
        assert_eq!(percentile(99, 0..99), None);
        assert_eq!(percentile(99, 1..=100), Some(99));
        assert_eq!(percentile(99, (1..=101).rev()), Some(100));
        assert_eq!(percentile(99, 1..=500), Some(495));
        assert_eq!(percentile(90, 0..9), None);
        assert_eq!(percentile(90, 1..=10), Some(9));
        assert_eq!(percentile(90, 1..=25), Some(23));
    }

    #[test]
    fn a_single_value_has_no_deviation() {
        let spread = Spread {
            median: 4,
            min: 4,
            max: 4,
            mad: None,
        };
        assert_eq!(Spread::of([4]), Some(spread));
        assert_eq!(Spread::of([]), None);
        // Deviations from 5 are 4, 0, 4: an outlier of 1,000 would change nothing.
        let spread = Spread {
            median: 5,
            min: 1,
            max: 9,
            mad: Some(4),
        };
        assert_eq!(Spread::of([9, 1, 5]), Some(spread));
    }

    #[test]
    fn rates_are_per_second_and_rounded() {
        assert_eq!(rate(1, 0), None);
        assert_eq!(rate(0, 5), Some(0));
        assert_eq!(rate(100, 1_000_000_000), Some(100));
        assert_eq!(rate(2, 3_000_000_000), Some(1));
        // 100 TiB in a second: the product does not fit 64 bits.
        assert_eq!(rate(100 << 40, 1_000_000_000), Some(100 << 40));
    }

    proptest! {
        #[test]
        fn middles_lie_between_the_extremes(values in proptest::collection::vec(any::<u64>(), 1..9)) {
            let spread = Spread::of(values.clone()).unwrap();
            let mean = mean(values).unwrap();
            prop_assert!(spread.min <= spread.median && spread.median <= spread.max);
            prop_assert!(spread.min <= mean && mean <= spread.max);
        }
    }
}
