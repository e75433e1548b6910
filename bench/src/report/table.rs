//! Aligned columns.

use comfy_table::{CellAlignment, Table, presets};

/// A table with these headings; one that begins with `>` is of numbers, which
/// are put to the right.
pub fn table(headings: &[String]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headings.iter().map(|heading| heading.trim_start_matches('>')));
    for (column, heading) in table.column_iter_mut().zip(headings) {
        column.set_padding((0, 2));
        if heading.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The table's lines, without blanks at their ends.
pub fn lines(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_stand_right() {
        let mut table = table(&["NAME".to_owned(), ">N".to_owned()]);
        table.add_row(["a", "1"]);
        table.add_row(["longer", "1000"]);
        assert_eq!(lines(&table), "NAME       N\na          1\nlonger  1000\n");
    }
}
