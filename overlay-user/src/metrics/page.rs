//! Metrics as text: OpenMetrics 1.0, or the format of Prometheus before it (0.0.4).

use std::fmt::Write as _;

use super::{Kind, Snapshot};

/// A format of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' own, 0.0.4.
    Text,
}

impl Format {
    /// The one that a client likes best, by its `Accept` header. Whoever says nothing gets what
    /// everybody understands.
    pub fn accepted(accept: Option<&str>) -> Self {
        let mut best = (Self::Text, 0.0);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next() {
                Some("application/openmetrics-text") => Self::OpenMetrics,
                Some("text/plain" | "text/*" | "*/*") => Self::Text,
                _ => continue,
            };
            let parts: Vec<&str> = parts.collect();
            let version = parts.iter().find_map(|part| part.strip_prefix("version="));
            let known = match format {
                Self::OpenMetrics => version.is_none_or(|version| version.starts_with("1.")),
                Self::Text => version.is_none_or(|version| version == "0.0.4"),
            };
            let quality = parts.iter().find_map(|part| part.strip_prefix("q=")?.parse().ok());
            let quality: f64 = quality.unwrap_or(1.0);
            if known && quality > best.1 {
                best = (format, quality);
            }
        }
        best.0
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// The text.
    pub fn write(self, snapshot: &Snapshot) -> String {
        let mut text = String::new();
        for (family, samples) in snapshot.families() {
            let name = family.name();
            // OpenMetrics has the suffix at the samples alone.
            let title = match (self, family.kind()) {
                (Self::OpenMetrics, Kind::Counter) => name.trim_end_matches("_total"),
                _ => name,
            };
            let _ = writeln!(text, "# HELP {title} {}", family.help());
            let _ = writeln!(text, "# TYPE {title} {}", family.kind().name());
            for (labels, value) in samples {
                text.push_str(name);
                for (at, (label, value)) in family.labels().iter().zip(labels).enumerate() {
                    text.push(if at == 0 { '{' } else { ',' });
                    let _ = write!(text, "{label}=\"");
                    escape(&mut text, value);
                    text.push('"');
                }
                text.push_str(if labels.is_empty() { " " } else { "} " });
                let _ = writeln!(text, "{value}");
            }
        }
        if self == Self::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }
}

fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Family;
    use super::*;

    #[test]
    fn the_client_chooses_the_format() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                          version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (Some(prometheus), Format::OpenMetrics),
            (
                Some("text/plain;version=0.0.4;q=0.8, application/openmetrics-text;q=0.3"),
                Format::Text,
            ),
            (Some("application/openmetrics-text;version=0.0.1"), Format::Text),
            (Some("*/*"), Format::Text),
            (Some("text/html;q=x,,;"), Format::Text),
            (None, Format::Text),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept:?}");
        }
    }

    #[test]
    fn both_formats_are_written() {
        let mut snapshot = Snapshot::default();
        snapshot.count(Family::Drops, &["unknown-vtep", "a\"b\\c\nd", "xdp"], 1 << 40);
        snapshot.flag(Family::Healthy, &[], true);
        let sample = r#"overlay_drops_total{reason="unknown-vtep",interface="a\"b\\c\nd",hook="xdp"} 1099511627776"#;
        let text = Format::Text.write(&snapshot);
        assert!(text.starts_with("# HELP overlay_healthy 1 while"), "{text}");
        assert!(text.contains("\noverlay_healthy 1\n"), "{text}");
        assert!(
            text.contains("# TYPE overlay_drops_total counter\n") && text.contains(sample),
            "{text}"
        );
        let text = Format::OpenMetrics.write(&snapshot);
        assert!(text.contains("# TYPE overlay_drops counter\n") && text.contains(sample), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
