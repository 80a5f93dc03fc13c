//! The step of a GitHub workflow that cures a runner.

use super::trial::{State, Trial};
use std::fmt::Write as _;

/// A step with the commands of all cures; none where no cure is a command.
pub fn step(trials: &[Trial]) -> Option<String> {
    let commands: Vec<&str> = trials.iter().filter_map(command).collect();
    if commands.is_empty() {
        return None;
    }
    let mut out = "- name: Let lanfence run its lab\n  run: |\n".to_owned();
    for command in commands {
        let _ = writeln!(out, "    {command}");
    }
    Some(out)
}

/// The first command of a cure that fails: what stands between the first backticks.
fn command(trial: &Trial) -> Option<&str> {
    let cure = match &trial.state {
        State::Fails { cure, .. } => cure,
        State::NotTried { cure, .. } => cure.as_ref()?,
        State::Works { .. } => return None,
    };
    cure.split('`').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Subject;

    #[test]
    fn a_step_has_every_command() {
        let trials = [
            Trial::works(Subject::Dnsmasq, "it does `this`"),
            Trial::fails(
                Subject::Tun,
                "closed",
                "`sudo chmod 0666 /dev/net/tun`, or be root",
            ),
            Trial::fails(Subject::Namespaces, "no", "run as root"),
            Trial::fails(Subject::Kvm, "closed", "`sudo chmod 0666 /dev/kvm`"),
        ];
        insta::assert_snapshot!(step(&trials).unwrap(), @r"
        - name: Let lanfence run its lab
          run: |
            sudo chmod 0666 /dev/net/tun
            sudo chmod 0666 /dev/kvm
        ");
        assert_eq!(step(&trials[..1]), None);
    }
}
