//! The tools that the project needs, with their versions: the one place where
//! they are pinned. (The compiler is pinned in `rust-toolchain.toml`.)

use crate::setup::Scope;

/// A program that a Debian package brings.
pub struct Package {
    /// The package.
    pub name: &'static str,
    /// A program of it: where that is found, nothing is installed.
    pub program: &'static str,
    /// The first scope that needs it.
    pub scope: Scope,
    /// What it is for.
    pub why: &'static str,
}

/// A program that cargo builds and installs.
pub struct CargoTool {
    /// The crate.
    pub name: &'static str,
    /// The version, exactly.
    pub version: &'static str,
    /// What prints the version.
    pub probe: &'static [&'static str],
    /// Arguments of `cargo install`.
    pub args: &'static [&'static str],
    /// Environment of `cargo install`.
    pub env: &'static [(&'static str, &'static str)],
    /// Debian packages needed to build it, beside a C compiler.
    pub needs: &'static [Package],
    /// The first scope that needs it.
    pub scope: Scope,
    /// What it is for.
    pub why: &'static str,
}

/// LLVM's version, that of the pinned compiler: bpf-linker must read what the
/// compiler writes.
pub const LLVM: &str = "/usr/lib/llvm-22";

/// Debian packages, in the order in which they are listed to the user.
pub const PACKAGES: &[Package] = &[
    package("iproute2", "ip", Scope::Run, "network namespaces, links and routes"),
    package("iputils-ping", "ping", Scope::Run, "ping across the overlay"),
    package("iperf3", "iperf3", Scope::Run, "TCP across the overlay"),
    package("ethtool", "ethtool", Scope::Run, "offload settings of links"),
    package("bpftool", "bpftool", Scope::Run, "listing BPF programs and what they are attached to"),
    package("tcpdump", "tcpdump", Scope::Test, "captures of the underlay"),
    package("tshark", "tshark", Scope::Test, "an independent dissector of what was captured"),
    package("curl", "curl", Scope::Test, "HTTP across the overlay"),
    package("python3", "python3", Scope::Test, "an HTTP server behind the overlay"),
    package("dnsmasq-base", "dnsmasq", Scope::Test, "a DHCP server behind the overlay"),
    package("isc-dhcp-client", "dhclient", Scope::Test, "a DHCP client on its other side"),
    package("chromium", "chromium", Scope::Test, "a browser without a screen, for the web page"),
    package("nftables", "nft", Scope::Test, "cutting the underlay in tests of faults"),
    package("util-linux", "taskset", Scope::Test, "the core and priority of threads"),
    package("bsdutils", "script", Scope::Test, "commands that are typed at a terminal"),
    package("g++", "g++", Scope::Test, "libFuzzer, which cargo-fuzz compiles"),
];

/// Debian packages for the tests whose services are not to be started.
pub const QUIET_PACKAGES: &[Package] = &[package(
    "prometheus",
    "promtool",
    Scope::Test,
    "reads the metrics, and tests the alert rules",
)];

/// Debian packages for `cargo xtask test --vm`, beside those of the tests and
/// [`OPEN_VSWITCH`].
pub const VM_PACKAGES: &[Package] = &[
    package("qemu-system-x86", "qemu-system-x86_64", Scope::Test, "emulates the machines"),
    package("busybox-static", "/bin/busybox", Scope::Test, "the guests' shell and small programs"),
    package("kmod", "depmod", Scope::Test, "the guests' kernel modules"),
    package("wireguard-tools", "wg", Scope::Test, "WireGuard between hosts, in guests"),
];

/// Debian packages for `cargo xtask package`.
pub const PACKAGING: &[Package] = &[
    package("binutils", "objcopy", Scope::Build, "parts the binary from its debug information"),
    package("dpkg-dev", "dpkg-shlibdeps", Scope::Build, "the libraries that the .deb depends on"),
    package("rpm", "rpmbuild", Scope::Build, "makes the .rpm"),
    package("git", "git", Scope::Build, "the time of the last commit"),
];

/// Debian packages for the tests of packages.
pub const PACKAGE_TESTS: &[Package] = &[
    package("debootstrap", "debootstrap", Scope::Ci, "a clean root to install packages in"),
    package("lintian", "lintian", Scope::Ci, "what Debian asks of packages"),
    package("man-db", "man", Scope::Ci, "formats the man pages"),
    package("groff-base", "groff", Scope::Ci, "which man does with it"),
    package("fish", "fish", Scope::Ci, "loads its completions"),
    package("zsh", "zsh", Scope::Ci, "loads its completions"),
    package("systemd", "systemd-analyze", Scope::Ci, "reads and judges the units"),
    package("systemd-container", "systemd-nspawn", Scope::Ci, "boots a Debian to run them in"),
    package("util-linux", "nsenter", Scope::Ci, "runs commands in it"),
    package("iputils-ping", "ping", Scope::Ci, "whether the gateway in it forwards"),
];

/// Programs that cargo installs.
pub const CARGO_TOOLS: &[CargoTool] = &[
    CargoTool {
        name: "bpf-linker",
        version: "0.13.0",
        probe: &["bpf-linker", "--version"],
        args: &["--no-default-features", "--features", "llvm-22"],
        // llvm-sys reads the second, bpf-linker's own build script the first.
        env: &[("LLVM_PREFIX", LLVM), ("LLVM_SYS_221_PREFIX", LLVM)],
        needs: &[
            package(
                "llvm-22-dev",
                "/usr/lib/llvm-22/include/llvm-c/Core.h",
                Scope::Build,
                "the LLVM of the pinned compiler, which bpf-linker links with",
            ),
            package("g++", "g++", Scope::Build, "the C++ library that LLVM links with"),
        ],
        scope: Scope::Build,
        why: "links the BPF programs",
    },
    CargoTool {
        name: "cargo-deny",
        version: "0.20.2",
        probe: &["cargo-deny", "--version"],
        args: &["--locked"],
        env: &[],
        needs: &[],
        scope: Scope::Ci,
        why: "licences, bans and sources of dependencies",
    },
    CargoTool {
        name: "mdbook",
        version: "0.4.52",
        probe: &["mdbook", "--version"],
        args: &["--locked", "--no-default-features"],
        env: &[],
        needs: &[],
        scope: Scope::Ci,
        why: "the book in docs/",
    },
    CargoTool {
        name: "cargo-fuzz",
        version: "0.13.2",
        probe: &["cargo-fuzz", "--version"],
        args: &["--locked"],
        env: &[],
        needs: &[],
        scope: Scope::Ci,
        why: "runs the fuzz targets",
    },
];

/// What the benchmark measures beside the rest where it is there.
pub const OPEN_VSWITCH: Package = package(
    "openvswitch-switch",
    "ovs-vswitchd",
    Scope::Run,
    "Open vSwitch, to compare with, and as a peer",
);

/// Debian's compiler with the source of its library: the way out where rustup
/// cannot fetch `rust-src`.
pub const DEBIAN_RUST: &[&str] = &["rustc-web", "cargo-web", "rust-web-src"];

/// The clippy of that compiler, for `cargo xtask ci`.
pub const DEBIAN_CLIPPY: Package = package(
    "rust-web-clippy",
    "/usr/bin/clippy-driver",
    Scope::Ci,
    "lints of the BPF programs, by the compiler that builds them",
);

const fn package(
    name: &'static str,
    program: &'static str,
    scope: Scope,
    why: &'static str,
) -> Package {
    Package { name, program, scope, why }
}
