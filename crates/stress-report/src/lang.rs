//! The languages of a report, and how each writes numbers, times, rates and dates.

use std::fmt::Display;
use std::ops::Range;
use std::time::Duration;

use stress_data::size::with_commas;
use stress_data::summary::csv::format_seconds;

use super::texts::{self, Texts, Values, say};

stress_data::words! {
    /// The language of a whole report; its word is the code that HTML has for it.
    #[derive(Default)]
    pub enum Lang {
        /// English.
        #[default]
        En = "en",
        /// Indonesian.
        Id = "id",
    }
}

impl Lang {
    /// The text of `key`, which has no placeholder.
    pub(crate) fn text(self, key: &str) -> &'static str {
        self.texts().text(key)
    }

    /// What `say!` says.
    pub(crate) fn say(self, key: &str, values: &Values<'_>) -> String {
        texts::filled(self.text(key), values)
    }

    /// What `count!` says: with `{number}` in the form for so many.
    pub(crate) fn count(self, key: &str, number: impl Into<u64>, values: &Values<'_>) -> String {
        let number = number.into();
        let text = self.texts().text_of(key, number);
        texts::filled(
            text,
            &[&[("number", &self.int(number) as &dyn Display)], values].concat(),
        )
    }

    fn texts(self) -> &'static Texts {
        match self {
            Self::En => &texts::EN,
            Self::Id => &texts::ID,
        }
    }

    /// What stands before the decimals of a number.
    pub(crate) const fn point(self) -> &'static str {
        match self {
            Self::En => ".",
            Self::Id => ",",
        }
    }

    /// A whole number in groups of three digits: `1,234` or `1.234`.
    pub(crate) fn int(self, number: impl Into<u64>) -> String {
        let text = with_commas(number.into());
        match self {
            Self::En => text,
            Self::Id => text.replace(',', "."),
        }
    }

    /// Workers of a pool, whose `sizes` may be several.
    pub(crate) fn workers(self, sizes: &str) -> String {
        match sizes {
            "1" => say!(self, "lang.worker", sizes),
            _ => say!(self, "lang.workers", sizes),
        }
    }

    /// A number written with a point and no groups, as this language writes it.
    pub(crate) fn decimal(self, plain: &str) -> String {
        let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
        let whole = whole
            .parse::<u64>()
            .map_or_else(|_| whole.to_owned(), |whole| self.int(whole));
        match fraction {
            "" => whole,
            fraction => format!("{whole}{}{fraction}", self.point()),
        }
    }

    /// `value`, which is not negative, with so many decimals.
    pub(crate) fn float(self, value: f64, decimals: usize) -> String {
        self.decimal(&format!("{value:.decimals$}"))
    }

    /// A ratio with three digits or so: `31.2`, `0.61`.
    pub(crate) fn ratio(self, value: f64) -> String {
        match value {
            ..10.0 => self.float(value, 2),
            10.0..100.0 => self.float(value, 1),
            _ => self.float(value, 0),
        }
    }

    /// A share of one as a percentage.
    pub(crate) fn percent(self, share: f64) -> String {
        let percent = share * 100.0;
        // Near the whole a tenth says whether it is all of it.
        let decimals =
            usize::from((0.01..9.95).contains(&percent) || (99.45..99.95).contains(&percent));
        unit(&self.float(percent, decimals), "%")
    }

    /// Seconds with so many decimals, without the unit.
    pub(crate) fn seconds(self, time: Duration, decimals: u32) -> String {
        self.decimal(&format_seconds(time, decimals))
    }

    /// A time for a sentence: `412 µs`, `4.16 ms`, `2.15 s`, `3 min 20 s`.
    pub(crate) fn time(self, time: Duration) -> String {
        let seconds = time.as_secs_f64();
        let in_unit = |value: f64, name: &str| {
            let decimals = match value {
                ..10.0 => 2,
                10.0..100.0 => 1,
                _ => 0,
            };
            unit(&self.float(value, decimals), name)
        };
        match seconds {
            ..0.000_999_5 => in_unit(seconds * 1e6, "µs"),
            ..0.999_5 => in_unit(seconds * 1e3, "ms"),
            ..119.5 => in_unit(seconds, "s"),
            _ => {
                let whole = (seconds + 0.5) as u64;
                let (minutes, rest) = (whole / 60, whole % 60);
                let (min, s) = (self.text("lang.minutes"), self.text("lang.seconds"));
                format!(
                    "{} {}",
                    unit(&self.int(minutes), min),
                    unit(&self.int(rest), s)
                )
            }
        }
    }

    /// A time that was set, exactly, in the largest unit that it is a whole number of: `10 s`, `5 min`.
    pub(crate) fn set_time(self, time: Duration) -> String {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let units = [
            (3_600_000, self.text("lang.hours")),
            (60_000, self.text("lang.minutes")),
            (1_000, self.text("lang.seconds")),
            (1, "ms"),
        ];
        let fits = |(factor, _): &&(u64, &str)| ms.is_multiple_of(*factor) && ms > 0;
        let (factor, name) = units.iter().find(fits).unwrap_or(&units[2]);
        unit(&self.int(ms / factor), name)
    }

    /// A number of bytes in units of 1,000: `56.4 GB`.
    pub(crate) fn bytes(self, bytes: u64) -> String {
        let text = stress_data::size::approximate(bytes);
        let (number, name) = text.split_once(' ').unwrap_or((&text, ""));
        let name = match name {
            "bytes" => self.text("lang.bytes"),
            name => name,
        };
        unit(&self.decimal(&number.replace(',', "")), name)
    }

    /// A rate in MB/s, millions of bytes a second.
    pub(crate) fn rate(self, bytes_per_s: u64) -> String {
        unit(&self.megabytes(bytes_per_s), "MB/s")
    }

    /// The same without its unit.
    pub(crate) fn megabytes(self, bytes: u64) -> String {
        self.decimal(&stress_data::size::rate_text(bytes).replace(',', ""))
    }

    /// The day and time of an RFC 3339 time stamp, in UTC; the text itself if it is none.
    pub(crate) fn date(self, rfc_3339: &str) -> String {
        let Ok(at) = humantime::parse_rfc3339(rfc_3339) else {
            return rfc_3339.to_owned();
        };
        // Always `YYYY-MM-DDThh:mm:ssZ` again, and never a year before 1970.
        let at = humantime::format_rfc3339_seconds(at).to_string();
        let number = |digits: Range<usize>| at[digits].parse().unwrap_or(0);
        let (year, month, day): (usize, usize, usize) = (number(0..4), number(5..7), number(8..10));
        let mut months = self.text("lang.months").split(", ");
        let month = months.nth(month.saturating_sub(1) % 12).unwrap_or_default();
        let hour = &at[11..13];
        let minute = &at[14..16];
        say!(self, "lang.date", day, month, year, hour, minute)
    }

    /// `a, b and c`.
    #[must_use]
    pub fn list(self, items: &[String]) -> String {
        match items {
            [] => String::new(),
            [one] => one.clone(),
            [all @ .., last] => {
                format!("{} {} {last}", all.join(", "), self.text("lang.and"))
            }
        }
    }
}

/// A number and its unit, which no line may part.
fn unit(number: &str, unit: &str) -> String {
    format!("{number}\u{a0}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_writes_numbers_its_way() {
        let check = |write: fn(Lang) -> String, en: &str, id: &str| {
            assert_eq!(write(Lang::En).replace('\u{a0}', " "), en);
            assert_eq!(write(Lang::Id).replace('\u{a0}', " "), id);
        };
        check(|lang| lang.int(52_428_800_u64), "52,428,800", "52.428.800");
        check(|lang| lang.float(1234.5, 1), "1,234.5", "1.234,5");
        check(|lang| lang.ratio(31.24), "31.2", "31,2");
        check(|lang| lang.ratio(0.614), "0.61", "0,61");
        check(|lang| lang.percent(0.0213), "2.1 %", "2,1 %");
        check(|lang| lang.percent(0.48), "48 %", "48 %");
        check(|lang| lang.percent(0.996), "99.6 %", "99,6 %");
        check(|lang| lang.percent(1.0), "100 %", "100 %");
        check(|lang| lang.bytes(56_403_951_616), "56.4 GB", "56,4 GB");
        check(|lang| lang.bytes(999), "999 bytes", "999 byte");
        check(|lang| lang.rate(2_798_657_276), "2,799 MB/s", "2.799 MB/s");
        check(|lang| lang.rate(75_060_000), "75.06 MB/s", "75,06 MB/s");
        let date = "2026-11-24T06:30:08Z";
        assert_eq!(Lang::En.date(date), "24 November 2026, at 06:30 UTC");
        assert_eq!(Lang::Id.date(date), "24 November 2026, pukul 06.30 UTC");
        assert_eq!(Lang::Id.date("yesterday"), "yesterday");
    }

    #[test]
    fn times_are_in_the_unit_that_fits() {
        let check = |time: Duration, en: &str, id: &str| {
            assert_eq!(Lang::En.time(time).replace('\u{a0}', " "), en);
            assert_eq!(Lang::Id.time(time).replace('\u{a0}', " "), id);
        };
        check(Duration::from_nanos(412_300), "412 µs", "412 µs");
        check(Duration::from_micros(4_161), "4.16 ms", "4,16 ms");
        check(Duration::from_millis(112), "112 ms", "112 ms");
        check(Duration::from_millis(2_154), "2.15 s", "2,15 s");
        check(Duration::from_millis(39_700), "39.7 s", "39,7 s");
        check(Duration::from_secs(200), "3 min 20 s", "3 menit 20 detik");
        let set = |ms| {
            Lang::Id
                .set_time(Duration::from_millis(ms))
                .replace('\u{a0}', " ")
        };
        assert_eq!(
            [0, 10_000, 1_500, 300_000, 3_600_000].map(set),
            ["0 detik", "10 detik", "1.500 ms", "5 menit", "1 jam"]
        );
    }

    #[test]
    fn lists_end_with_the_word_for_and() {
        let items = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(Lang::En.list(&items), "a, b and c");
        assert_eq!(Lang::Id.list(&items), "a, b dan c");
        assert_eq!(Lang::En.list(&items[..1]), "a");
        assert_eq!(Lang::En.list(&[]), "");
    }
}
