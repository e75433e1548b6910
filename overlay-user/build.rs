//! Builds the BPF object that is embedded in the binary.

use std::path::{Path, PathBuf};

/// What the object is made from, relative to the workspace.
const SOURCES: &[&str] = &[
    "overlay-ebpf",
    "overlay-common/src",
    "overlay-common/Cargo.toml",
    "Cargo.toml",
    "Cargo.lock",
];

fn main() {
    if let Err(error) = embed() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn embed() -> Result<(), Box<dyn std::error::Error>> {
    let manifest_dir = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let out_dir = PathBuf::from(std::env::var("OUT_DIR")?);
    let workspace = manifest_dir.parent().unwrap_or(Path::new("."));
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    let is_next = std::env::var_os("CARGO_FEATURE_LAYOUT_NEXT").is_some();
    let features: &[&str] = if is_next { &["layout-next"] } else { &[] };
    let package = bpf_build::GATEWAY;
    let built =
        bpf_build::build(workspace, package, &bpf_build::target_dir_for(&out_dir), features)?;
    // A copy: the shared build directory may move on while this binary is built.
    let object = out_dir.join("overlay-ebpf.o");
    std::fs::copy(&built, &object)?;
    println!("cargo::rustc-env=OVERLAY_EBPF_OBJECT={}", object.display());
    Ok(())
}
