//! Any run at all, for the invariants.

use crate::frame::Checksum;
use crate::nwfilter::learning::Learning;
use crate::nwfilter::{Parameter, ParameterSource};
use crate::probe::{Expect, Group, Origin, Point};
use crate::report::model::{
    BackEnd, Cause, CausePlace, CausingRule, Cell, CellError, ClientRun, Decided, DhcpClient,
    DhcpClients, ErrorKind, Failure, FilterInfo, Host, Identity, LearningPhase, Outcome, Points,
    ProbeFacts, ProbeResult, RuleHits, RuleText, Run, SCHEMA_VERSION, Seen, SentAgain, Skipped,
    Step, Timing, Verdict,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

const POINTS: [Point; 5] = [
    Point::TapFromGuest,
    Point::TapToGuest,
    Point::Peer,
    Point::Gateway,
    Point::Wan,
];

const OUTCOMES: [Outcome; 5] = [
    Outcome::Delivered,
    Outcome::Dropped,
    Outcome::NeverSent,
    Outcome::Lost,
    Outcome::Unknown,
];

/// What a browser, a shell or a terminal would act on.
const HOSTILE: [&str; 8] = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "../../../etc/passwd",
    "<!--",
    "</style></title>&lt;b&#x3e;",
];

/// Any text: mostly short words, sometimes anything that Unicode has.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z0-9/ |-]{0,24}",
        1 => ".{0,80}",
        1 => "[a-z]{90,120}",
        1 => any::<String>(),
        1 => select(&HOSTILE[..]).prop_map(str::to_owned),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        6 => Just(Verdict::Pass),
        1 => Just(Verdict::Fail(Failure::Leak)),
        1 => Just(Verdict::Fail(Failure::Blocked)),
        1 => Just(Verdict::KnownGap),
        1 => Just(Verdict::Inconclusive),
    ]
}

fn points() -> impl Strategy<Value = Option<Points>> {
    option::of(any::<u8>().prop_map(|bits| {
        let place = |point: Point| Point::ALL.iter().position(|it| *it == point);
        Points::where_seen(|point| place(point).is_some_and(|at| bits >> at & 1 == 1))
    }))
}

fn seen() -> impl Strategy<Value = Seen> {
    (points(), points(), points()).prop_map(|(control, filtered, first_frame)| Seen {
        control,
        filtered,
        first_frame,
    })
}

fn facts() -> impl Strategy<Value = ProbeFacts> {
    let rule = (option::of(text()), option::of(any::<usize>()));
    let decided = (select(&OUTCOMES[..]), rule, vec(text(), 0..3));
    let decided = decided.prop_map(|(outcome, (filter, rule), trace)| Decided {
        outcome,
        filter,
        rule,
        trace,
    });
    let origins = vec![Origin::Guest, Origin::Peer, Origin::Gateway, Origin::Wan];
    let frame = option::of(prop_oneof![4 => "([0-9a-f]{2}){0,80}", 1 => text()]);
    let way = (select(origins), select(&Point::ALL[..]));
    (text(), way, frame, option::of(decided)).prop_map(
        |(id, (origin, received_at), frame, decided)| ProbeFacts {
            id,
            origin,
            received_at,
            frame,
            decided,
        },
    )
}

fn probe() -> impl Strategy<Value = ProbeResult> {
    let names = (
        text(),
        select(&Group::ALL[..]),
        text(),
        select(vec![Expect::Pass, Expect::Drop]),
    );
    let outcomes = (
        select(&OUTCOMES[..]),
        select(&OUTCOMES[..]),
        option::of(select(&OUTCOMES[..])),
        option::of(select(&OUTCOMES[..])),
    );
    let rest = (
        verdict(),
        option::of(select(&POINTS[..])),
        option::of(text()),
        option::of(seen()),
    );
    (names, outcomes, rest).prop_map(|(names, outcomes, rest)| ProbeResult {
        id: names.0,
        group: names.1,
        summary: names.2,
        expect: names.3,
        control: outcomes.0,
        filtered: outcomes.1,
        leak_check: outcomes.2,
        first_frame: outcomes.3,
        verdict: rest.0,
        last_seen: rest.1,
        seen: rest.3,
        note: rest.2,
    })
}

fn took() -> impl Strategy<Value = ClientRun> {
    let sum = || {
        option::of(select(vec![
            Checksum::Complete,
            Checksum::Zero,
            Checksum::Partial,
            Checksum::Bad,
        ]))
    };
    let us = || option::of(any::<u64>());
    let times = (us(), us(), us());
    (times, sum(), sum(), option::of(text()), any::<bool>()).prop_map(
        |(times, at_tap, at_guest, failure, refused)| ClientRun {
            bound_us: times.0,
            renewed_us: times.1,
            informed_us: times.2,
            at_tap,
            at_guest,
            failure,
            refused,
        },
    )
}

fn client() -> impl Strategy<Value = DhcpClient> {
    let runs = (took(), option::of(took()), option::of(took()));
    let facts = (any::<bool>(), any::<bool>());
    (text(), text(), facts, runs).prop_map(|(name, system, facts, runs)| DhcpClient {
        name,
        system,
        strict: facts.0,
        real: facts.1,
        control: runs.0,
        filtered: runs.1,
        unfinished: runs.2,
    })
}

fn clients() -> impl Strategy<Value = DhcpClients> {
    (vec(client(), 0..4), vec(client(), 0..3))
        .prop_map(|(clients, vhost)| DhcpClients { clients, vhost })
}

fn parameter() -> impl Strategy<Value = Parameter> {
    let sources = [
        ParameterSource::Given,
        ParameterSource::Example,
        ParameterSource::Learnt,
    ];
    let learning = option::of(select(vec![Learning::Any, Learning::Dhcp]));
    (
        text(),
        option::of(text()),
        select(sources.to_vec()),
        learning,
    )
        .prop_map(|(name, value, source, learning)| Parameter {
            name,
            value,
            source,
            learning,
        })
}

fn rule_text() -> impl Strategy<Value = RuleText> {
    (text(), any::<usize>(), text()).prop_map(|(filter, rule, text)| RuleText {
        filter,
        rule,
        text,
    })
}

fn hits() -> impl Strategy<Value = RuleHits> {
    (text(), any::<usize>(), any::<u64>()).prop_map(|(filter, rule, frames)| RuleHits {
        filter,
        rule,
        frames,
    })
}

fn learning() -> impl Strategy<Value = LearningPhase> {
    let learning = select(vec![Learning::Any, Learning::Dhcp]);
    let counts = (any::<usize>(), any::<usize>(), option::of(any::<u64>()));
    (learning, any::<bool>(), counts).prop_map(|(learning, before_first_frame, counts)| {
        LearningPhase {
            learning,
            before_first_frame,
            sent: counts.0,
            let_out: counts.1,
            in_force_after_ms: counts.2,
        }
    })
}

fn sent_again() -> impl Strategy<Value = SentAgain> {
    (select(&Step::ALL), text()).prop_map(|(step, probe)| SentAgain { step, probe })
}

fn cell() -> impl Strategy<Value = Cell> {
    let kinds = vec![
        ErrorKind::Usage,
        ErrorKind::Host,
        ErrorKind::Cell,
        ErrorKind::Internal,
    ];
    let error =
        (select(&Step::ALL), text(), select(kinds)).prop_map(|(step, message, kind)| CellError {
            step,
            message,
            kind,
        });
    let timing = (select(&Step::ALL), any::<u64>()).prop_map(|(step, ms)| Timing { step, ms });
    let names = (text(), text(), text(), option::of(text()));
    let leak_check = prop_oneof![4 => Just(Some(true)), 1 => Just(Some(false)), 1 => Just(None)];
    let flaky = option::weighted(0.1, text());
    let ends = (
        option::weighted(0.15, error),
        leak_check,
        vec(text(), 0..3),
        flaky,
        option::weighted(0.3, clients()),
        option::of(select(&[BackEnd::Qemu, BackEnd::VhostNet])),
        vec(learning(), 0..3),
        vec(hits(), 0..3),
        vec(sent_again(), 0..3),
    );
    (names, vec(probe(), 0..6), vec(timing, 0..4), ends).prop_map(
        |(names, probes, timings, ends)| Cell {
            name: names.0,
            guest: names.1,
            nic: names.2,
            driver: names.3,
            back_end: ends.5,
            probes,
            timings,
            error: ends.0,
            leak_check: ends.1,
            evidence: ends.2,
            dhcp: ends.4,
            learning: ends.6,
            rules: ends.7,
            sent_again: ends.8,
            flaky: ends.3,
        },
    )
}

fn host() -> impl Strategy<Value = Host> {
    (vec(text(), 11), vec(text(), 0..4)).prop_map(|(mut texts, sysctls)| {
        let mut next = || texts.pop().unwrap_or_default();
        Host {
            accel: next(),
            accel_reason: next(),
            kernel: next(),
            libvirt: next(),
            backend: next(),
            segment: next(),
            iptables: next(),
            nft: next(),
            qemu: next(),
            guest_kernel: next(),
            privilege: next(),
            sysctls,
        }
    })
}

fn cause() -> impl Strategy<Value = Cause> {
    let failure = prop_oneof![Just(Failure::Leak), Just(Failure::Blocked)];
    let rule = (text(), 1..90_usize, text());
    let rule = rule.prop_map(|(filter, rule, text)| CausingRule { filter, rule, text });
    let place = (text(), 1..90_usize, 1..90_usize);
    let place = place.prop_map(|(file, line, column)| CausePlace { file, line, column });
    let ids = (vec(text(), 0..4), vec(text(), 0..3));
    let parts = (
        failure,
        any::<bool>(),
        text(),
        option::of(rule),
        option::of(place),
        ids,
    );
    parts.prop_map(
        |(failure, explained, text, rule, place, (probes, statements))| Cause {
            failure,
            explained,
            text,
            rule,
            place,
            probes,
            statements,
        },
    )
}

/// Any run, green ones among them.
pub(super) fn run() -> impl Strategy<Value = Run> {
    let filter = (
        option::weighted(0.8, text()),
        text(),
        any::<usize>(),
        vec(rule_text(), 0..3),
        vec(parameter(), 0..3),
        vec(text(), 0..3),
    )
        .prop_map(
            |(name, source, rules, texts, parameters, left_out)| FilterInfo {
                name,
                source,
                rules,
                texts,
                parameters,
                left_out,
            },
        );
    let texts = (text(), text(), option::of(text()));
    let skipped = (text(), text()).prop_map(|(name, reason)| Skipped { name, reason });
    let cells = (
        vec(cell(), 0..5),
        vec(skipped, 0..3),
        vec(cause(), 0..3),
        vec(facts(), 0..4),
    );
    let identity = option::of(vec(text(), 3)).prop_map(|texts| {
        texts.map(|texts| Identity {
            policy: texts[0].clone(),
            lan: vec!["192.168.0.0/16".parse().expect("a prefix")],
            policy_sha256: texts[1].clone(),
            filter_sha256: texts[2].clone(),
        })
    });
    (texts, filter, host(), cells, (any::<u64>(), identity)).prop_map(
        |(texts, filter, host, (cells, skipped, causes, probes), (wall_ms, identity))| Run {
            schema_version: SCHEMA_VERSION,
            version: texts.0,
            policy: texts.1,
            filter,
            host,
            cells,
            causes,
            skipped,
            probes,
            matrix: Vec::new(),
            inputs: None,
            identity,
            wall_ms,
            started: texts.2,
        },
    )
}
