//! Lines of a known width, and grids that are split where they do not fit.

use crate::report::color::Paint;
use crate::report::text::wrap;
use crate::verdict::Conclusion;
use comfy_table::{
    CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle,
};

/// A row of a grid: its fixed entries and one entry a column.
pub(super) type GridRow = (Vec<String>, Vec<String>);

/// One of the colours.
pub(super) type Brush = fn(Paint, &str) -> String;

/// Lines between columns and below the header only; ASCII, since not every CI log is UTF-8.
const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none().junction('|'))
    .header_separator(LineStyle::none().fill('-').junction('+'))
    .content_lines(ContentLineStyle::none().junction('|'));

/// Text being laid out.
pub(super) struct Page {
    out: String,
    width: usize,
    pub(super) paint: Paint,
}

impl Page {
    pub(super) fn new(width: u16, color: bool) -> Self {
        Self {
            out: String::new(),
            width: width.into(),
            paint: Paint(color),
        }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    /// A line as it is.
    pub(super) fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    /// An empty line, unless at the top.
    pub(super) fn gap(&mut self) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    /// A section's title with a remark behind it.
    pub(super) fn heading(&mut self, title: &str, remark: &str) {
        self.gap();
        self.entry(&format!("{title}:"), remark, Paint::bold);
    }

    /// `name text…`, wrapped.
    pub(super) fn entry(&mut self, name: &str, text: &str, paint: Brush) {
        let column = name.chars().count() + 1;
        self.labelled(0, name, (column, 2), text, paint);
    }

    /// `name   text…` with the text in a column of its own.
    pub(super) fn field(
        &mut self,
        margin: usize,
        name: &str,
        column: usize,
        text: &str,
        paint: Brush,
    ) {
        let column = column.min(self.width * 2 / 5);
        self.labelled(margin, name, (column, column), text, paint);
    }

    /// `text…` with a margin, further lines two deeper.
    pub(super) fn text(&mut self, margin: usize, text: &str) {
        for line in wrap(&" ".repeat(margin), text, self.width, margin + 2) {
            self.line(&line);
        }
    }

    /// The text starts at the first column and goes on, on further lines, at the
    /// second. A name that does not end before the first is part of the text.
    fn labelled(
        &mut self,
        margin: usize,
        name: &str,
        (start, indent): (usize, usize),
        text: &str,
        paint: Brush,
    ) {
        let lead = format!("{:margin$}{name}", "");
        let lines = if lead.chars().count() < start && start < self.width {
            wrap(&format!("{lead:start$}"), text, self.width, indent)
        } else {
            wrap(
                &" ".repeat(margin),
                &format!("{name} {text}"),
                self.width,
                indent,
            )
        };
        for (at, line) in lines.iter().enumerate() {
            match line.strip_prefix(lead.as_str()).filter(|_| at == 0) {
                Some(rest) => {
                    let painted = paint(self.paint, name);
                    self.line(&format!("{:margin$}{painted}{rest}", ""));
                }
                None => self.line(line),
            }
        }
    }

    /// The line that says what the run comes to.
    pub(super) fn conclusion(&mut self, conclusion: Conclusion, text: &str) {
        let paint = match conclusion {
            Conclusion::Pass => Paint::green,
            Conclusion::Inconclusive | Conclusion::Empty => Paint::yellow,
            _ => Paint::red,
        };
        self.entry(&format!("{}:", conclusion.word()), text, paint);
    }

    /// A grid with the fixed columns on the left, in as many pieces as the width
    /// asks for; the entries behind them are lined up on the given side.
    pub(super) fn grid(
        &mut self,
        fixed: &[&str],
        columns: &[String],
        rows: &[GridRow],
        side: CellAlignment,
    ) {
        for (piece, range) in self.pieces(fixed, columns, rows).into_iter().enumerate() {
            if piece > 0 {
                self.gap();
            }
            let mut table = Table::new();
            table
                .load_style(STYLE)
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(u16::try_from(self.width).unwrap_or(u16::MAX));
            let header = fixed.iter().map(|name| (*name).to_owned());
            table.set_header(header.chain(columns[range.clone()].iter().cloned()));
            for (names, entries) in rows {
                table.add_row(names.iter().chain(&entries[range.clone()]));
            }
            for column in table.column_iter_mut().skip(fixed.len()) {
                column.set_cell_alignment(side);
            }
            for line in table.lines() {
                let painted = self.paint_entries(line.trim_end(), fixed.len());
                self.line(&painted);
            }
        }
    }

    /// Ranges of columns that fit beside the fixed ones; at least one column each.
    fn pieces(
        &self,
        fixed: &[&str],
        columns: &[String],
        rows: &[GridRow],
    ) -> Vec<std::ops::Range<usize>> {
        /// A space on either side and the line between two columns.
        const BORDER: usize = 3;
        let length = |text: &str| text.chars().count();
        let fixed_width: usize = (0..fixed.len())
            .map(|at| {
                rows.iter()
                    .map(|row| length(&row.0[at]))
                    .max()
                    .unwrap_or(0)
                    .max(length(fixed[at]))
                    + BORDER
            })
            .sum();
        let mut pieces = Vec::new();
        let (mut start, mut used) = (0, fixed_width);
        for (at, column) in columns.iter().enumerate() {
            let longest = rows.iter().map(|row| length(&row.1[at])).max().unwrap_or(0);
            let wide = longest.max(length(column)) + BORDER;
            if used + wide > self.width && at > start {
                pieces.push(start..at);
                (start, used) = (at, fixed_width);
            }
            used += wide;
        }
        pieces.push(start..columns.len());
        pieces
    }

    /// Colours the words of verdicts behind the fixed columns. It is done on the
    /// finished line, since the width of a cell must not count the colours.
    fn paint_entries(&self, line: &str, fixed: usize) -> String {
        let paint_word = |entry: &str| match entry.split_whitespace().next() {
            Some(word @ ("LEAK" | "BLOCKED" | "error")) => {
                entry.replacen(word, &self.paint.red(word), 1)
            }
            Some(word @ "?") => entry.replacen(word, &self.paint.yellow(word), 1),
            Some(word @ "pass") => entry.replacen(word, &self.paint.green(word), 1),
            // `2 known gaps`, and nothing else in that row.
            Some(_) if entry.contains("known gap") => self.paint.yellow(entry),
            _ => entry.to_owned(),
        };
        let entries = line.split('|').enumerate();
        let painted = entries.map(|(at, entry)| {
            if at < fixed {
                entry.to_owned()
            } else {
                paint_word(entry)
            }
        });
        painted.collect::<Vec<_>>().join("|")
    }
}
