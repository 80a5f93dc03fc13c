//! Lines and columns.

/// Line and column, both from 1; columns count characters.
pub type Position = (usize, usize);

/// Finds places that are asked for in order without counting from the start each time.
#[derive(Debug)]
pub struct Cursor {
    /// Byte offset up to which is counted.
    at: usize,
    /// Its place.
    place: Position,
}

impl Default for Cursor {
    fn default() -> Self {
        Self {
            at: 0,
            place: (1, 1),
        }
    }
}

impl Cursor {
    /// The place of a byte offset; past the end it is that of the end.
    pub fn place(&mut self, text: &str, at: usize) -> Position {
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        if at < self.at {
            *self = Self::default();
        }
        let (line, column) = &mut self.place;
        for character in text[self.at..at].chars() {
            if character == '\n' {
                *line += 1;
                *column = 1;
            } else {
                *column += 1;
            }
        }
        self.at = at;
        self.place
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(text: &str, at: usize) -> Position {
        let before = &text[..at];
        let line = before.matches('\n').count() + 1;
        let last = before.rsplit('\n').next().unwrap_or_default();
        (line, last.chars().count() + 1)
    }

    proptest! {
        #[test]
        fn as_counted_from_the_start(text in "[a\u{e4}\\n]{0,40}", offsets in proptest::collection::vec(0..60_usize, 1..8)) {
            let mut cursor = Cursor::default();
            for at in offsets {
                let mut boundary = at.min(text.len());
                while !text.is_char_boundary(boundary) {
                    boundary -= 1;
                }
                prop_assert_eq!(cursor.place(&text, at), counted(&text, boundary));
            }
        }
    }
}
