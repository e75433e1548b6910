//! Columns of text.

/// A table under construction.
pub struct Table {
    right: Vec<bool>,
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings; one that begins with `>` is of numbers,
    /// which are put to the right.
    pub fn new(headings: &[&str]) -> Self {
        let right = headings.iter().map(|heading| heading.starts_with('>')).collect();
        let headings: Vec<String> =
            headings.iter().map(|heading| heading.trim_start_matches('>').to_owned()).collect();
        Self { right, widths: vec![0; headings.len()], rows: vec![headings] }
    }

    /// Adds a row, one cell a heading.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table, each column as wide as its widest cell.
    pub fn render(mut self) -> String {
        self.page()
    }

    /// What has been added since the last page, or since the beginning: a column is
    /// as wide as its widest cell so far.
    pub fn page(&mut self) -> String {
        for row in &self.rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut text = String::new();
        for row in self.rows.drain(..) {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&self.widths).zip(&self.right) {
                let padded =
                    if *right { format!("{cell:>width$}") } else { format!("{cell:<width$}") };
                line.push_str(&padded);
                line.push_str("  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// How many rows wait for the next page; the headings are one.
    pub fn waiting(&self) -> usize {
        self.rows.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_stand_right() {
        let mut table = Table::new(&["NAME", ">N"]);
        table.row(["a".to_owned(), "1".to_owned()]);
        table.row(["longer".to_owned(), "1000".to_owned()]);
        assert_eq!(table.render(), "NAME       N\na          1\nlonger  1000\n");
    }

    #[test]
    fn pages_line_up_with_those_before() {
        let mut table = Table::new(&["NAME", ">N"]);
        table.row(["longer".to_owned(), "1".to_owned()]);
        assert_eq!(table.waiting(), 2);
        assert_eq!(table.page(), "NAME    N\nlonger  1\n");
        table.row(["a".to_owned(), "22".to_owned()]);
        assert_eq!(table.page(), "a       22\n");
        assert_eq!(table.page(), "");
    }
}
