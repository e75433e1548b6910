//! `overlay.toml(5)`, made of the book's page about the configuration file: there is one text,
//! so none can be left behind.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// The page as roff. `date` is what stands at its foot.
pub fn configuration(markdown: &str, version: &str, date: &str) -> String {
    let mut page = Page::default();
    let title = format!(".TH OVERLAY.TOML 5 \"{date}\" \"overlay {version}\" \"Overlay\"\n");
    page.roff.push_str(&title);
    page.roff.push_str(".SH NAME\noverlay.toml \\- configuration of an Overlay gateway\n");
    page.roff.push_str(".SH DESCRIPTION\n");
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        page.take(event);
    }
    page.roff.push_str(".SH SEE ALSO\n.BR overlay (1),\n.BR overlay\\-check (1)\n");
    page.roff
}

/// What has been written, and what surrounds the next word.
#[derive(Default)]
struct Page {
    roff: String,
    /// The running text of a paragraph, a heading or a cell.
    text: String,
    in_code: bool,
    /// The heads of a table's columns, and which cell of a row is next.
    heads: Vec<String>,
    in_head: bool,
    cell: usize,
}

impl Page {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.in_code => self.roff.push_str(&lines(&text)),
            Event::Text(text) => self.text.push_str(&escape(&text)),
            Event::Code(code) => self.text.push_str(&format!("\\fB{}\\fR", escape(&code))),
            Event::SoftBreak | Event::HardBreak => self.text.push('\n'),
            _ => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::CodeBlock(_) => {
                self.flush("");
                self.in_code = true;
                self.roff.push_str(".PP\n.RS 4\n.nf\n");
            }
            Tag::Item => self.flush(""),
            Tag::Table(_) => self.heads.clear(),
            Tag::TableHead => self.in_head = true,
            Tag::TableRow => self.cell = 0,
            Tag::Emphasis | Tag::Strong => self.text.push_str("\\fI"),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            // The title is the page's own.
            TagEnd::Heading(HeadingLevel::H1) => self.text.clear(),
            TagEnd::Heading(HeadingLevel::H2) => {
                // A name in a heading has the heading's face.
                let title = self.text.replace("\\fB", "").replace("\\fR", "").to_uppercase();
                self.text = title;
                self.flush(".SH ");
            }
            TagEnd::Heading(_) => self.flush(".SS "),
            TagEnd::Paragraph => self.flush(".PP\n"),
            TagEnd::Item => self.flush(".IP \\(bu 2\n"),
            TagEnd::CodeBlock => {
                self.in_code = false;
                self.roff.push_str(".fi\n.RE\n");
            }
            TagEnd::TableHead => self.in_head = false,
            TagEnd::TableCell => self.cell(),
            TagEnd::Emphasis | TagEnd::Strong => self.text.push_str("\\fR"),
            _ => {}
        }
    }

    /// A row is an entry: its first cell is the entry's name, the second says what it is, and
    /// the others are told with the heads of their columns.
    fn cell(&mut self) {
        if self.in_head {
            self.heads.push(std::mem::take(&mut self.text));
            return;
        }
        let head = self.heads.get(self.cell).map(String::as_str).unwrap_or_default();
        match self.cell {
            0 => self.flush(".TP\n"),
            _ if self.text.trim().is_empty() => self.text.clear(),
            1 => self.flush(""),
            _ => {
                let lead = format!(".br\n{head}: ");
                self.flush(&lead);
            }
        }
        self.cell += 1;
    }

    /// Writes the running text, if there is any, behind what it begins with.
    fn flush(&mut self, lead: &str) {
        let text = std::mem::take(&mut self.text);
        if !text.trim().is_empty() {
            self.roff.push_str(lead);
            self.roff.push_str(&protect(text.trim()));
            self.roff.push('\n');
        }
    }
}

/// Text as roff takes it.
fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

/// No line may begin with what roff takes for a request.
fn protect(text: &str) -> String {
    let line = |line: &str| match line.trim_start().starts_with(['.', '\'']) {
        true => format!("\\&{}", line.trim_start()),
        false => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Lines of an example.
fn lines(text: &str) -> String {
    protect(&escape(text)) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# The file\n\nTOML. A *word*.\n\n```toml\nx-y = 1\n```\n\n## `[node]`\n\n\
        | key | value | default |\n| --- | --- | --- |\n| `name` | a name | |\n\
        | `dscp` | `\"copy\"`, or [a number](x.md) | 0 |\n\n- one;\n- .two\n";

    #[test]
    fn every_part_of_a_page_is_there() {
        let page = configuration(PAGE, "1.2.3", "1 January 2026");
        for part in [
            ".TH OVERLAY.TOML 5 \"1 January 2026\" \"overlay 1.2.3\"",
            ".PP\nTOML. A \\fIword\\fR.\n",
            ".nf\nx\\-y = 1\n.fi\n",
            ".SH [NODE]\n",
            ".TP\n\\fBname\\fR\na name\n.TP\n",
            ".TP\n\\fBdscp\\fR\n\\fB\"copy\"\\fR, or a number\n.br\ndefault: 0\n",
            ".IP \\(bu 2\none;\n",
            ".IP \\(bu 2\n\\&.two\n",
        ] {
            assert!(page.contains(part), "{part}\n---\n{page}");
        }
        assert!(!page.contains("The file"), "{page}");
    }
}
