//! Windows' names for files, where we run under it (WSL).

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Windows' command interpreter, as WSL shows it.
const CMD: &str = "/mnt/c/Windows/System32/cmd.exe";
/// A folder that Windows has too: in another its interpreter complains first.
const WINDOWS_ROOT: &str = "/mnt/c";

/// The folder that Windows has for temporary files, by our name for it.
pub(super) fn temp() -> Result<PathBuf> {
    let output = Command::new(CMD)
        .args(["/d", "/c", "echo %TEMP%"])
        .current_dir(WINDOWS_ROOT)
        .output()
        .with_context(|| format!("{CMD}, which says where Windows has its temporary files"))?;
    let name = String::from_utf8_lossy(&output.stdout);
    Ok(wslpath("-u", name.trim())?.into())
}

/// A path by its other name: Windows' with `-w`, ours with `-u`.
pub(super) fn wslpath(flag: &str, path: &str) -> Result<String> {
    let output = Command::new("wslpath")
        .args([flag, path])
        .output()
        .context("wslpath, which turns paths into Windows' and back")?;
    ensure!(
        output.status.success(),
        "wslpath {flag} {path}: {}",
        output.status
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
