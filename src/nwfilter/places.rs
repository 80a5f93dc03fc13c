//! Where the rules of a filter stand in its file.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Line and column, both from 1.
pub type Place = (usize, usize);

/// The places of the rules in document order, of a text that
/// [`read`](super::read()) has accepted.
pub fn rule_places(text: &str) -> Vec<Place> {
    let mut reader = Reader::from_str(text);
    let mut out = Vec::new();
    loop {
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        match reader.read_event() {
            Ok(Event::Start(start) | Event::Empty(start)) if start.name().as_ref() == "rule" => {
                out.push(place(text, at));
            }
            Ok(Event::Eof) | Err(_) => return out,
            Ok(_) => {}
        }
    }
}

fn place(text: &str, at: usize) -> Place {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_articles_rules() {
        let text = include_str!("../../tests/fixtures/no-out-traffic.xml");
        assert_eq!(
            rule_places(text),
            [(3, 3), (6, 3), (9, 3), (12, 3), (15, 3)]
        );
    }

    #[test]
    fn a_text_that_is_no_xml_has_none() {
        assert_eq!(rule_places("<filter><"), []);
    }
}
