//! One start tag as text: an attribute set, added or taken out, and the rest as it is.

use quick_xml::escape::escape;
use std::ops::Range;

/// An attribute in a tag.
struct Attribute<'t> {
    name: &'t str,
    /// From the white space before its name to its closing quote.
    whole: Range<usize>,
    /// Between the quotes.
    value: Range<usize>,
}

/// The tag with an attribute of this value, or without it; none where the tag cannot be read.
pub fn with(tag: &str, name: &str, value: Option<&str>) -> Option<String> {
    let attributes = attributes(tag)?;
    let found = attributes.iter().find(|attribute| attribute.name == name);
    Some(match (found, value) {
        (None, None) => tag.to_owned(),
        (Some(found), None) => {
            format!("{}{}", &tag[..found.whole.start], &tag[found.whole.end..])
        }
        (Some(found), Some(value)) => format!(
            "{}{}{}",
            &tag[..found.value.start],
            escape(value),
            &tag[found.value.end..]
        ),
        (None, Some(value)) => {
            let close = if tag.ends_with("/>") { 2 } else { 1 };
            let end = tag.len().checked_sub(close)?;
            let body = tag[..end].trim_end();
            format!("{body} {name}='{}'{}", escape(value), &tag[body.len()..])
        }
    })
}

/// The attributes of a tag; none where it cannot be read.
fn attributes(tag: &str) -> Option<Vec<Attribute<'_>>> {
    let bytes = tag.as_bytes();
    let space = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_whitespace);
    let mut at = tag.find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>')?;
    let mut out = Vec::new();
    loop {
        let before = at;
        while space(at) {
            at += 1;
        }
        if matches!(bytes.get(at)?, b'/' | b'>') {
            return Some(out);
        }
        let start = at;
        while *bytes.get(at)? != b'=' && !space(at) {
            at += 1;
        }
        let name = &tag[start..at];
        while space(at) {
            at += 1;
        }
        if *bytes.get(at)? != b'=' {
            return None;
        }
        at += 1;
        while space(at) {
            at += 1;
        }
        let quote = *bytes.get(at)?;
        let value = at + 1;
        let end = value + tag.get(value..)?.bytes().position(|byte| byte == quote)?;
        at = end + 1;
        out.push(Attribute {
            name,
            whole: before..at,
            value: value..end,
        });
    }
}

/// The start tags of a text, from `<` to `>`; comments and end tags are none.
pub fn start_tags(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(open) = text[at..].find('<').map(|found| at + found) {
        if let Some(comment) = text[open..].strip_prefix("<!--") {
            at = comment
                .find("-->")
                .map_or(text.len(), |end| open + 4 + end + 3);
            continue;
        }
        // A `>` in quotes does not end the tag.
        let mut quote = None;
        let mut end = open + 1;
        while end < bytes.len() {
            match (quote, bytes[end]) {
                (None, b'>') => break,
                (None, byte @ (b'\'' | b'"')) => quote = Some(byte),
                (Some(open), byte) if open == byte => quote = None,
                _ => {}
            }
            end += 1;
        }
        let end = (end + 1).min(bytes.len());
        if !matches!(bytes.get(open + 1), Some(b'/' | b'!' | b'?')) {
            out.push(open..end);
        }
        at = end;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::another_value("<ip a='1'  b=\"2\" />", "b", Some("3"), "<ip a='1'  b=\"3\" />")]
    #[case::one_more("<ip a='1' />", "b", Some("3"), "<ip a='1' b='3' />")]
    #[case::the_first("<ip/>", "b", Some("3"), "<ip b='3'/>")]
    #[case::of_a_tag_with_content(
        "<rule\n  action = 'drop'>",
        "priority",
        Some("-5"),
        "<rule\n  action = 'drop' priority='-5'>"
    )]
    #[case::out("<ip a='1'  b=\"2\" c='3'/>", "b", None, "<ip a='1' c='3'/>")]
    #[case::that_is_not_there("<ip a='1'/>", "b", None, "<ip a='1'/>")]
    #[case::no_part_of_a_name("<ip srcb='1' b='2'/>", "b", Some("9"), "<ip srcb='1' b='9'/>")]
    #[case::no_part_of_a_value("<ip a=' b=\"1\" '/>", "b", Some("9"), "<ip a=' b=\"1\" ' b='9'/>")]
    fn attributes(
        #[case] tag: &str,
        #[case] name: &str,
        #[case] value: Option<&str>,
        #[case] expected: &str,
    ) {
        assert_eq!(with(tag, name, value).unwrap(), expected);
    }

    #[test]
    fn start_tags_without_what_is_none() {
        let text = "<rule a='>'><!-- <ip/> --><ip b='1'/> </rule>";
        let tags: Vec<&str> = start_tags(text)
            .into_iter()
            .map(|span| &text[span])
            .collect();
        assert_eq!(tags, ["<rule a='>'>", "<ip b='1'/>"]);
    }
}
