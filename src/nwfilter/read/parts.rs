//! Elements as parts of the model.

use super::{Attributes, Open, Parser, ReadError, find, offset};
use crate::nwfilter::model::{Element, Entry, Filter, FilterRef, Rule};
use crate::nwfilter::shorten::shorten;
use crate::nwfilter::vocabulary::{
    self, Action, CHAIN_PREFIXES, Protocol, ROOT, RuleDirection, variables,
};

/// Longest name of a filter: libvirt makes a file NAME.xml of it, and a
/// temporary one with four more letters (measured: docs/measurements.md#M6).
const MAX_NAME: usize = 247;

/// Most elements of one rule; one for each sign says all that can be said.
const MAX_ELEMENTS: usize = 64;

impl Parser<'_> {
    pub(super) fn end(&mut self) -> Result<(), ReadError> {
        let start = self.starts.pop().unwrap_or_default();
        let span = start..offset(self.reader.buffer_position());
        match self.open.pop() {
            Some(Open::Uuid(text)) => self.uuid(&text)?,
            Some(Open::Rule(rule)) => {
                self.layout.entries.push(span);
                self.entry(Entry::Rule(rule));
            }
            Some(Open::Reference(reference)) => {
                self.layout.entries.push(span);
                self.entry(Entry::Reference(reference));
            }
            // An empty tag starts and ends at once.
            Some(Open::Filter) => self.layout.end = (self.at > start).then_some(self.at),
            Some(Open::Leaf | Open::Ignored) | None => {}
        }
        Ok(())
    }

    fn uuid(&mut self, text: &str) -> Result<(), ReadError> {
        let text = text.trim();
        if text.is_empty() && self.lenient {
            return self.ignore("an empty <uuid>: libvirt makes one up");
        }
        let Ok(uuid) = uuid::Uuid::parse_str(text) else {
            return Err(self.error(format!("`{}` is no UUID", shorten(text))));
        };
        let filter = self.filter.as_mut().expect("a uuid is inside a filter");
        if filter.uuid.is_some() {
            return self.ignore("a second <uuid>");
        }
        filter.uuid = Some(uuid.to_string());
        Ok(())
    }

    fn entry(&mut self, entry: Entry) {
        self.filter
            .as_mut()
            .expect("entries are inside a filter")
            .entries
            .push(entry);
    }

    fn required(
        &mut self,
        attributes: &Attributes,
        element: &str,
        name: &str,
    ) -> Result<String, ReadError> {
        match find(attributes, name) {
            Some(value) => Ok(value.to_owned()),
            None => Err(self.error(format!("{element} lacks the attribute {name}"))),
        }
    }

    /// The name of a filter, which becomes one of a file. libvirt prints it
    /// without escaping it, so that one with `<` could never be read again.
    fn file_name(&mut self, name: String) -> Result<String, ReadError> {
        let odd = |c: char| c.is_control() || "/<>&'\"".contains(c);
        let good = !name.is_empty()
            && name.len() <= MAX_NAME
            && !name.starts_with('.')
            && !name.contains(odd);
        if good {
            return Ok(name);
        }
        Err(self.error(format!(
            "`{}` cannot be the name of a filter: libvirt makes a file of it; use at most {MAX_NAME} letters, digits and _ . -",
            shorten(&name)
        )))
    }

    pub(super) fn filter(&mut self, mut attributes: Attributes) -> Result<Open, ReadError> {
        if self.filter.is_some() {
            return Err(
                self.error("a second <filter> in one file; write each into a file of its own")
            );
        }
        self.only(&mut attributes, "<filter>", &["name", "chain", "priority"])?;
        let name = self.required(&attributes, "<filter>", "name")?;
        let name = self.file_name(name)?;
        let chain = match find(&attributes, "chain") {
            Some("") => {
                self.ignore("an empty chain: libvirt takes root")?;
                None
            }
            chain => chain,
        };
        self.chain(chain.unwrap_or(ROOT))?;
        self.filter = Some(Filter {
            name,
            chain: chain.unwrap_or(ROOT).to_owned(),
            priority: self.chain_priority(&attributes, chain.is_some())?,
            uuid: None,
            entries: Vec::new(),
        });
        Ok(Open::Filter)
    }

    fn chain(&mut self, chain: &str) -> Result<(), ReadError> {
        let prefixes = CHAIN_PREFIXES.map(|known| known.prefix);
        let good = chain.len() <= 12
            && chain
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c));
        if chain == ROOT || (good && prefixes.iter().any(|prefix| chain.starts_with(prefix))) {
            return Ok(());
        }
        Err(self.error(format!(
            "chain `{}` is none: use root, or a name of at most 12 characters that begins with {}",
            shorten(chain),
            prefixes.join(", ")
        )))
    }

    fn chain_priority(
        &mut self,
        attributes: &Attributes,
        has_chain: bool,
    ) -> Result<Option<i16>, ReadError> {
        let Some(text) = find(attributes, "priority") else {
            return Ok(None);
        };
        if !has_chain {
            self.ignore(
                "a priority without a chain: libvirt drops it; add chain='root' or leave it out",
            )?;
            return Ok(None);
        }
        if text.is_empty() {
            self.ignore("an empty priority: libvirt takes that of the chain's protocol")?;
            return Ok(None);
        }
        match self.integer(text)? {
            Some(priority @ -1000..=1000) => Ok(i16::try_from(priority).ok()),
            _ => Err(self.error(format!(
                "priority `{}` is none: use -1000 to 1000",
                shorten(text)
            ))),
        }
    }

    /// A decimal number; libvirt skips blanks and a plus before it.
    fn integer(&mut self, text: &str) -> Result<Option<i64>, ReadError> {
        let bare = text.trim_start();
        let number = bare.parse().ok();
        if number.is_some() && (bare.len() != text.len() || bare.starts_with('+')) {
            self.ignore(format!(
                "the number `{}` with a blank or a plus before it",
                shorten(text)
            ))?;
        }
        Ok(number)
    }

    pub(super) fn rule(&mut self, mut attributes: Attributes) -> Result<Rule, ReadError> {
        let place = self.place();
        self.rules.push(place);
        self.only(
            &mut attributes,
            "<rule>",
            &["action", "direction", "priority", "statematch"],
        )?;
        let action = self.required(&attributes, "<rule>", "action")?;
        let direction = self.required(&attributes, "<rule>", "direction")?;
        let Some(action) = Action::from_word(&action) else {
            return Err(self.none_of("action", &action, Action::WORDS));
        };
        let Some(direction) = RuleDirection::from_word(&direction) else {
            return Err(self.none_of("direction", &direction, RuleDirection::WORDS));
        };
        Ok(Rule {
            action,
            direction,
            priority: self.rule_priority(&attributes)?,
            statematch: self.statematch(&attributes)?,
            elements: Vec::new(),
        })
    }

    fn none_of(&mut self, what: &str, value: &str, words: &[&str]) -> ReadError {
        self.error(format!(
            "{what} `{}` is none of {}",
            shorten(value),
            words.join(", ")
        ))
    }

    fn rule_priority(&mut self, attributes: &Attributes) -> Result<Option<i16>, ReadError> {
        let Some(text) = find(attributes, "priority") else {
            return Ok(None);
        };
        match self.integer(text)? {
            Some(priority @ -1000..=1000) => Ok(i16::try_from(priority).ok()),
            Some(_) => {
                self.ignore(format!(
                    "priority {} is none: use -1000 to 1000 (libvirt silently takes 500)",
                    shorten(text)
                ))?;
                Ok(None)
            }
            // Seen with libvirt 9.0 and 11.3.0 (measured: docs/measurements.md#M6).
            None => {
                self.ignore(format!(
                    "priority `{}` is no number: use -1000 to 1000 (older libvirt silently takes 500, newer refuses the filter)",
                    shorten(text)
                ))?;
                Ok(None)
            }
        }
    }

    fn statematch(&mut self, attributes: &Attributes) -> Result<bool, ReadError> {
        let Some(text) = find(attributes, "statematch") else {
            return Ok(true);
        };
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        if !["false", "0", "true", "1"].into_iter().any(is) {
            self.ignore(format!(
                "statematch `{}` is neither true nor false: libvirt takes it for true",
                shorten(text)
            ))?;
        }
        Ok(!is("false") && !is("0"))
    }

    pub(super) fn element(
        &mut self,
        protocol: &str,
        mut attributes: Attributes,
    ) -> Result<Open, ReadError> {
        let Some(protocol) = Protocol::from_word(protocol) else {
            return self.unknown("element", protocol, "<rule>", Protocol::WORDS);
        };
        let known = vocabulary::attributes(protocol);
        if let Some(first) = self.protocol_of_rule().filter(|first| *first != protocol) {
            self.ignore(format!(
                "<{protocol}> after <{first}> in one rule: libvirt silently ignores it"
            ))?;
            return Ok(Open::Ignored);
        }
        let positive = match find(&attributes, "match") {
            None | Some("yes") => true,
            Some("no") => false,
            Some(other) => {
                let what = format!(
                    "match `{}` is neither yes nor no: libvirt takes it for yes",
                    shorten(other)
                );
                self.ignore(what)?;
                true
            }
        };
        attributes.retain(|(name, _)| name != "match");
        let names: Vec<&str> = known.iter().map(|attribute| attribute.name).collect();
        self.only(&mut attributes, &format!("<{protocol}>"), &names)?;
        self.values(protocol, &mut attributes)?;
        self.once(&attributes)?;
        let Some(Open::Rule(rule)) = self.open.last_mut() else {
            unreachable!("the caller has matched a rule")
        };
        rule.elements.push(Element {
            protocol,
            positive,
            attributes,
        });
        Ok(Open::Leaf)
    }

    /// That no attribute of the rule stands in an earlier element already.
    fn once(&mut self, attributes: &Attributes) -> Result<(), ReadError> {
        let Some(Open::Rule(rule)) = self.open.last() else {
            unreachable!("the caller has matched a rule")
        };
        if rule.elements.len() >= MAX_ELEMENTS {
            return Err(self.error(format!("the rule has more than {MAX_ELEMENTS} elements")));
        }
        let earlier = |name: &str| {
            let mut elements = rule.elements.iter();
            elements.any(|element| find(&element.attributes, name).is_some())
        };
        let names = attributes.iter().map(|(name, _)| name);
        let twice: Vec<String> = names.filter(|name| earlier(name)).cloned().collect();
        for name in twice {
            self.ignore(format!(
                "{name} stands in two elements of the rule: libvirt keeps the last one only"
            ))?;
        }
        Ok(())
    }

    /// The protocol of the first element of the open rule.
    fn protocol_of_rule(&self) -> Option<Protocol> {
        let Some(Open::Rule(rule)) = self.open.last() else {
            unreachable!("the caller has matched a rule")
        };
        let first = rule.elements.first();
        first.map(|element| element.protocol)
    }

    pub(super) fn reference(&mut self, mut attributes: Attributes) -> Result<FilterRef, ReadError> {
        let place = self.place();
        self.references.push(place);
        self.only(&mut attributes, "<filterref>", &["filter"])?;
        let filter = self.required(&attributes, "<filterref>", "filter")?;
        Ok(FilterRef {
            filter: self.file_name(filter)?,
            parameters: Vec::new(),
        })
    }

    pub(super) fn parameter(&mut self, mut attributes: Attributes) -> Result<Open, ReadError> {
        self.only(&mut attributes, "<parameter>", &["name", "value"])?;
        let (Some(name), Some(value)) = (find(&attributes, "name"), find(&attributes, "value"))
        else {
            let what = "<parameter> lacks the attribute name or value: libvirt silently skips it";
            self.ignore(what)?;
            return Ok(Open::Ignored);
        };
        if !variables::is_name(name) || !variables::is_value(value) {
            self.ignore(format!(
                "parameter {}={} has a character that libvirt does not take: it silently skips the parameter; \
                 names have letters, digits and _, values . and : besides",
                shorten(name),
                shorten(value)
            ))?;
            return Ok(Open::Ignored);
        }
        let pair = (name.to_owned(), value.to_owned());
        let Some(Open::Reference(reference)) = self.open.last_mut() else {
            unreachable!("the caller has matched a reference")
        };
        reference.parameters.push(pair);
        Ok(Open::Leaf)
    }
}
