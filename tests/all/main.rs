//! The integration tests, in one program: each would take a link of its own, and a module
//! is as good a filter (`cargo xtask test --test all -- verdicts::`). `matrix` and
//! `lint_claims` stand beside it, because they list their tests themselves.

mod accepted;
mod bad_input;
mod check;
#[cfg(feature = "lab")]
mod ci_action;
#[cfg(feature = "lab")]
mod ci_gitlab;
#[cfg(feature = "lab")]
mod client_profiles;
mod documents;
mod examples;
mod fuzz;
mod guest;
mod hook;

#[path = "../common/repository.rs"]
mod repository;

#[path = "../../src/testdata/language.rs"]
mod language;

#[cfg(feature = "lab")]
#[path = "../common/browser.rs"]
mod browser;
#[cfg(feature = "lab")]
#[path = "../common/capture.rs"]
mod capture;
#[cfg(feature = "lab")]
#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "lab")]
#[path = "../common/kernel.rs"]
mod kernel;
#[cfg(feature = "lab")]
#[path = "../common/own_network.rs"]
mod own_network;

#[cfg(feature = "lab")]
#[path = "../common/ordinary_user.rs"]
mod ordinary_user;

#[cfg(feature = "lab")]
#[path = "../common/small_host.rs"]
mod small_host;

#[cfg(feature = "lab")]
mod apply;
#[cfg(feature = "lab")]
mod audit;
#[cfg(feature = "lab")]
mod bad_moments;
#[cfg(feature = "lab")]
mod baseline;
#[cfg(feature = "lab")]
mod coverage;
#[cfg(feature = "lab")]
mod crosscheck;
#[cfg(feature = "lab")]
mod definitions;
#[cfg(feature = "lab")]
mod dhcp_clients;
#[cfg(feature = "lab")]
mod doctor;
#[cfg(feature = "lab")]
mod dumpxml;
#[cfg(feature = "lab")]
mod evaluator;
#[cfg(feature = "lab")]
mod faults;
#[cfg(feature = "lab")]
mod firmware;
#[cfg(feature = "lab")]
mod fix;
#[cfg(feature = "lab")]
mod foreign;
#[cfg(feature = "lab")]
mod gate;
#[cfg(feature = "lab")]
mod histories;
#[cfg(feature = "lab")]
mod hosts;
#[cfg(feature = "lab")]
mod learning;
#[cfg(feature = "lab")]
mod lease;
#[cfg(feature = "lab")]
mod libvirt_hook;
#[cfg(feature = "lab")]
mod page;
#[cfg(feature = "lab")]
mod partitions;
#[cfg(feature = "lab")]
mod recreated;
#[cfg(feature = "lab")]
mod replay;
#[cfg(feature = "lab")]
mod replay_frames;
#[cfg(feature = "lab")]
mod restore;
#[cfg(feature = "lab")]
mod shipped;
#[cfg(feature = "lab")]
mod shortcuts;
#[cfg(feature = "lab")]
mod tap;
#[cfg(feature = "lab")]
mod verdicts;
#[cfg(feature = "lab")]
mod watch;
#[cfg(feature = "lab")]
mod watch_kernel;
