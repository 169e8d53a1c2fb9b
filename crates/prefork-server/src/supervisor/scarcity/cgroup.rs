//! The control groups that this process is in, of version 1 and 2: whether they are full, and whom the kernel killed
//! in them for want of memory.

use std::path::{Path, PathBuf};

use procfs::ProcessCGroup;
use procfs::process::{MountInfo, Process};

use crate::sys::read_kernel_file;

/// How often the kernel has killed a process of this one's group for want of memory. It is counted before the process
/// is killed, so with the death the count is seen.
#[derive(Debug, Default)]
pub(super) struct OomKills {
    file: Option<PathBuf>,
    seen: u64,
}

impl OomKills {
    /// Counts from now on. Where there is no such count, nobody is ever said to have been killed.
    pub(super) fn watch() -> Self {
        let own = folders("memory").into_iter().next();
        let file = own.and_then(|folder| {
            let names = ["memory.events", "memory.oom_control"];
            names
                .map(|name| folder.join(name))
                .into_iter()
                .find(|file| count(file).is_some())
        });
        let seen = file.as_deref().and_then(count).unwrap_or(0);
        Self { file, seen }
    }

    /// Whether there is one that has not been asked for yet; it counts as asked for from here on.
    pub(super) fn take(&mut self) -> bool {
        let count = self.file.as_deref().and_then(count).unwrap_or(self.seen);
        let is_new = count > self.seen;
        // A group of the same name that was made anew counts from 0.
        self.seen = if is_new { self.seen + 1 } else { count };
        is_new
    }
}

fn count(file: &Path) -> Option<u64> {
    parse_count(&read_kernel_file(file)?)
}

/// `oom_kill 3`, among other lines.
fn parse_count(events: &str) -> Option<u64> {
    let line = events
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?;
    line.trim().parse().ok()
}

/// A group with as many processes as it may have, and how many these are.
pub(super) fn full_of_processes() -> Option<(PathBuf, u64)> {
    folders("pids").into_iter().find_map(|folder| {
        let max = number(&folder.join("pids.max"))?;
        let current = number(&folder.join("pids.current"))?;
        (current >= max).then_some((folder, max))
    })
}

/// The group with the least limit on memory, and that limit in bytes.
pub(super) fn memory_max() -> Option<(PathBuf, u64)> {
    let limit = |folder: PathBuf| limit_of(&folder).map(|max| (folder, max));
    folders("memory")
        .into_iter()
        .filter_map(limit)
        .min_by_key(|(_, max)| *max)
}

fn limit_of(folder: &Path) -> Option<u64> {
    let names = ["memory.max", "memory.limit_in_bytes"];
    let max = names.iter().find_map(|name| number(&folder.join(name)))?;
    // Version 1 writes no limit as the largest number of whole pages.
    (max < 1 << 62).then_some(max)
}

/// Of each group with a limit on memory: how much is left of it, and the limit. What files take of it can be had again.
pub(super) fn memory_left() -> impl Iterator<Item = (u64, u64)> {
    folders("memory").into_iter().filter_map(|folder| {
        let max = limit_of(&folder)?;
        let names = ["memory.current", "memory.usage_in_bytes"];
        let used = names.iter().find_map(|name| number(&folder.join(name)))?;
        let stat = read_kernel_file(folder.join("memory.stat"))?;
        Some((
            max.saturating_sub(used.saturating_sub(of_files(&stat))),
            max,
        ))
    })
}

/// `active_file 4096`, among other lines; of version 1 also `total_active_file`, with the groups below.
fn of_files(stat: &str) -> u64 {
    let of = |kind: &str| {
        let number = |name: &str| {
            let mut lines = stat.lines().filter_map(|line| line.split_once(' '));
            lines
                .find(|(key, _)| *key == name)?
                .1
                .trim()
                .parse::<u64>()
                .ok()
        };
        number(&format!("total_{kind}")).or_else(|| number(kind))
    };
    let kinds = ["active_file", "inactive_file"];
    kinds.into_iter().filter_map(of).sum::<u64>()
}

/// A number; none for `max`.
fn number(file: &Path) -> Option<u64> {
    read_kernel_file(file)?.trim().parse().ok()
}

/// The folder of this process's group, and those above it as far as they can be seen.
fn folders(controller: &str) -> Vec<PathBuf> {
    let own = || {
        let process = Process::myself().ok()?;
        let groups = process.cgroups().ok()?;
        let mounts = process.mountinfo().ok()?;
        Some(locate(controller, &groups.0, &mounts.0))
    };
    own().unwrap_or_default()
}

fn locate(controller: &str, groups: &[ProcessCGroup], mounts: &[MountInfo]) -> Vec<PathBuf> {
    // A controller is in a hierarchy of version 1, or else in the one of version 2.
    let of_version_1 = groups
        .iter()
        .find(|it| it.controllers.iter().any(|it| it == controller));
    let group = of_version_1.or_else(|| groups.iter().find(|it| it.hierarchy == 0));
    let mount = mounts.iter().find(|it| match of_version_1 {
        Some(_) => it.fs_type == "cgroup" && it.super_options.contains_key(controller),
        None => it.fs_type == "cgroup2",
    });
    let (Some(group), Some(mount)) = (group, mount) else {
        return Vec::new();
    };
    // In a container the group may be named by its place outside, as the mount's root then is.
    let path = Path::new(&group.pathname);
    let below = path.strip_prefix(&mount.root).unwrap_or(Path::new(""));
    below
        .ancestors()
        .map(|it| mount.mount_point.join(it))
        .collect()
}

#[cfg(test)]
mod tests {
    use procfs::{FromRead, ProcessCGroups, process::MountInfos};

    use super::*;

    #[test]
    fn groups_are_found_where_they_are_mounted() {
        let check = |groups: &str, mounts: &str, want: &[&str]| {
            let groups = ProcessCGroups::from_read(groups.as_bytes()).unwrap();
            let mounts = MountInfos::from_read(mounts.as_bytes()).unwrap();
            let found = locate("pids", &groups.0, &mounts.0);
            let want: Vec<_> = want.iter().map(PathBuf::from).collect();
            assert_eq!(found, want, "{groups:?}");
        };
        let unified = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        check("0::/\n", unified, &["/sys/fs/cgroup/"]);
        check(
            "0::/system.slice/prefork.service\n",
            unified,
            &[
                "/sys/fs/cgroup/system.slice/prefork.service",
                "/sys/fs/cgroup/system.slice",
                "/sys/fs/cgroup/",
            ],
        );
        let hybrid = "31 24 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      32 24 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
                      33 24 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let both = "8:pids:/a\n4:memory:/b\n0::/c\n";
        check(
            both,
            hybrid,
            &["/sys/fs/cgroup/pids/a", "/sys/fs/cgroup/pids/"],
        );
        // A container without a namespace of its own.
        let container = "32 24 0:28 /docker/1f /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n";
        check("8:pids:/docker/1f\n", container, &["/sys/fs/cgroup/pids/"]);
        check("8:pids:/elsewhere\n", container, &["/sys/fs/cgroup/pids/"]);
        check("0::/\n", "", &[]);
    }

    #[test]
    fn what_files_take_is_told_with_the_groups_below() {
        let check = |stat: &str, want: u64| assert_eq!(of_files(stat), want, "{stat}");
        check("anon 7\ninactive_file 4096\nactive_file 8192\n", 12_288);
        check(
            "active_file 1\ninactive_file 2\ntotal_inactive_file 30\ntotal_active_file 40\n",
            70,
        );
        check("", 0);
    }

    #[test]
    fn kills_are_taken_one_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("memory.events");
        #[expect(
            clippy::disallowed_methods,
            reason = "the test stands in for the kernel"
        )]
        let tell = |count: u64| {
            std::fs::write(
                &file,
                format!("oom 7\noom_kill {count}\noom_group_kill 0\n"),
            )
            .unwrap();
        };
        tell(5);
        let mut kills = OomKills {
            file: Some(file.clone()),
            seen: 5,
        };
        assert!(!kills.take());
        tell(7);
        assert_eq!(
            [kills.take(), kills.take(), kills.take()],
            [true, true, false]
        );
        tell(0);
        assert!(!kills.take());
        tell(1);
        assert!(kills.take());
        assert!(
            !OomKills {
                file: None,
                seen: 0
            }
            .take()
        );
    }
}
