//! Who says what becomes of a frame.

use anyhow::Result;
use overlay_common::abi::Hook;
use overlay_user::dataplane::features::Features;

use super::world::World;
use crate::home::{Home, can_run};
use crate::host::{Host, Left};
use crate::kernel::Kernel;
use crate::user_space::UserSpace;
use crate::vector::{Outcome, Vector};

/// One home of the path. The host's run at the same hook is what it is compared with.
pub trait Judge {
    /// Its name, in reports.
    fn name(&self) -> &str;

    /// Whether it can run a frame.
    fn takes(&self, frame: &Vector) -> bool;

    /// Fills its tables with those of `world`, where they were those of `former`.
    fn enter(&mut self, world: &World, former: Option<&World>) -> Result<()>;

    /// Runs a frame.
    fn run(&mut self, frame: &Vector) -> Result<Outcome>;

    /// What the runs since the last call left behind, where this much is expected.
    fn left(&mut self, expected: &Left) -> Result<Left>;
}

impl Judge for Host {
    fn name(&self) -> &str {
        "host"
    }

    fn takes(&self, _frame: &Vector) -> bool {
        true
    }

    fn enter(&mut self, world: &World, former: Option<&World>) -> Result<()> {
        self.apply(&world.after(former));
        Ok(())
    }

    fn run(&mut self, frame: &Vector) -> Result<Outcome> {
        Ok(Self::run(self, frame))
    }

    fn left(&mut self, _expected: &Left) -> Result<Left> {
        Ok(Self::left(self))
    }
}

/// The programs of one hook, in one form.
pub struct InKernel<'a> {
    name: &'static str,
    hook: Hook,
    home: &'a Home,
    kernel: Kernel,
}

impl<'a> InKernel<'a> {
    /// Loads the programs; must be called in the home's namespace.
    pub fn load(
        name: &'static str,
        hook: Hook,
        home: &'a Home,
        features: Features,
    ) -> Result<Self> {
        let mut kernel = Kernel::load(home, features)?;
        if hook == Hook::Xdp && !kernel.poison() {
            println!("this kernel's XDP frames have no room to be poisoned");
        }
        Ok(Self { name, hook, home, kernel })
    }
}

impl Judge for InKernel<'_> {
    fn name(&self) -> &str {
        self.name
    }

    /// A copy whose tag is cut off is discarded by whoever receives it.
    fn takes(&self, frame: &Vector) -> bool {
        let is_cut_off = frame.frame.len() < 16
            && matches!(frame.frame.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8]));
        can_run(frame, self.hook) && !is_cut_off
    }

    fn enter(&mut self, world: &World, former: Option<&World>) -> Result<()> {
        self.kernel.apply(&world.after(former))
    }

    fn run(&mut self, frame: &Vector) -> Result<Outcome> {
        self.kernel.run_frame(frame.direction, self.hook, &frame.frame)
    }

    fn left(&mut self, expected: &Left) -> Result<Left> {
        let mut left = self.kernel.left(self.hook, expected.punts.len())?;
        left.copies = self.home.copies(&expected.copies);
        Ok(left)
    }
}

impl Judge for UserSpace {
    fn name(&self) -> &str {
        "user"
    }

    fn takes(&self, _frame: &Vector) -> bool {
        true
    }

    fn enter(&mut self, world: &World, former: Option<&World>) -> Result<()> {
        self.apply(&world.after(former));
        Ok(())
    }

    fn run(&mut self, frame: &Vector) -> Result<Outcome> {
        Ok(Self::run(self, frame))
    }

    /// Punts go by way of several queues, each of which keeps its order.
    fn left(&mut self, expected: &Left) -> Result<Left> {
        let mut left = Self::left(self);
        let mut sorted = expected.punts.clone();
        sorted.sort();
        if left.punts == sorted {
            left.punts.clone_from(&expected.punts);
        }
        // Copies to the device that test frames come in by are not looked at.
        left.copies.remove(&self.ingress());
        Ok(left)
    }
}
