//! Counts with their nouns.

/// `number` of the things that `noun` names one of: `1 file`, `1,600 files`.
pub fn counted(number: u64, noun: &str) -> String {
    counted_as(number, noun, &format!("{noun}s"))
}

/// The same for a noun with a plural of its own: `1 process`, `5 processes`.
pub fn counted_as(number: u64, one: &str, many: &str) -> String {
    let noun = if number == 1 { one } else { many };
    format!("{} {noun}", with_commas(number))
}

/// `number` with a comma after every third digit from the right.
pub fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_one_and_large_numbers_are_grouped() {
        assert_eq!(with_commas(0), "0");
        assert_eq!(with_commas(999), "999");
        assert_eq!(with_commas(1_000), "1,000");
        assert_eq!(with_commas(52_428_800), "52,428,800");
        assert_eq!(counted(1, "file"), "1 file");
        assert_eq!(counted(0, "file"), "0 files");
        assert_eq!(counted(1_600, "file"), "1,600 files");
        assert_eq!(counted_as(1, "crash", "crashes"), "1 crash");
        assert_eq!(counted_as(2, "crash", "crashes"), "2 crashes");
    }
}
