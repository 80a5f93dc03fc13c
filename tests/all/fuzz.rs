//! Fuzz targets on stable Rust: octets of filters and of frames are changed,
//! cut, doubled and exchanged, and nothing may panic or contradict itself.
//!
//! A short seeded run by default; `LANFENCE_FUZZ=SECONDS` runs each target that
//! long from a seed that it prints, `LANFENCE_FUZZ_SEED=SEED` repeats one.

use crate::language;
use lanfence::frame::{View, summary};
use lanfence::nwfilter::evaluate::{Compiled, Way};
use lanfence::nwfilter::{as_libvirt, canonical, document, generate, write};
use lanfence::policy::Policy;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Rounds of a short run.
const ROUNDS: u32 = 3000;

/// Numbers from a seed (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).expect("64 bits"))
            .expect("64 bits")
    }

    /// Some octets changed, cut out, doubled or taken from another text.
    fn mutate(&mut self, octets: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(6) {
            let at = self.below(octets.len() + 1);
            let end = (at + self.below(24)).min(octets.len());
            match self.below(6) {
                0 if at < octets.len() => octets[at] = self.next().to_le_bytes()[0],
                1 if at < octets.len() => octets[at] ^= 1 << self.below(8),
                2 => drop(octets.drain(at..end)),
                3 => {
                    let part = octets[at..end].to_vec();
                    octets.splice(at..at, part);
                }
                4 => {
                    let from = self.below(other.len());
                    let to = (from + self.below(40)).min(other.len());
                    octets.splice(at..end, other[from..to].iter().copied());
                }
                _ => octets.truncate(at.max(octets.len() / 2)),
            }
        }
    }
}

/// Runs a target for the rounds or the time that are asked for.
fn run(name: &str, mut target: impl FnMut(&mut Random)) {
    let number = |name: &str| -> Option<u64> {
        let text = std::env::var(name).ok()?;
        Some(
            text.parse()
                .unwrap_or_else(|_| panic!("{name} is no number")),
        )
    };
    let time = number("LANFENCE_FUZZ").map(Duration::from_secs);
    let fresh = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(1, |now| now.as_secs() ^ u64::from(now.subsec_nanos()))
    };
    let seed = number("LANFENCE_FUZZ_SEED").unwrap_or_else(|| time.map_or(1, |_| fresh()));
    println!("{name}: LANFENCE_FUZZ_SEED={seed}");
    let mut random = Random(seed.max(1));
    let started = Instant::now();
    let mut rounds = 0;
    while time.map_or(rounds < ROUNDS, |time| started.elapsed() < time) {
        target(&mut random);
        rounds += 1;
    }
    println!("{name}: {rounds} rounds");
}

/// Filters of the whole language, as text.
fn corpus() -> Vec<Vec<u8>> {
    let seed = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), seed);
    let strategy = language::filter();
    let mut one = || {
        let tree = strategy.new_tree(&mut runner).expect("nothing is rejected");
        language::as_written(&tree.current()).into_bytes()
    };
    (0..50).map(|_| one()).collect()
}

#[test]
fn the_readers() {
    let corpus = corpus();
    run("readers", |random| {
        let mut octets = corpus[random.below(corpus.len())].clone();
        let other = &corpus[random.below(corpus.len())];
        random.mutate(&mut octets, other);
        let text = String::from_utf8_lossy(&octets);
        let (strict, lenient) = (document(&text, "f"), as_libvirt(&text, "f"));
        match (strict, lenient) {
            // What the strict reader takes, the lenient one takes without a remark.
            (Ok(strict), Ok(lenient)) => assert_eq!(strict, lenient, "{text}"),
            (Ok(_), Err(error)) => panic!("{error}: {text}"),
            (Err(_), Ok(lenient)) => assert!(!lenient.ignored.is_empty(), "{text}"),
            (Err(_), Err(_)) => return,
        }
        // What was understood is written so that it reads back as the same. Not by
        // the strict reader: libvirt itself prints `state=''`, which it refuses.
        let understood = as_libvirt(&text, "f").expect("it was read above").filter;
        let written = write(&understood);
        let again = as_libvirt(&written, "f").unwrap_or_else(|error| panic!("{error}: {written}"));
        assert_eq!(again.filter, canonical(&understood), "{text}");
    });
}

#[test]
fn the_frame_parser_and_the_evaluator() {
    let policy = Policy::example();
    let filter = generate(&policy);
    let compiled = Compiled::new(std::slice::from_ref(&filter), &filter.name, [2; 6], &[]);
    let compiled = compiled.expect("the generated filter is good");
    let frames = frames();
    run("frames", |random| {
        let mut frame = frames[random.below(frames.len())].clone();
        let other = &frames[random.below(frames.len())];
        random.mutate(&mut frame, other);
        assert!(!summary(&frame).is_empty());
        let _ = View::parse(&frame);
        for way in [Way::FromGuest, Way::ToGuest] {
            let decision = compiled.decide(&frame, way);
            assert_eq!(
                decision,
                compiled.evaluate(&frame, way).decision,
                "{frame:02x?}"
            );
        }
    });
}

/// Whole frames of every kind that the parser knows.
fn frames() -> Vec<Vec<u8>> {
    use lanfence::frame::{Ip4, Ip6, Link, VlanTag, arp, ethertype};
    let link = Link::new([2; 6], [4; 6]);
    let (a, b) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    let (v4, v6) = (
        Ip4::new(a, b),
        Ip6::new(
            "fe80::1".parse().expect("fixed"),
            "ff02::1".parse().expect("fixed"),
        ),
    );
    vec![
        link.frame(ethertype::IPV4, &v4.udp(68, 67, b"lanfence")),
        link.frame(ethertype::IPV4, &v4.tcp(1, 2, 2, b"")),
        link.frame(ethertype::IPV4, &v4.echo(b"x")),
        link.frame(ethertype::IPV6, &v6.udp(546, 547, b"x")),
        link.frame(ethertype::IPV6, &v6.echo(b"x")),
        arp::request(([2; 6], a), b, b"x"),
        arp::qemu_announce([2; 6], &[]),
        link.stacked(
            &[VlanTag::q(1), VlanTag::q(2)],
            ethertype::IPV4,
            &v4.echo(b""),
        ),
        link.frame(0x8864, &[0x11, 0, 0, 1, 0, 6, 0, 0x21, 0x45, 0, 0, 20]),
        link.frame(30, &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0, 0x45, 0, 0, 20]),
    ]
}
