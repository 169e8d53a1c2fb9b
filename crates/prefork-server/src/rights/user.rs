//! Who the server runs as: found in the user database, become for good.

use std::ffi::CString;
use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::unistd::{
    Gid, Uid, getgrouplist, getresgid, getresuid, setfsgid, setfsuid, setgroups, setresgid,
    setresuid,
};

/// A user of this machine who is not root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    name: String,
    uid: Uid,
    gid: Gid,
}

impl User {
    /// Finds a user by name, or by number.
    ///
    /// # Errors
    /// For a person: there is none, or it is root.
    pub fn find(name: &str) -> Result<Self, String> {
        let by_name = nix::unistd::User::from_name(name);
        let found = match (by_name, name.parse()) {
            (Ok(Some(user)), _) => Ok(Some(user)),
            (_, Ok(uid)) => nix::unistd::User::from_uid(Uid::from_raw(uid)),
            (other, _) => other,
        };
        match found {
            Ok(Some(user)) if user.uid.is_root() => Err(format!(
                "--user {name}: that is root, and nothing would be dropped; --allow-root is the flag to run as root"
            )),
            Ok(Some(user)) => Ok(Self {
                name: user.name,
                uid: user.uid,
                gid: user.gid,
            }),
            Ok(None) => Err(format!(
                "--user {name}: this machine has no such user; make one (useradd --system {name}), or name another"
            )),
            Err(error) => Err(format!(
                "--user {name}: cannot read the user database: {}",
                error.desc()
            )),
        }
    }

    /// The user's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The user's number.
    #[must_use]
    pub const fn uid(&self) -> Uid {
        self.uid
    }

    /// The number of the user's own group.
    #[must_use]
    pub const fn gid(&self) -> Gid {
        self.gid
    }

    /// Does something to files with the user's rights, and without the right of root's to pass over permissions
    /// (setfsuid(2)). For who is not root it changes nothing.
    pub fn act<T>(&self, work: impl FnOnce() -> T) -> T {
        let group = setfsgid(self.gid);
        let user = setfsuid(self.uid);
        let result = work();
        setfsuid(user);
        setfsgid(group);
        result
    }

    /// Makes this process the user's, with the user's groups and no others, and sees that there is no way back.
    ///
    /// # Errors
    /// Without the privilege to change the user; or if root could be had again.
    pub fn become_for_good(&self) -> Result<()> {
        if !self.is_current()? {
            let become_user = || -> nix::Result<()> {
                let name = CString::new(self.name.as_str()).map_err(|_| Errno::EINVAL)?;
                // Groups first: without root they could not be changed any more.
                setgroups(&getgrouplist(&name, self.gid)?)?;
                setresgid(self.gid, self.gid, self.gid)?;
                setresuid(self.uid, self.uid, self.uid)
            };
            match become_user() {
                Err(Errno::EPERM) => bail!(
                    "--user {}: only root can become another user; start the server as root, or as {} and without --user",
                    self.name,
                    self.name
                ),
                result => result.with_context(|| format!("cannot become {self}"))?,
            }
        }
        self.check_that_there_is_no_way_back()
    }

    fn is_current(&self) -> Result<bool> {
        let (uid, gid) = (getresuid()?, getresgid()?);
        Ok([uid.real, uid.effective, uid.saved] == [self.uid; 3]
            && [gid.real, gid.effective, gid.saved] == [self.gid; 3])
    }

    fn check_that_there_is_no_way_back(&self) -> Result<()> {
        ensure!(self.is_current()?, "did not become {self}");
        let root = Uid::from_raw(0);
        ensure!(
            setresuid(root, root, root).is_err(),
            "became {self}, but could become root again: does the program have capabilities of its own?"
        );
        Ok(())
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {} (uid {})", self.name, self.uid)
    }
}

/// Whether this process is root's, or could be again.
pub(crate) fn is_root() -> bool {
    getresuid().map_or(true, |uid| {
        [uid.real, uid.effective, uid.saved]
            .iter()
            .any(|uid| uid.is_root())
    })
}

/// Name and number of the user that this process acts as.
pub(crate) fn current_user() -> (String, u32) {
    let uid = Uid::effective();
    let name = nix::unistd::User::from_uid(uid).ok().flatten();
    (
        name.map_or_else(|| uid.to_string(), |user| user.name),
        uid.as_raw(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_and_by_number_but_never_root() {
        let check = |name: &str, want: &str| {
            let error = User::find(name).expect_err(name);
            assert!(error.contains(want) && error.contains("--user"), "{error}");
        };
        check("root", "--allow-root");
        check("0", "--allow-root");
        check("no-such-user", "no such user");
        check("4294967290", "no such user");
        let nobody = User::find("nobody").expect("every machine has it");
        assert_eq!(User::find(&nobody.uid().to_string()), Ok(nobody));
    }
}
