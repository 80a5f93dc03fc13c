use super::*;

use crate::nwfilter::evaluate::{Backend, Compiled};
use crate::nwfilter::generate;
use crate::policy::Policy;

fn rulings(policy: &Policy, guest: crate::frame::Mac) -> Rulings {
    Rulings::of(&Places::of(policy, guest, &[]), &[])
}

#[test]
fn the_generated_filter_keeps_every_statement() {
    let policies = [
        Policy::EXAMPLE,
        "[lan]\nprefixes = [\"10.1.0.0/16\", \"10.2.0.0/16\", \"fe80::/10\", \"fd00:1::/64\"]\n[dhcp]\nservers = [\"10.9.0.1\"]\n[allow]\nhosts = [\"203.0.113.5/32\", \"2001:db8::5/128\"]\n",
        "[lan]\nprefixes = [\"192.168.1.0/24\"]\nlink-local = true\n",
        "[lan]\nprefixes = [\"10.1.0.0/16\"]\n[dhcp]\nclient = false\n[broadcast]\nlimited = false\n[multicast]\ngroups = []\n",
    ];
    for (text, backend) in policies
        .iter()
        .flat_map(|text| [(text, Backend::Ebtables), (text, Backend::Nftables)])
    {
        let policy = Policy::parse(text, "test").unwrap();
        let guest = [0x52, 0x54, 0, 0, 0, 1];
        let filter =
            Compiled::with_backend(&[generate(&policy)], &policy.name, guest, &[], backend)
                .unwrap();
        let start = std::time::Instant::now();
        let rulings = rulings(&policy, guest);
        eprintln!("{} regions {:?}", rulings.len(), start.elapsed());
        let start = std::time::Instant::now();
        let held = rulings.hold(&filter);
        eprintln!("hold {:?}", start.elapsed());
        for held in held {
            for wrong in &held.wrong {
                eprintln!(
                    "{} {} {} {:?}",
                    held.statement.id(),
                    wrong.kind,
                    crate::frame::summary(&wrong.frame),
                    wrong.evaluation.trace.last()
                );
            }
            if let Some(why) = &held.inexact {
                eprintln!("{} inexact {why}", held.statement.id());
            }
        }
    }
}
