//! Texts from outside, short enough for a message.

/// Longest text that is shown whole, in characters.
const SHOWN: usize = 40;

/// The text, or its beginning with an ellipsis; without control characters.
pub fn shorten(text: &str) -> String {
    let shown = text.chars().take(SHOWN);
    let mut short: String = shown.filter(|c| !c.is_control()).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}
