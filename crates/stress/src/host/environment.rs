//! What a run was measured on and under: the machine, how busy it was, the file system, the kernel's defaults.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use nix::sys::statfs::statfs;
use nix::sys::utsname::uname;
use stress_data::fingerprint::Binary;
use stress_data::machine::{CpuTicks, Machine};

/// The commit the program was built from, with `-dirty` if the sources differed from it, or `unknown`.
pub const COMMIT: &str = env!("STRESS_COMMIT");

/// This machine. What cannot be read is `unknown` or 0.
pub fn machine() -> Machine {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = uname().map_or_else(
        |_| "unknown".into(),
        |name| {
            let parts = [name.sysname(), name.release(), name.machine()];
            parts
                .map(|part| part.to_string_lossy().into_owned())
                .join(" ")
        },
    );
    Machine {
        cpu_model: cpu_model(&read("/proc/cpuinfo")).unwrap_or_else(|| "unknown".into()),
        cores: u32::try_from(cores).unwrap_or(u32::MAX),
        memory_bytes: meminfo(&read("/proc/meminfo"), "MemTotal").unwrap_or(0),
        kernel,
    }
}

/// What [`CpuTicks`] are now; none if they cannot be read.
pub(crate) fn cpu_ticks() -> Option<CpuTicks> {
    ticks(&read("/proc/stat"))
}

fn ticks(stat: &str) -> Option<CpuTicks> {
    let fields = stat
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_whitespace();
    let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guest time is inside user time already.
    let counted = ticks.get(..8)?;
    Some(CpuTicks {
        total: counted.iter().sum(),
        idle: counted[3] + counted[4],
        steal: counted[7],
    })
}

/// The program that is running.
///
/// # Errors
/// What the system said on reading it.
pub(crate) fn program() -> io::Result<Binary> {
    let mut file = File::open("/proc/self/exe")?;
    let mut hasher = crc32fast::Hasher::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let len = file.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        hasher.update(&buffer[..len]);
        bytes += len as u64;
    }
    Ok(Binary {
        bytes,
        crc32: format!("{:08x}", hasher.finalize()),
    })
}

/// How busy the machine was before a run started, in thousandths of all its processors, watched for a moment.
/// The load average beside it lags by a minute, and so remembers the build that came before the run.
pub(crate) fn watch_busy_permille() -> Option<u64> {
    // 300 ms are 60 ticks on two processors: fine enough for a limit of a tenth.
    let before = cpu_ticks()?;
    std::thread::sleep(Duration::from_millis(300));
    cpu_ticks()?.since(before).busy_permille()
}

/// The load averages over 1, 5 and 15 minutes, as the kernel writes them.
pub(crate) fn load_averages() -> Option<String> {
    let text = read("/proc/loadavg");
    let fields: Vec<&str> = text.split(' ').take(3).collect();
    (fields.len() == 3).then(|| fields.join(" "))
}

/// Memory that can be had without swapping, in bytes.
pub(crate) fn memory_available() -> Option<u64> {
    meminfo(&read("/proc/meminfo"), "MemAvailable")
}

/// Memory that nobody uses, not even for caching, in bytes.
pub(crate) fn memory_free() -> Option<u64> {
    meminfo(&read("/proc/meminfo"), "MemFree")
}

/// Connections that found the queue of a listening socket full, since boot, in this network namespace.
pub(crate) fn listen_overflows() -> Option<u64> {
    prefork_server::backlog::listen_overflows()
}

/// The congestion control that the kernel gives to sockets that ask for none.
pub(crate) fn congestion_default() -> Option<String> {
    let name = read("/proc/sys/net/ipv4/tcp_congestion_control")
        .trim()
        .to_owned();
    (!name.is_empty()).then_some(name)
}

/// The file system `path` lies on: `ext4`, `tmpfs`, …; a number in hexadecimal for one without a name here.
///
/// # Errors
/// What the kernel said.
pub(crate) fn file_system(path: &Path) -> nix::Result<String> {
    // Magic numbers: linux/magic.h and statfs(2). The type is wider on some platforms than the numbers are.
    #[allow(clippy::unnecessary_cast)]
    let magic = statfs(path)?.filesystem_type().0 as u32;
    Ok(match magic {
        0xEF53 => "ext4".into(),
        0x0102_1994 => "tmpfs".into(),
        0x9123_683E => "btrfs".into(),
        0x5846_5342 => "xfs".into(),
        0x794C_7630 => "overlay".into(),
        0x2FC1_2FC1 => "zfs".into(),
        0xF2F5_2010 => "f2fs".into(),
        0x6969 => "nfs".into(),
        0x8584_58F6 => "ramfs".into(),
        0x0102_1997 => "9p".into(),
        0x6573_5546 => "fuse".into(),
        0xCA45_1A4E => "bcachefs".into(),
        0x4D44 => "vfat".into(),
        other => format!("{other:#x}"),
    })
}

/// Bytes that can be written in the file system of `path` without being root.
///
/// # Errors
/// What the kernel said.
pub(crate) fn disk_free(path: &Path) -> nix::Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path)?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

/// The processes that are children of the process `parent`.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let children = read(&format!("/proc/{parent}/task/{parent}/children"));
    let pids = children.split_whitespace();
    pids.filter_map(|pid| pid.parse().ok()).collect()
}

pub(super) fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn cpu_model(cpuinfo: &str) -> Option<String> {
    // "model name" on x86-64; many aarch64 kernels give none.
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

pub(super) fn meminfo(text: &str, key: &str) -> Option<u64> {
    let line = text
        .lines()
        .find(|line| line.split(':').next() == Some(key))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_without_counting_guests_twice() {
        let found = ticks("cpu  100 1 50 800 9 2 3 35 77 5\ncpu0 1 2 3\n").unwrap();
        assert_eq!(
            found,
            CpuTicks {
                total: 1000,
                idle: 809,
                steal: 35
            }
        );
        assert_eq!(found.busy_permille(), Some(191));
        assert_eq!(found.steal_permille(), Some(35));
        assert_eq!(CpuTicks::default().busy_permille(), None);
        assert_eq!(ticks("cpu  1 2 3"), None);
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn machine_facts_are_read_from_their_lines() {
        let text = "MemTotal:       24 kB\nMemFree: 1 kB\nMemAvailable:   20 kB\n";
        assert_eq!(meminfo(text, "MemAvailable"), Some(20_480));
        assert_eq!(meminfo(text, "Mem"), None);
        assert_eq!(
            cpu_model("processor : 0\nmodel name\t: A CPU @ 3 GHz\n"),
            Some("A CPU @ 3 GHz".into())
        );
        assert_eq!(cpu_model("processor : 0\n"), None);
    }

    #[test]
    fn a_connection_that_finds_the_queue_full_is_counted() {
        use nix::sys::socket::{
            AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, connect, getsockname,
            listen, socket,
        };
        let open = || {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap()
        };
        let listener = open();
        let address = SockaddrIn::new(127, 0, 0, 1, 0);
        bind(std::os::fd::AsRawFd::as_raw_fd(&listener), &address).unwrap();
        listen(&listener, Backlog::new(0).unwrap()).unwrap();
        let address: SockaddrIn = getsockname(std::os::fd::AsRawFd::as_raw_fd(&listener)).unwrap();
        let before = listen_overflows().unwrap();
        let clients: Vec<_> = (0..4).map(|_| open()).collect();
        for client in &clients {
            let _ = connect(std::os::fd::AsRawFd::as_raw_fd(client), &address);
        }
        assert!(listen_overflows().unwrap() > before);
    }

    #[test]
    fn this_machine_can_be_described() {
        let found = machine();
        assert!(found.cores >= 1);
        assert!(found.memory_bytes > 0);
        assert!(found.kernel.starts_with("Linux "));
        assert!(cpu_ticks().is_some_and(|ticks| ticks.total > 0));
        assert!(disk_free(Path::new(".")).is_ok());
        assert_eq!(file_system(Path::new("/proc")).as_deref(), Ok("0x9fa0"));
    }

    #[test]
    fn the_running_program_can_be_told_apart() {
        let binary = program().unwrap();
        assert!(binary.bytes > 1_000);
        assert_eq!(binary.crc32.len(), 8);
        assert_eq!(binary, program().unwrap());
    }
}
