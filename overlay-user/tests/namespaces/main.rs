//! The binary in network namespaces: real interfaces, real peers, real
//! applications, hostile frames.
//!
//! Each test makes namespaces of its own and removes them, so all of them may
//! run at once. They need root; without it they say `SKIPPED` by name, which
//! `CI=true` turns into a failure.

mod harness;

mod access;
mod acl;
mod api;
mod bad_config;
mod changes;
mod closed;
mod counters;
mod crash;
mod descriptors;
mod devices;
mod dhcp;
mod doctor;
mod explain;
mod faults;
mod filters;
mod guard;
mod guests;
mod hook_changes;
mod hooks;
mod jumbo;
mod learnt;
mod life;
mod limits;
mod loading;
mod lossless;
mod monitoring;
mod mtu;
mod multipath;
mod names;
mod neighbours;
mod nested;
mod next_hop;
mod one_armed;
mod privileges;
mod protocols;
mod real_peer;
mod reload;
mod replication;
mod routing;
mod segments;
mod sentences;
mod soak;
mod storms;
mod top;
mod trunk;
mod tunnels;
mod untouched;
mod uplink;
mod user_space;
mod watch;
mod web;
