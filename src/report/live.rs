//! Progress while a run is going on: plain lines, or status lines on a terminal.

mod event;

pub use event::Event;

use crate::report::color::Paint;
use crate::report::model::{Cell, Host, Step};
use crate::report::table::{accelerator_line, host_line};
use crate::report::text::{clean, plural, seconds, shorten};
use crate::report::titles;
use crate::verdict::Conclusion;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

/// How to show progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One line a finished step; for CI, files and pipes.
    Plain,
    /// A status line for each running cell, drawn anew in place.
    Terminal {
        /// Columns of the terminal.
        width: u16,
        /// Whether to colour.
        color: bool,
    },
}

/// A job that prints nothing for this long is taken for hung by CI systems and their users.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// More status lines than this would push what is worth reading off the screen.
const MOST_STATUS_LINES: usize = 8;

/// Shows [`Event`]s. The time is passed in, as time since the run began.
///
/// The cursor is never hidden, so no way to die can leave it hidden.
pub struct Live<W: Write> {
    out: W,
    mode: Mode,
    cells: usize,
    done: usize,
    running: Vec<Running>,
    drawn: usize,
    last_word: Duration,
}

/// A cell between its first step and its end.
struct Running {
    cell: String,
    step: Step,
    since: Duration,
    began: Duration,
}

impl<W: Write> Live<W> {
    /// Shows nothing yet.
    pub fn new(out: W, mode: Mode) -> Self {
        let (running, last_word) = (Vec::new(), Duration::ZERO);
        Self {
            out,
            mode,
            cells: 0,
            done: 0,
            running,
            drawn: 0,
            last_word,
        }
    }

    /// Takes note of an event that happened at `now` and shows it.
    ///
    /// # Errors
    /// The error of the stream that is written to.
    pub fn event(&mut self, event: &Event, now: Duration) -> io::Result<()> {
        let said = self.take(event, now);
        let quiet = matches!(event, Event::StepDone { .. }) && self.mode != Mode::Plain;
        self.show(said.filter(|_| !quiet).as_deref(), now)
    }

    /// To be called about ten times a second on a terminal and at least every
    /// second elsewhere: redraws the status lines, or says that it still goes on.
    ///
    /// # Errors
    /// The error of the stream that is written to.
    pub fn tick(&mut self, now: Duration) -> io::Result<()> {
        let silent = now.saturating_sub(self.last_word) >= HEARTBEAT;
        match self.mode {
            Mode::Terminal { .. } => self.show(None, now),
            Mode::Plain if silent && !self.running.is_empty() => {
                let still = |cell: &Running| {
                    let spent = seconds(ms(now.saturating_sub(cell.since)));
                    format!("[{}] still in {} after {spent}", cell.cell, cell.step)
                };
                let lines: Vec<String> = self.running.iter().map(still).collect();
                self.show(Some(&lines.join("\n")), now)
            }
            Mode::Plain => Ok(()),
        }
    }

    /// Takes the status lines away, so that the report can follow.
    ///
    /// # Errors
    /// The error of the stream that is written to.
    pub fn finish(&mut self) -> io::Result<()> {
        self.running.clear();
        self.show(None, self.last_word)
    }

    /// Updates what is known, and returns the line to print, if there is one.
    fn take(&mut self, event: &Event, now: Duration) -> Option<String> {
        match event {
            Event::Started { cells } => {
                self.cells = cells.len();
                let names: Vec<String> = cells.iter().map(|name| clean(name)).collect();
                Some(format!(
                    "[lanfence] {}: {}",
                    plural(cells.len(), "cell"),
                    names.join(", ")
                ))
            }
            Event::Host(host) => Some(format!("[lanfence] {}", describe(host))),
            Event::Note { cell, text } => {
                let whose = cell.as_deref().map_or_else(|| "lanfence".to_owned(), clean);
                Some(format!("[{whose}] {}", clean(text)))
            }
            Event::Step { cell, step } => {
                self.enter(&clean(cell), *step, now);
                None
            }
            Event::StepDone { cell, step, ms } => {
                Some(format!("[{}] {step} {}", clean(cell), seconds(*ms)))
            }
            Event::CellDone { cell } => {
                self.done += 1;
                let name = clean(&cell.name);
                self.running.retain(|running| running.cell != name);
                Some(self.verdict(cell))
            }
        }
    }

    fn enter(&mut self, cell: &str, step: Step, now: Duration) {
        if let Some(running) = self.running.iter_mut().find(|running| running.cell == cell) {
            (running.step, running.since) = (step, now);
        } else {
            let cell = cell.to_owned();
            self.running.push(Running {
                cell,
                step,
                since: now,
                began: now,
            });
        }
    }

    fn verdict(&self, cell: &Cell) -> String {
        let (counts, conclusion) = (cell.counts(), cell.conclusion());
        let paint = match self.mode {
            Mode::Plain => Paint(false),
            Mode::Terminal { color, .. } => Paint(color),
        };
        let word = match conclusion {
            Conclusion::Pass => paint.green(conclusion.word()),
            Conclusion::Inconclusive | Conclusion::Empty => paint.yellow(conclusion.word()),
            _ => paint.red(conclusion.word()),
        };
        let mut line = format!(
            "[{}] {word}: {} in {}",
            clean(&cell.name),
            titles::sum(counts, counts.known_gaps),
            seconds(cell.ms())
        );
        let _ = write!(line, " ({} of {})", self.done, self.cells.max(self.done));
        if let Some(error) = &cell.error {
            let _ = write!(
                line,
                "\n[{}] error in step {}",
                clean(&cell.name),
                error.step
            );
            let _ = write!(line, ": {}", clean(&error.message));
        }
        line
    }

    /// One write for everything, so that a terminal never shows half of it.
    fn show(&mut self, said: Option<&str>, now: Duration) -> io::Result<()> {
        let mut text = String::new();
        if self.drawn > 0 {
            let _ = write!(text, "\r\x1b[{}A\x1b[J", self.drawn);
        }
        if let Some(said) = said {
            text.push_str(said);
            text.push('\n');
            self.last_word = now;
        }
        self.drawn = 0;
        if let Mode::Terminal { width, .. } = self.mode {
            for line in self.status(now) {
                // A line that fills the last column may wrap, and then one line up is not enough.
                text.push_str(&shorten(&line, usize::from(width).saturating_sub(1)));
                text.push('\n');
                self.drawn += 1;
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    fn status(&self, now: Duration) -> Vec<String> {
        let name = self
            .running
            .iter()
            .map(|running| running.cell.chars().count())
            .max();
        let name = name.unwrap_or(0);
        let line = |running: &Running| {
            let spent = seconds(ms(now.saturating_sub(running.since)));
            let cell = seconds(ms(now.saturating_sub(running.began)));
            format!(
                "{:name$}  {:8}  {spent:>7}  of {cell}",
                running.cell, running.step
            )
        };
        let mut lines: Vec<String> = self
            .running
            .iter()
            .take(MOST_STATUS_LINES)
            .map(line)
            .collect();
        if self.running.len() > MOST_STATUS_LINES {
            lines.push(format!(
                "and {} more",
                self.running.len() - MOST_STATUS_LINES
            ));
        }
        lines
    }
}

impl<W: Write> Drop for Live<W> {
    fn drop(&mut self) {
        // The report may come after; an error here has nobody to tell.
        let _ = self.finish();
    }
}

fn describe(host: &Host) -> String {
    let parts = [accelerator_line(host), host_line(host)];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join("; ")
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
