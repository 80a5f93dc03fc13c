//! What passes, kind of frame by kind of frame.

use crate::cli::levels::WIDTH;
use crate::nwfilter::evaluate::field::Field;
use crate::nwfilter::reach::{Form, Region, Summary};
use crate::report::text::wrap;
use std::fmt::Write as _;

/// Columns of the kinds' names.
const NAME: usize = 32;

/// Most sets that are listed of a kind; the rules above tell the others.
const SHOWN: usize = 16;

/// All kinds; neighbours of which the same is to be said are named together.
pub fn text(kinds: &[Summary]) -> String {
    let all: Vec<&str> = kinds.iter().map(|kind| kind.name.as_str()).collect();
    let mut groups: Vec<(Vec<&str>, Vec<String>)> = Vec::new();
    for kind in kinds {
        let said = said(kind);
        match groups.iter_mut().find(|(_, known)| *known == said) {
            Some((names, _)) => names.push(&kind.name),
            None => groups.push((vec![&kind.name], said)),
        }
    }
    let most = groups.iter().map(|(names, _)| names.len()).max();
    let mut out = String::new();
    let mut others = None;
    for (names, said) in &groups {
        // The longest list of names is told by what it is not.
        if groups.len() > 1 && names.len() >= MANY && Some(names.len()) == most && others.is_none()
        {
            others = Some(said);
        } else {
            kind(&mut out, &named(names, &all), said);
        }
    }
    if let Some(said) = others {
        kind(&mut out, "every other kind of frame", said);
    }
    out
}

/// Kinds from this number on are not listed one by one, if they are the most.
const MANY: usize = 6;

/// What is said of a kind, in lines.
fn said(kind: &Summary) -> Vec<String> {
    let mut out = match &kind.form {
        Form::Only(regions) if regions.is_empty() => vec!["nothing".to_owned()],
        Form::Only(regions) => only(kind, regions),
        Form::AllBut(regions) if regions.is_empty() => vec!["everything".to_owned()],
        Form::AllBut(regions) => listed(kind, regions, "everything but "),
        Form::Unknown => vec!["what the rules above accept".to_owned()],
    };
    let answers = kind.further_answers();
    if !answers.is_empty() && !kind.is_open() {
        out.extend(listed(kind, &answers, "and answers of connections: "));
    }
    if kind.of_first_packets {
        out.push("(of connections, this is about first packets)".to_owned());
    }
    out.extend(kind.inexact.iter().map(|why| format!("not exact: {why}")));
    out
}

/// Sets, one a line; the first follows on words.
fn listed(kind: &Summary, regions: &[Region], first: &str) -> Vec<String> {
    let mut out: Vec<String> = regions
        .iter()
        .take(SHOWN)
        .enumerate()
        .map(|(at, region)| {
            let before = if at == 0 { first } else { "or " };
            format!("{before}{}", kind.words(region))
        })
        .collect();
    if regions.len() > SHOWN {
        let more = regions.len() - SHOWN;
        out.push(format!("and {more} more sets, which the rules above tell"));
    }
    out
}

/// Sets of frames that pass, with what they have in common said first.
fn only(kind: &Summary, regions: &[Region]) -> Vec<String> {
    let first = &regions[0];
    let shared: Vec<Field> = Field::ALL
        .into_iter()
        .filter(|field| {
            let set = first.get(*field);
            set != kind.all().get(*field) && regions.iter().all(|other| other.get(*field) == set)
        })
        .collect();
    if regions.len() == 1 || shared.is_empty() {
        return listed(kind, regions, "");
    }
    let mut common = kind.all().clone();
    for field in &shared {
        common = common.with(*field, first.get(*field).clone());
    }
    let words = kind.words(&common);
    let rest = regions.iter().map(|region| {
        let mut rest = region.clone();
        for field in &shared {
            rest = rest.with(*field, kind.all().get(*field).clone());
        }
        rest
    });
    let rest: Vec<Region> = rest.collect();
    // Parts of a frame are not worth a word.
    if words == "everything" {
        return listed(kind, &rest, "");
    }
    let mut out = vec![format!("{words}, and")];
    out.extend(listed(kind, &rest, ""));
    out
}

/// Kinds of frames in few words: a family of which all are meant by its name alone.
fn named(names: &[&str], all: &[&str]) -> String {
    if names.len() == all.len() {
        return "every kind of frame".to_owned();
    }
    let whole = |family: &str| {
        let mut members = all.iter().filter(|name| is_of(name, family));
        members.all(|name| names.contains(name))
    };
    let mut out: Vec<&str> = Vec::new();
    for name in names {
        // Behind extension headers or not: both are named at once.
        if name
            .strip_suffix(BEHIND)
            .is_some_and(|plain| names.contains(&plain))
        {
            continue;
        }
        let family = FAMILIES
            .into_iter()
            .find(|family| is_of(name, family) && whole(family));
        let word = family.unwrap_or(name);
        if !out.contains(&word) {
            out.push(word);
        }
    }
    out.join("; ")
}

/// The end of the name of a kind with extension headers.
const BEHIND: &str = " behind extension headers";

const FAMILIES: [&str; 4] = ["IPv4", "IPv6", "ARP", "RARP"];

fn is_of(name: &str, family: &str) -> bool {
    name == family
        || name.starts_with(&format!("{family} "))
        || name == format!("later {family} fragments")
}

fn kind(out: &mut String, names: &str, lines: &[String]) {
    let names = wrap("    ", names, NAME, 6);
    let lines: Vec<String> = lines
        .iter()
        .flat_map(|text| wrap("", text, WIDTH - NAME - 2, 2))
        .collect();
    for at in 0..names.len().max(lines.len()) {
        let name = names.get(at).map_or("", String::as_str);
        let text = lines.get(at).map_or("", String::as_str);
        let line = format!("{name:<NAME$}  {text}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
}
