//! The Prometheus text format 0.0.4, read as strictly as its specification is written.

use std::collections::BTreeMap;

/// What was exposed: samples by name and labels.
#[derive(Debug)]
pub(crate) struct Exposition {
    samples: BTreeMap<(String, Labels), f64>,
}

type Labels = BTreeMap<String, String>;

impl Exposition {
    /// Reads a whole exposition: for each metric HELP, then TYPE, then its samples, together and once.
    pub(crate) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends, too");
        let mut samples = BTreeMap::new();
        let mut families = Vec::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let (name, help) = line
                .strip_prefix("# HELP ")
                .and_then(|rest| rest.split_once(' '))
                .unwrap_or_else(|| panic!("HELP comes first: {line}"));
            assert!(is_name(name) && name.starts_with("prefork_"), "{line}");
            assert!(help.ends_with('.') && !help.contains('\\'), "{line}");
            assert!(!families.contains(&name), "{name} comes twice");
            families.push(name);
            let kind = lines
                .next()
                .and_then(|line| line.strip_prefix(&format!("# TYPE {name} ")))
                .unwrap_or_else(|| panic!("TYPE follows HELP of {name}"));
            assert!(matches!(kind, "counter" | "gauge"), "{name}: {kind}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} {kind}");
            let before = samples.len();
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                let (key, value) = sample(line);
                assert_eq!(key.0, name, "{line}");
                assert!(value.is_finite() && value >= 0.0, "{line}");
                assert_eq!(samples.insert(key, value), None, "{line} comes twice");
            }
            assert!(samples.len() > before, "{name} has no sample");
        }
        Self { samples }
    }

    /// The one sample with these labels.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let key = (name.to_owned(), labels.iter().map(own).collect::<Labels>());
        *self
            .samples
            .get(&key)
            .unwrap_or_else(|| panic!("no {key:?} in {:#?}", self.samples))
    }

    /// What Prometheus takes for granted, of any two expositions of one process.
    pub(crate) fn assert_no_counter_is_less_than_in(&self, before: &Self) {
        for ((name, labels), was) in &before.samples {
            let is = self.samples.get(&(name.clone(), labels.clone()));
            assert!(
                !name.ends_with("_total") || is.is_some_and(|is| is >= was),
                "{name} {labels:?}: {was}, then {is:?}"
            );
        }
    }

    /// The sum of a metric's samples.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let values: Vec<f64> = self
            .samples
            .iter()
            .filter(|((it, _), _)| it == name)
            .map(|(_, value)| *value)
            .collect();
        assert!(!values.is_empty(), "no {name}");
        values.iter().sum()
    }
}

/// `name{label="value",...} number`
fn sample(line: &str) -> ((String, Labels), f64) {
    let (key, value) = line.rsplit_once(' ').expect(line);
    let value = value.parse().expect(line);
    let Some((name, rest)) = key.split_once('{') else {
        assert!(is_name(key), "{line}");
        return ((key.to_owned(), Labels::new()), value);
    };
    assert!(is_name(name), "{line}");
    let mut rest = rest.strip_suffix('}').expect(line);
    let mut labels = Labels::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").expect(line);
        assert!(
            is_name(label) && !label.contains(':') && !label.starts_with("__"),
            "{line}"
        );
        // No value of ours has anything to escape.
        let (text, after) = after.split_once('"').expect(line);
        assert!(!text.contains('\\'), "{line}");
        assert_eq!(
            labels.insert(label.to_owned(), text.to_owned()),
            None,
            "{line}"
        );
        rest = match after.strip_prefix(',') {
            Some(more) => {
                assert!(!more.is_empty(), "{line}");
                more
            }
            None => {
                assert!(after.is_empty(), "{line}");
                after
            }
        };
    }
    ((name.to_owned(), labels), value)
}

fn is_name(name: &str) -> bool {
    let is_right = |at: usize, c: char| {
        c.is_ascii_alphabetic() || c == '_' || c == ':' || (at > 0 && c.is_ascii_digit())
    };
    !name.is_empty() && name.char_indices().all(|(at, c)| is_right(at, c))
}
