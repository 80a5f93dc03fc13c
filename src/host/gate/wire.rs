//! The gate's table as the kernel's netlink messages have it (linux/netfilter/nf_tables.h).
//!
//! In the words of `nft`:
//!
//! ```text
//! table bridge lanfence {
//!   set closed { type ifname; size 32768; }
//!   chain from  { type filter hook prerouting  priority -400; iifname @closed counter drop; }
//!   chain host  { type filter hook input       priority -400; iifname @closed counter drop; }
//!   chain to    { type filter hook postrouting priority -400; oifname @closed counter drop; }
//! }
//! ```

use crate::host::netlink::{
    ACK, Append as _, Attributes, BRIDGE, CREATE, DUMP, Incoming, Message, NETFILTER, NFTABLES,
    Nest, REQUEST,
};

/// The only table that lanfence has.
pub const TABLE: &str = "lanfence";
/// The set of the interfaces that are closed.
const SET: &str = "closed";

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// Messages that make, ask for and take away.
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
const DELETE_RULE: u16 = 8;
const NEW_SET: u16 = 9;
const NEW_ELEMENTS: u16 = 12;
const GET_ELEMENTS: u16 = 13;
const DELETE_ELEMENTS: u16 = 14;
const GET_GENERATION: u16 = 16;

/// nft's number for interface names; it only tells nft how to print the set.
const IFNAME: u32 = 41;
/// What nft keeps for itself with a set: the byte order of its keys, 1 for the host's.
const PRINTED_AS_TEXT: [u8; 6] = {
    let [a, b, c, d] = 1_u32.to_ne_bytes();
    [0, 4, a, b, c, d]
};
/// Most interfaces that can be closed at once. The kernel keeps a set of a known size in a table
/// that does not grow (`nft_hash`): while one grows (`nft_rhash`), a dump may lack elements and does
/// not say so, and whoever opened the last one that he saw would open the others (measured:
/// docs/measurements.md#M65).
const SIZE: u32 = 1 << 15;
/// Bytes that the kernel compares of an interface's name.
pub const NAME_LENGTH: usize = 16;
/// Before nft's and libvirt's chains, of which the first has -300. A drop is final at any
/// priority; this only keeps stopped frames out of the counters of the filter's rules.
const PRIORITY: i32 = -400;
const FIRST_REGISTER: u32 = 1;
/// Elements in one message: an attribute holds less than 64 KiB.
const ELEMENTS: usize = 1000;

/// A chain of the table, the hook that it hangs on, and the name that its rule looks at
/// (`NFT_META_IIFNAME`, `NFT_META_OIFNAME`). `host` is for link-local frames, which a bridge
/// hands to the host without asking PREROUTING.
const CHAINS: [(&str, u32, u32); 3] = [("from", 0, 6), ("host", 1, 6), ("to", 4, 7)];

/// What a transaction does to the set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Make all that is missing, then add the names.
    Add,
    /// Take the names away.
    Remove,
    /// Take the table away with all that is in it.
    DeleteTable,
}

/// A transaction: all of it is done or nothing. With `generation` it is refused when the
/// rules have changed since.
pub fn transaction(
    change: Change,
    names: &[[u8; NAME_LENGTH]],
    generation: Option<u32>,
) -> Vec<u8> {
    let begin = Message::new(BATCH_BEGIN, REQUEST, &[0, 0, 0, 10]);
    let begin = match generation {
        Some(generation) => begin.number(1, generation),
        None => begin,
    };
    let mut messages = vec![begin];
    match change {
        Change::Add => {
            messages.extend(table());
            messages.extend(elements(NEW_ELEMENTS, CREATE, names));
        }
        Change::Remove => messages.extend(elements(DELETE_ELEMENTS, 0, names)),
        Change::DeleteTable => messages.push(message(DELETE_TABLE, ACK).text(1, TABLE)),
    }
    messages.push(Message::new(BATCH_END, REQUEST, &[0, 0, 0, 10]));
    messages.into_iter().flat_map(Message::finish).collect()
}

fn message(kind: u16, flags: u16) -> Message {
    Message::new(NFTABLES << 8 | kind, REQUEST | flags, &[BRIDGE, 0, 0, 0])
}

/// Makes table, set and chains where they are missing, and the chains' rules anew.
fn table() -> Vec<Message> {
    let mut messages = vec![
        message(NEW_TABLE, CREATE).text(1, TABLE),
        message(NEW_SET, CREATE)
            .text(1, TABLE)
            .text(2, SET)
            .number(3, 0)
            .number(4, IFNAME)
            .number(5, u32::try_from(NAME_LENGTH).expect("it is 16"))
            .nest(9, &Nest::default().number(1, SIZE))
            .number(10, 1)
            .with(13, &PRINTED_AS_TEXT),
    ];
    for (chain, hook, name) in CHAINS {
        let hook = Nest::default()
            .number(1, hook)
            .number(2, PRIORITY.cast_unsigned());
        messages.push(
            message(NEW_CHAIN, CREATE)
                .text(1, TABLE)
                .text(3, chain)
                .nest(4, &hook)
                .text(7, "filter"),
        );
        messages.push(message(DELETE_RULE, 0).text(1, TABLE).text(2, chain));
        messages.push(
            message(NEW_RULE, CREATE | 0x800)
                .text(1, TABLE)
                .text(2, chain)
                .nest(4, &drop_rule(name)),
        );
    }
    messages
}

/// `iifname @closed counter drop`.
fn drop_rule(name: u32) -> Nest {
    let expression = |kind: &str, data: Nest| Nest::default().text(1, kind).nest(2, &data);
    let meta = Nest::default().number(2, name).number(1, FIRST_REGISTER);
    let lookup = Nest::default()
        .text(1, SET)
        .number(2, FIRST_REGISTER)
        .number(4, 1);
    let verdict = Nest::default().nest(2, &Nest::default().number(1, 0));
    let immediate = Nest::default().number(1, 0).nest(2, &verdict);
    Nest::default()
        .nest(1, &expression("meta", meta))
        .nest(1, &expression("lookup", lookup))
        .nest(1, &expression("counter", Nest::default()))
        .nest(1, &expression("immediate", immediate))
}

/// The kernel answers the last message of the transaction, all of whose others are quiet
/// when they succeed.
fn elements(kind: u16, flags: u16, names: &[[u8; NAME_LENGTH]]) -> Vec<Message> {
    let of = |names: &[[u8; NAME_LENGTH]]| {
        let list = names.iter().fold(Nest::default(), |list, name| {
            let value = Nest::default().with(1, name);
            list.nest(1, &Nest::default().nest(1, &value))
        });
        message(kind, flags | ACK)
            .text(1, TABLE)
            .text(2, SET)
            .nest(3, &list)
    };
    names.chunks(ELEMENTS).map(of).collect()
}

/// The request for all elements of the set.
pub fn ask_for_elements() -> Vec<u8> {
    message(GET_ELEMENTS, DUMP)
        .text(1, TABLE)
        .text(2, SET)
        .finish()
}

/// The names in a message that answers it.
pub fn names(message: &Incoming<'_>) -> Vec<[u8; NAME_LENGTH]> {
    let Some(list) = message.attributes(NETFILTER).find(3) else {
        return Vec::new();
    };
    let name = |(_, element)| {
        let key = Attributes::within(element).find(1)?;
        Attributes::within(key).find(1)?.first_chunk().copied()
    };
    Attributes::within(list).filter_map(name).collect()
}

/// The request for the number that changes with every change of the rules.
pub fn ask_for_generation() -> Vec<u8> {
    message(GET_GENERATION, 0).finish()
}

/// The number in a message that answers it.
pub fn generation(message: &Incoming<'_>) -> Option<u32> {
    message.attributes(NETFILTER).number(1)
}
