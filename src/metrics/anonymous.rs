//! The metrics without names: for an address that others reach, too. Drops the labels whose values are names of the
//! application (definitions and their steps), and joins the series that are then alike.

use std::collections::HashMap;

/// Labels whose values are names of the application.
const NAMES: [&str; 2] = ["definition", "step"];

/// Metrics whose largest series counts, not the sum.
const LARGEST: [&str; 1] = ["amends_ready_oldest_seconds"];

/// Returns the text of an exposition without names.
pub(super) fn anonymous(text: &str) -> String {
    let mut lines: Vec<(String, Option<f64>)> = Vec::new();
    let mut place: HashMap<String, usize> = HashMap::new();
    for line in text.lines() {
        let Some((series, value)) = series(line) else {
            lines.push((line.to_owned(), None));
            continue;
        };
        let kept = without_names(series);
        let is_largest = LARGEST.iter().any(|name| kept.split('{').next() == Some(name));
        match place.get(&kept) {
            Some(at) => {
                let joined = &mut lines[*at].1;
                *joined = joined.map(|other| if is_largest { other.max(value) } else { other + value });
            }
            None => {
                place.insert(kept.clone(), lines.len());
                lines.push((kept, Some(value)));
            }
        }
    }
    let mut text = String::new();
    for (line, value) in lines {
        text.push_str(&line);
        if let Some(value) = value {
            text.push_str(&format!(" {value}"));
        }
        text.push('\n');
    }
    text
}

/// Splits a line into its series and its value; none for comments and empty lines.
fn series(line: &str) -> Option<(&str, f64)> {
    if line.starts_with('#') {
        return None;
    }
    let (series, value) = line.rsplit_once(' ')?;
    Some((series, value.parse().ok()?))
}

fn without_names(series: &str) -> String {
    let Some((name, labels)) = series.split_once('{') else { return series.to_owned() };
    let kept: Vec<&str> = labels_of(labels.trim_end_matches('}'))
        .into_iter()
        .filter(|label| label.split_once('=').is_none_or(|(key, _)| !NAMES.contains(&key)))
        .collect();
    if kept.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", kept.join(",")) }
}

/// Splits labels at the commas outside of their values.
fn labels_of(text: &str) -> Vec<&str> {
    let (mut labels, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                labels.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    labels.push(&text[begin..]);
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_and_what_is_then_alike_is_one() {
        let text = "# HELP a_total Help.\n# TYPE a_total counter\n\
                    a_total{definition=\"x\",status=\"completed\"} 2\n\
                    a_total{definition=\"y, \\\"z\\\"\",status=\"completed\"} 3\n\
                    a_total{definition=\"y\",status=\"compensated\"} 1\n\n\
                    b_bucket{definition=\"x\",step=\"s\",le=\"0.5\"} 1\n\
                    b_bucket{definition=\"x\",step=\"t\",le=\"0.5\"} 4\n\
                    b_sum{definition=\"x\",step=\"s\"} 0.25\n\
                    amends_ready_oldest_seconds{definition=\"x\"} 7\n\
                    amends_ready_oldest_seconds{definition=\"y\"} 5\n\
                    c 9\n";
        let expected = "# HELP a_total Help.\n# TYPE a_total counter\n\
                        a_total{status=\"completed\"} 5\na_total{status=\"compensated\"} 1\n\n\
                        b_bucket{le=\"0.5\"} 5\nb_sum 0.25\namends_ready_oldest_seconds 7\nc 9\n";
        assert_eq!(anonymous(text), expected);
    }

    /// A new label is put into one of the two lists.
    #[test]
    fn every_label_is_a_name_or_a_word() {
        const WORDS: [&str; 14] = [
            "status",
            "direction",
            "outcome",
            "answer",
            "verb",
            "fate",
            "reason",
            "event",
            "chore",
            "version",
            "place",
            "state",
            "table",
            "actor",
        ];
        let labels = super::super::ALL.iter().flat_map(|metric| metric.labels);
        for label in labels {
            assert!(NAMES.contains(label) != WORDS.contains(label), "{label}");
        }
    }
}
