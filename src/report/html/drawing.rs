//! The lab as a drawing: where a probe's frames were seen.

use crate::probe::{Origin, Point};
use crate::report::model::{Points, ProbeFacts};
use maud::{Markup, PreEscaped, html};

/// The drawing's shapes, once in the page. Each use colours them through variables of its
/// style sheet.
const SHAPES: &str = include_str!("topology.svg");

/// The shapes, unseen.
pub fn shapes() -> Markup {
    PreEscaped(SHAPES.trim_end().to_owned())
}

/// The drawing with the points at which the frames were seen. Who cannot see it reads the same
/// in [`words`], which stand beside it.
pub fn drawing(facts: Option<&ProbeFacts>, points: &Points, filtered: bool) -> Markup {
    let mut class = String::from("t");
    let mut mark = |is: bool, name: &str| {
        if is {
            class.push(' ');
            class.push_str(name);
        }
    };
    let any = |pair: [Point; 2]| pair.iter().any(|point| points.has(*point));
    mark(any([Point::TapFromGuest, Point::TapToGuest]), "s1");
    mark(any([Point::Peer, Point::FromPeer]), "s2");
    mark(any([Point::Gateway, Point::FromGateway]), "s3");
    mark(any([Point::Wan, Point::FromWan]), "s4");
    mark(filtered, "f");
    if let Some(facts) = facts {
        mark(true, from(facts.origin));
        mark(true, to(facts.received_at));
    }
    html! {
        svg class=(class) aria-hidden="true" {
            use href="#lab" {}
        }
    }
}

fn from(origin: Origin) -> &'static str {
    match origin {
        Origin::Guest => "o1",
        Origin::Peer => "o2",
        Origin::Gateway => "o3",
        Origin::Wan => "o4",
    }
}

fn to(point: Point) -> &'static str {
    match point {
        Point::TapFromGuest | Point::TapToGuest => "d1",
        Point::Peer | Point::FromPeer => "d2",
        Point::Gateway | Point::FromGateway => "d3",
        Point::Wan | Point::FromWan => "d4",
    }
}

/// Where it was seen and where it was not, of the points that count for a frame of this origin.
pub fn words(origin: Option<Origin>, points: &Points) -> String {
    let names = |points: Vec<Point>| {
        let names: Vec<&str> = points.into_iter().map(name).collect();
        names.join(", ")
    };
    let seen: Vec<Point> = points.iter().collect();
    let of_interest = origin.map_or(&[][..], way);
    let missed = of_interest.iter().copied().filter(|it| !points.has(*it));
    let missed: Vec<Point> = missed.collect();
    match (seen.is_empty(), missed.is_empty()) {
        (true, _) => "seen nowhere".to_owned(),
        (false, true) => format!("seen at {}", names(seen)),
        (false, false) => format!("seen at {}; not at {}", names(seen), names(missed)),
    }
}

/// The points that a frame of this origin can come to.
fn way(origin: Origin) -> &'static [Point] {
    match origin {
        Origin::Guest => &[Point::TapFromGuest, Point::Peer, Point::Gateway, Point::Wan],
        Origin::Peer => &[Point::FromPeer, Point::TapToGuest],
        Origin::Gateway => &[Point::FromGateway, Point::TapToGuest],
        Origin::Wan => &[Point::FromWan, Point::FromGateway, Point::TapToGuest],
    }
}

/// A point in few words.
fn name(point: Point) -> &'static str {
    match point {
        Point::TapFromGuest => "tap (out)",
        Point::TapToGuest => "tap (in)",
        Point::Peer => "LAN peer",
        Point::Gateway => "router",
        Point::Wan => "WAN",
        Point::FromPeer => "LAN peer (sending)",
        Point::FromGateway => "router (sending)",
        Point::FromWan => "WAN (sending)",
    }
}

/// Who sends a probe, and where it counts as delivered.
pub fn way_words(facts: &ProbeFacts) -> String {
    let from = match facts.origin {
        Origin::Guest => "the guest",
        Origin::Peer => "the LAN peer",
        Origin::Gateway => "the router",
        Origin::Wan => "the WAN",
    };
    let to = match facts.received_at {
        Point::TapFromGuest | Point::TapToGuest => "guest's tap",
        other => name(other),
    };
    format!("from {from}, delivered when seen at the {to}")
}
