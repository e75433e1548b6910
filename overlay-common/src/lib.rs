//! What a packet means.
//!
//! This crate is compiled three times: into the XDP program, into the tc
//! program, and into the host binary, where it is the slow path and the oracle
//! that the kernel programs are checked against. It therefore knows no maps, no
//! sockets, no clock and no allocator.
//!
//! - [`wire`]: header views over packet bytes, and checksums.
//! - [`abi`]: table keys, values and records shared by kernel and user space.
//! - [`hash`]: the hash tables that both share.
//! - [`packet`]: what the path asks of a packet buffer.
//! - [`tables`]: what the path asks of the node's tables.
//! - [`verdict`]: what the path answers.
//! - [`path`]: the packet's way, one file a stage.
//! - [`watch`]: which frames somebody wants to see.
#![no_std]
// The only assembly there is: words of headers in `wire`, and a barrier in `path`.
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod abi;
pub mod hash;
pub mod id;
pub mod packet;
pub mod path;
pub mod tables;
pub mod verdict;
pub mod watch;
pub mod wire;
pub mod word;
