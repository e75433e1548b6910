//! One path, several homes: the same frames over the same tables go through the host's path,
//! the kernel's programs and the ports that user space carries, and what comes of them is compared.
//!
//! - [`vector`], [`outer`], [`ip`], [`neighbours`]: a frame and its circumstances, how tunnels are
//!   made, packets, and ARP.
//! - [`host`], [`kernel`], [`user_space`]: the homes.
//! - [`home`]: the devices that runs in the kernel need, and the comparison of vectors.
//! - [`campaign`]: millions of generated frames over generated tables.

pub mod campaign;
pub mod home;
pub mod host;
pub mod ip;
pub mod kernel;
pub mod neighbours;
pub mod outer;
pub mod user_space;
pub mod vector;
