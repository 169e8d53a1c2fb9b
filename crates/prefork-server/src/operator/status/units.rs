//! Times and sizes with a unit that keeps them short.

pub(super) fn seconds(micros: u64) -> String {
    format!(
        "{}.{:02} s",
        micros / 1_000_000,
        micros % 1_000_000 / 10_000
    )
}

/// With a unit that keeps it short.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (u128::from(bytes) * 10 / 1024, 0);
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_stay_short() {
        let check = |size: u64, want: &str| assert_eq!(bytes(size), want);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1.0 KiB");
        check(1_572_864, "1.5 MiB");
        check(u64::MAX, "16383.9 PiB");
    }
}
