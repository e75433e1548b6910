//! One frame's way through a port that user space carries.

use overlay_common::abi::Hook;
use overlay_common::path::{Ingress, from_access, from_underlay, one_armed};
use overlay_common::tables::Tables as _;
use overlay_common::verdict::{DropReason, Verdict};
use overlay_control::controller::Role;

use super::buffer::Buffer;
use super::tables::PortTables;
use super::witness::Witness;

/// A port, as its frames see it.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// Its device.
    pub ifindex: u32,
    /// Its role.
    pub role: Role,
}

impl Gate {
    /// Runs the packet path. Copies go into the frame's outbox; the frame itself is sent, or
    /// not, by what this answers.
    ///
    /// # Errors
    ///
    /// The reason for which the frame is to be dropped.
    #[inline(always)]
    pub fn run(
        &self,
        frame: &mut Buffer<'_>,
        tables: &PortTables<'_>,
    ) -> Result<Verdict, DropReason> {
        let ingress = Ingress { ifindex: self.ifindex, hook: Hook::User };
        match self.role {
            Role::Uplink => from_underlay::run(frame, tables, ingress),
            Role::Access => from_access::run(frame, tables, ingress),
            Role::OneArmed => one_armed::run(frame, tables, ingress),
        }
    }

    /// The same while somebody watches.
    #[cold]
    fn run_watched(
        &self,
        frame: &mut Buffer<'_>,
        tables: &PortTables<'_>,
        witness: &mut Witness<'_>,
    ) -> Result<Verdict, DropReason> {
        let begun = witness.before(frame, self.ifindex);
        let result = self.run(frame, tables);
        witness.after(begun, frame, self.ifindex, &result);
        result
    }

    /// Runs the path, queues what is to be sent, and counts what is dropped.
    ///
    /// # Safety
    ///
    /// The bytes that the frame was made of stay as they are until its outbox is flushed.
    #[inline(always)]
    pub unsafe fn carry(
        &self,
        mut frame: Buffer<'_>,
        tables: &PortTables<'_>,
        witness: Option<&mut Witness<'_>>,
    ) {
        let result = match witness {
            None => self.run(&mut frame, tables),
            Some(witness) => self.run_watched(&mut frame, tables, witness),
        };
        match result {
            Ok(Verdict::Transmit(egress) | Verdict::Deliver(egress)) => {
                // SAFETY: the caller's.
                unsafe { frame.transmit(egress) };
            }
            // The host's own stack has what is not the overlay's.
            Ok(
                Verdict::Pass
                | Verdict::Defer
                | Verdict::Route
                | Verdict::Flood
                | Verdict::Consumed,
            ) => {}
            Err(reason) => tables.count_drop(self.ifindex, reason, 1),
        }
    }
}
