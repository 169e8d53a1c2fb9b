//! Landlock: the rules that leave a process the root and nothing else.
//!
//! Each version (ABI) of Landlock can deny more than the one before; what the kernel has of it is used, down
//! to nothing.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};

use crate::store::Store;

/// The newest version that is asked for.
const ABI_WANTED: ABI = ABI::V10;

/// From this version on no file outside the root can be opened, changed, made or removed. Before it,
/// truncate(2) still empties one by its path.
pub(crate) const ABI_CONFINING_FILES: u32 = 3;

/// What is denied, from which version on. The words are those of READY.
const DENIALS: [(u32, &str); 8] = [
    (1, "files"),
    (ABI_CONFINING_FILES, "truncate"),
    (4, "tcp"),
    (5, "device_ioctl"),
    (6, "abstract_sockets"),
    (6, "signals"),
    (9, "unix_sockets"),
    (10, "udp"),
];

/// What a worker may do in the root, which is what its store does there: the word in READY, and the rights.
pub(super) fn root_access(store: &Store) -> (&'static str, BitFlags<AccessFs>) {
    match store.is_read_only() {
        true => ("read", make_bitflags!(AccessFs::{ReadFile | ReadDir})),
        false => ("read_write", rights_to_change()),
    }
}

/// What a store that takes uploads does in the root: it makes regular files, and renames and removes what is not a folder. All
/// stays in one folder, so nothing is moved between folders. To remove folders is allowed only so that an
/// upload over one is refused by the kernel for what it is (EISDIR); otherwise Landlock would come first, with
/// the answer that a root without write permission gives.
fn rights_to_change() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{
        ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile | RemoveDir
    })
}

/// How much Landlock of a version denies: nothing, what this kernel can, or all that is asked for.
pub(super) fn level(abi: Option<u32>) -> &'static str {
    match (abi, not_denied(abi).next()) {
        (None, _) => "none",
        (Some(_), Some(_)) => "partial",
        (Some(_), None) => "full",
    }
}

/// What Landlock of a version does not deny.
pub(super) fn not_denied(abi: Option<u32>) -> impl Iterator<Item = &'static str> {
    let abi = abi.unwrap_or(0);
    DENIALS
        .into_iter()
        .filter(move |(from, _)| abi < *from)
        .map(|(_, what)| what)
}

/// Confines this thread, and the threads and processes it starts from now on, to the root, and there to what the
/// store does. Returns the version of Landlock that does it; none where the kernel has none.
pub(super) fn restrict(store: &Store) -> Result<Option<u32>, RulesetError> {
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI_WANTED))?
        .handle_access(AccessNet::from_all(ABI_WANTED))?
        .scope(Scope::from_all(ABI_WANTED))?
        .create()?
        .add_rule(PathBeneath::new(store.directory(), root_access(store).1))?
        .restrict_self()?;
    Ok(match (status.ruleset, status.landlock) {
        (RulesetStatus::NotEnforced, _) => None,
        (_, LandlockStatus::Available { effective_abi, .. }) => Some(effective_abi as u32),
        (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_says_what_the_kernel_denies() {
        let check = |abi: Option<u32>, want: &str, open: &[&str]| {
            assert_eq!(level(abi), want, "{abi:?}");
            assert_eq!(not_denied(abi).collect::<Vec<_>>(), open, "{abi:?}");
        };
        let all = DENIALS.map(|(_, what)| what);
        check(None, "none", &all);
        check(Some(1), "partial", &all[1..]);
        check(Some(3), "partial", &all[2..]);
        check(Some(7), "partial", &["unix_sockets", "udp"]);
        check(Some(9), "partial", &["udp"]);
        check(Some(10), "full", &[]);
    }
}
