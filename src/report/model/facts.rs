//! What is known of a probe beside its verdicts: where its frames were seen, what they look
//! like, and which rule is about them.

use super::Outcome;
use crate::probe::{Origin, Point};
use serde::{Deserialize, Serialize};

/// The points at which frames of a probe were seen in each pass that was reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Without the filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Points>,
    /// With the filter put on a running guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filtered: Option<Points>,
    /// With the filter there before the guest's first frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_frame: Option<Points>,
}

impl Seen {
    /// Where it was seen with the filter, in the pass that [`filtered`] is of.
    ///
    /// [`filtered`]: super::ProbeResult::filtered
    pub fn with_filter(&self) -> Option<&Points> {
        self.filtered.as_ref().or(self.first_frame.as_ref())
    }
}

/// Points in the order of [`Point::ALL`]. In JSON they are one text, `tap-from-guest peer`: a
/// full run has twenty thousand of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Points(Vec<Point>);

/// A word that is no point.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not a point at which frames are seen")]
pub struct UnknownPoint {
    word: String,
}

impl Points {
    /// Those for which the predicate holds.
    pub fn where_seen(seen: impl Fn(Point) -> bool) -> Self {
        Self(Point::ALL.into_iter().filter(|it| seen(*it)).collect())
    }

    /// Whether the point is one of them.
    pub fn has(&self, point: Point) -> bool {
        self.0.contains(&point)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Point> {
        self.0.iter().copied()
    }
}

impl From<Points> for String {
    fn from(points: Points) -> Self {
        let words: Vec<&str> = points.iter().map(Point::word).collect();
        words.join(" ")
    }
}

impl TryFrom<String> for Points {
    type Error = UnknownPoint;

    fn try_from(text: String) -> Result<Self, UnknownPoint> {
        let mut found = Vec::new();
        for word in text.split_whitespace() {
            let point = Point::ALL.into_iter().find(|point| point.word() == word);
            let unknown = || UnknownPoint { word: word.into() };
            found.push(point.ok_or_else(unknown)?);
        }
        Ok(Self::where_seen(|point| found.contains(&point)))
    }
}

/// A probe as all cells send it. Guests differ in their addresses; these are the first one's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeFacts {
    /// The probe's stable name.
    pub id: String,
    /// Who sends it.
    pub origin: Origin,
    /// Where it counts as delivered.
    pub received_at: Point,
    /// The frame that decides, in hexadecimal digits, with a nonce of no pass; none where a
    /// guest's firmware makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<String>,
    /// What the filter's rules say of that frame; none without a filter, or with one that the
    /// evaluator does not understand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decided>,
}

/// What the filter's rules say of a frame, by the evaluator and not by a sensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// What becomes of the frame.
    pub outcome: Outcome,
    /// The filter of the rule that decides; none where no rule does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// The number of that rule in it, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// The frame's way through the rules, a sentence a step.
    pub trace: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_words_in_json() {
        let points = Points::where_seen(|point| matches!(point, Point::Wan | Point::TapFromGuest));
        let json = serde_json::to_string(&points).expect("a text");
        assert_eq!(json, "\"tap-from-guest wan\"");
        let back: Points = serde_json::from_str("\"wan tap-from-guest wan\"").expect("points");
        assert_eq!(back, points);
        let error = serde_json::from_str::<Points>("\"wan moon\"").expect_err("no point");
        assert!(
            error.to_string().starts_with("`moon` is not a point"),
            "{error}"
        );
    }
}
