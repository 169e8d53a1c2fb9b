//! Whole numbers as values of flags, with an error that says what one looks like.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Reads a whole number in `range`; for clap's `value_parser`.
pub fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Clone,
{
    move |text| match text.parse::<T>() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(wanted(&range)),
    }
}

/// Nobody wants to read the last number that a machine's word holds.
const END_SHOWN_LEN_MAX: usize = 9;

fn wanted<T: Display>(range: &RangeInclusive<T>) -> String {
    let (start, end) = (range.start().to_string(), range.end().to_string());
    match (end.len() <= END_SHOWN_LEN_MAX, start.as_str()) {
        (true, _) => format!("write a whole number from {start} to {end}"),
        (false, "0" | "1") => format!("write a whole number, {start} or more, such as 5"),
        (false, _) => format!("write a whole number, {start} or more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_told_what_one_looks_like() {
        let check = |text: &str, want: Result<u32, &str>| {
            assert_eq!(whole(1..=50)(text), want.map_err(str::to_owned), "{text}");
        };
        check("1", Ok(1));
        check("50", Ok(50));
        for text in [
            "fuor",
            "",
            "0",
            "51",
            "-1",
            "1.5",
            "99999999999999999999",
            "5 ",
        ] {
            check(text, Err("write a whole number from 1 to 50"));
        }
        assert_eq!(whole(0..=u64::MAX)("7"), Ok(7));
        let said = whole(0..=u64::MAX)("x").unwrap_err();
        assert_eq!(said, "write a whole number, 0 or more, such as 5");
    }
}
