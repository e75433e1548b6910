//! Tables, the first line of which is their heading.

/// A table for the book.
pub fn markdown(lines: &[Vec<String>]) -> String {
    let row = |line: &Vec<String>| format!("| {} |\n", line.join(" | "));
    let rule = format!("|{}\n", " --- |".repeat(lines[0].len()));
    let mut text = row(&lines[0]) + &rule;
    text.extend(lines[1..].iter().map(row));
    text
}

/// A table for a terminal.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let count = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|f| f.chars().count()).max()
    };
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let row = |line: &Vec<String>| {
        let fields = line.iter().zip(&widths).map(|(field, width)| format!("{field:<width$}"));
        format!("{}\n", fields.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_field() {
        let lines = [vec!["a".to_owned(), "b".to_owned()], vec!["long".to_owned()]];
        assert_eq!(aligned(&lines), "a     b\nlong\n");
        assert_eq!(markdown(&lines[..1]), "| a | b |\n| --- | --- |\n");
    }
}
