//! Puts the commit the program is built from into it, so that a run can say what it measured.

use std::path::Path;
use std::process::Command;

fn main() {
    // Everything that ends up in the binary; a changed file makes a commit `-dirty`.
    for path in ["../../crates", "../../Cargo.toml", "../../Cargo.lock"] {
        println!("cargo:rerun-if-changed={path}");
    }
    // The log of HEAD grows by a line with every commit and checkout, unlike HEAD itself.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name]).unwrap_or_default();
        if !path.is_empty() && Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rustc-env=STRESS_COMMIT={}", commit());
}

/// The commit, with `-dirty` if the sources differ from it, or `unknown` outside a repository.
fn commit() -> String {
    let Some(commit) = git(&["rev-parse", "--verify", "--quiet", "HEAD"]) else {
        return "unknown".into();
    };
    let sources = ["../../crates", "../../Cargo.toml", "../../Cargo.lock"];
    let status = git(&[&["status", "--porcelain", "--"], &sources[..]].concat());
    match status {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit}-dirty"),
    }
}

fn git(args: &[&str]) -> Option<String> {
    // Without optional locks: a build never writes to the repository.
    let output = Command::new("git")
        .arg("--no-optional-locks")
        .args(args)
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
