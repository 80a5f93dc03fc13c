//! An index that finds the probes which a frame belongs to.

use super::Sighting;
use crate::frame::{Tag, View};
use std::collections::HashMap;

/// An index over sightings. A cell has hundreds of probes and thousands of frames; with
/// the index each frame is searched for a tag once and parsed once, instead of once for
/// each probe.
#[derive(Debug, Default)]
pub struct Lookup {
    by_tag: HashMap<Tag, Vec<usize>>,
    others: Vec<(usize, Sighting)>,
}

impl Lookup {
    /// Indexes the sightings. [`Lookup::hits`] returns positions in this sequence, from 0.
    pub fn new<'a>(sightings: impl IntoIterator<Item = &'a Sighting>) -> Self {
        let mut out = Self::default();
        for (at, sighting) in sightings.into_iter().enumerate() {
            match sighting {
                Sighting::Tag(tag) => out.by_tag.entry(*tag).or_default().push(at),
                other => out.others.push((at, other.clone())),
            }
        }
        out
    }

    /// Positions of all sightings that match the frame, in ascending order:
    /// the same as calling [`Sighting::matches`] on each.
    pub fn hits(&self, frame: &[u8]) -> Vec<usize> {
        let tagged = Tag::find(frame).and_then(|tag| self.by_tag.get(&tag));
        let mut out = tagged.cloned().unwrap_or_default();
        if let Some(upper) = View::parse(frame).and_then(|view| view.upper()) {
            let matching = self
                .others
                .iter()
                .filter(|(_, sighting)| sighting.matches_upper(&upper));
            out.extend(matching.map(|(at, _)| *at));
        }
        out.sort_unstable();
        out
    }
}
