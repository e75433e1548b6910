//! The binary `overlay`.

use std::process::ExitCode;

fn main() -> ExitCode {
    overlay_user::cli::main()
}
