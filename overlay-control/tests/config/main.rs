//! The configuration file: what is taken, and what is refused where and why.

mod accepted;
mod acls;
mod edit;
mod edit_faults;
mod edit_random;
mod helps;
mod host;
mod marked;
mod metrics;
mod random;
mod relations;
mod routing;
mod sizes;
mod structure;
mod values;
mod web;
