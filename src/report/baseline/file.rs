//! The file of a baseline: what it holds, and how it is read.

use super::date::Date;
use super::error::{BaselineError, SCHEMA_VERSION};
use super::facts::{Facts, Subject};
use super::observed::{CELL, LEAK_CHECK};
use super::standing::Standing;
use super::verb::Verb;
use crate::place::place;
use crate::probe::Expect;
use crate::report::text::clean;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use toml::Spanned;

/// What people have accepted of a filter, and what was judged when they did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    /// What it is about.
    pub subject: Subject,
    /// What was blessed was made of these.
    pub facts: Facts,
    /// The probes of each cell with what the policy wants. What is not accepted passed.
    pub cells: BTreeMap<String, BTreeMap<String, Expect>>,
    /// What is accepted, by cell and probe.
    pub accepted: BTreeMap<(String, String), Entry>,
}

/// What is accepted of one probe in one cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The standing that is accepted; never a pass.
    pub standing: Standing,
    /// Why it is accepted; not empty.
    pub reason: String,
    /// The last day (UTC) on which it is; none where it is for good.
    pub expires: Option<Date>,
}

impl Entry {
    /// Whether it no longer counts on this day.
    pub fn has_expired(&self, today: Date) -> bool {
        self.expires.is_some_and(|last| last < today)
    }
}

impl Baseline {
    /// Reads what is in a file, and says where in it its subject stands. `origin` names it in
    /// messages, as a path does.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and for bytes that are no text.
    pub fn read(bytes: &[u8], origin: &str) -> Result<(Self, String), BaselineError> {
        #[derive(Deserialize)]
        struct Part {
            subject: Spanned<toml::Table>,
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let whole = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let place = place(origin, &whole, whole.len());
            BaselineError::NoText { place }
        })?;
        let baseline = Self::parse(text, origin)?;
        let subject = toml::from_str(text).map(|part: Part| part.subject.span().start);
        Ok((baseline, place(origin, text, subject.unwrap_or_default())))
    }

    /// Reads the text of a file. `origin` names it in messages, as a path does.
    ///
    /// # Errors
    /// [`BaselineError`] with line, column and cure: a text that is no baseline or that was cut
    /// short, another schema version, an entry that stands twice or that names what is not in
    /// the file, and what nobody can mean.
    pub fn parse(text: &str, origin: &str) -> Result<Self, BaselineError> {
        let reader = Reader { text, origin };
        reader.version()?;
        let file: File = toml::from_str(text).map_err(|source| reader.toml(source))?;
        let cells = reader.cells(&file)?;
        let mut accepted = BTreeMap::new();
        for entry in file.accepted {
            let span = entry.span();
            let (name, entry) = reader.entry(entry, file.subject.verb, &cells)?;
            if accepted.insert(name, entry).is_some() {
                return Err(reader.nonsense(
                    span,
                    "this probe of this cell is accepted twice".to_owned(),
                    "take one of the two entries out",
                ));
            }
        }
        Ok(Self {
            subject: file.subject,
            facts: file.facts,
            cells,
            accepted,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "schema_version")]
    _schema_version: u32,
    accepted: Vec<Spanned<RawEntry>>,
    subject: Subject,
    facts: Facts,
    cells: BTreeMap<String, Spanned<String>>,
    catalogues: BTreeMap<String, Catalogue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    cell: Spanned<String>,
    probe: Spanned<String>,
    verdict: Spanned<Standing>,
    reason: Spanned<String>,
    expires: Option<Spanned<toml::value::Datetime>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    pass: Vec<Spanned<String>>,
    drop: Vec<Spanned<String>>,
}

/// A text that is being read.
struct Reader<'a> {
    text: &'a str,
    origin: &'a str,
}

impl Reader<'_> {
    fn toml(&self, source: toml::de::Error) -> BaselineError {
        let start = source.span().unwrap_or_default().start;
        BaselineError::Toml {
            place: place(self.origin, self.text, start),
            source: Box::new(source),
        }
    }

    fn nonsense(&self, span: Range<usize>, what: String, cure: &'static str) -> BaselineError {
        BaselineError::Nonsense {
            place: place(self.origin, self.text, span.start),
            what,
            cure,
        }
    }

    /// Looked at first, so that a baseline of another version is called that.
    fn version(&self) -> Result<(), BaselineError> {
        #[derive(Deserialize)]
        struct Version {
            schema_version: Spanned<i64>,
        }
        let version: Version = toml::from_str(self.text).map_err(|source| self.toml(source))?;
        let (span, found) = (
            version.schema_version.span(),
            version.schema_version.into_inner(),
        );
        if found == i64::from(SCHEMA_VERSION) {
            return Ok(());
        }
        Err(BaselineError::Schema {
            place: place(self.origin, self.text, span.start),
            found,
        })
    }

    /// The probes of each cell.
    fn cells(
        &self,
        file: &File,
    ) -> Result<BTreeMap<String, BTreeMap<String, Expect>>, BaselineError> {
        let mut catalogues = BTreeMap::new();
        for (name, catalogue) in &file.catalogues {
            catalogues.insert(name.as_str(), self.catalogue(catalogue)?);
        }
        let mut cells = BTreeMap::new();
        let mut used = BTreeSet::new();
        for (cell, name) in &file.cells {
            let Some(catalogue) = catalogues.get(name.get_ref().as_str()) else {
                return Err(self.nonsense(
                    name.span(),
                    format!("there is no catalogue `{}` below", clean(name.get_ref())),
                    "is the file cut short? Take it from version control again",
                ));
            };
            used.insert(name.get_ref().as_str());
            cells.insert(cell.clone(), catalogue.clone());
        }
        match catalogues.keys().find(|name| !used.contains(**name)) {
            Some(name) => Err(self.nonsense(
                0..0,
                format!("no cell has the catalogue `{}`", clean(name)),
                "put the cell back into [cells], or bless a run anew",
            )),
            None => Ok(cells),
        }
    }

    fn catalogue(&self, catalogue: &Catalogue) -> Result<BTreeMap<String, Expect>, BaselineError> {
        let mut probes = BTreeMap::new();
        let pass = catalogue.pass.iter().map(|id| (id, Expect::Pass));
        let drop = catalogue.drop.iter().map(|id| (id, Expect::Drop));
        for (id, expect) in pass.chain(drop) {
            let cure = "take one of the two out";
            if probes.insert(id.get_ref().clone(), expect).is_some() {
                let what = format!("`{}` stands twice in this catalogue", clean(id.get_ref()));
                return Err(self.nonsense(id.span(), what, cure));
            }
        }
        Ok(probes)
    }

    fn entry(
        &self,
        entry: Spanned<RawEntry>,
        verb: Verb,
        cells: &BTreeMap<String, BTreeMap<String, Expect>>,
    ) -> Result<((String, String), Entry), BaselineError> {
        let entry = entry.into_inner();
        let named = |name: &Spanned<String>| format!("`{}`", clean(name.get_ref()));
        let unknown =
            "take the entry out; `lanfence bless` writes entries for what a run has found";
        let Some(probes) = cells.get(entry.cell.get_ref()) else {
            let what = format!("{} is not one of the [cells]", named(&entry.cell));
            return Err(self.nonsense(entry.cell.span(), what, unknown));
        };
        let own = verb.is_verify() && [CELL, LEAK_CHECK].contains(&entry.probe.get_ref().as_str());
        let standing = *entry.verdict.get_ref();
        let expect = probes.get(entry.probe.get_ref());
        if !own && expect.is_none() {
            let what = format!(
                "{} is no probe of the cell {}",
                named(&entry.probe),
                named(&entry.cell)
            );
            return Err(self.nonsense(entry.probe.span(), what, unknown));
        }
        if !is_possible(verb, standing, expect.copied()) {
            let what = format!(
                "{} of the cell {} cannot be accepted as `{}`",
                named(&entry.probe),
                named(&entry.cell),
                standing.word()
            );
            let cure = "a probe that must be stopped can leak, one that must pass can be blocked, \
                        and what passes needs no entry: take it out, or bless a run anew";
            return Err(self.nonsense(entry.verdict.span(), what, cure));
        }
        if entry.reason.get_ref().trim().is_empty() {
            return Err(self.nonsense(
                entry.reason.span(),
                "the reason is empty".to_owned(),
                "say why this is accepted",
            ));
        }
        let expires = entry.expires.map(|day| self.day(&day)).transpose()?;
        let (cell, probe) = (entry.cell.into_inner(), entry.probe.into_inner());
        let entry = Entry {
            standing,
            reason: entry.reason.into_inner(),
            expires,
        };
        Ok(((cell, probe), entry))
    }

    fn day(&self, day: &Spanned<toml::value::Datetime>) -> Result<Date, BaselineError> {
        let text = day.get_ref().to_string();
        text.parse().map_err(|cure: String| {
            let what = format!("`{text}` is no day: {cure}");
            self.nonsense(
                day.span(),
                what,
                "an entry expires at the end of a day in UTC",
            )
        })
    }
}

/// Whether a verb can find this of something that the policy wants so.
fn is_possible(verb: Verb, standing: Standing, expect: Option<Expect>) -> bool {
    let sends = matches!(verb, Verb::Verify | Verb::Check);
    match (standing, expect) {
        (Standing::Inconclusive, _) => true,
        (Standing::Pass, _) | (_, None) => false,
        (Standing::Leak, Some(expect)) => sends && expect == Expect::Drop,
        (Standing::Blocked, Some(expect)) => sends && expect == Expect::Pass,
        (Standing::KnownGap, Some(_)) => sends,
        (Standing::Survived, Some(_)) => verb == Verb::Mutate,
        (Standing::Failed, Some(_)) => verb == Verb::Hosts,
    }
}
