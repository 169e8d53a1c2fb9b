//! Room for the descriptors that a worker process needs: the soft limit on them is raised as far as it takes.

use anyhow::{Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::{Config, PoolKind};
use crate::shared::encoded_cache;

/// What a worker process has beside its connections: standard streams, root, listener, pipes, logs, epoll.
const OTHER_DESCRIPTORS: u64 = 32;

/// A connection of an event worker has its socket and, while it moves content, a file.
const DESCRIPTORS_EACH: u64 = 2;

/// What a blocking worker has beside the connections that it has set aside: the one that it serves, a file, and its epoll
/// set. One that waits in accept holds one, too: the kernel takes the descriptor before it waits.
const DESCRIPTORS_OF_A_WORKER: u64 = 3;

/// Makes room in every process forked from now on, as far as the hard limit allows, beside those of the encoded cache if
/// there is one. Says for how many connections of an event worker there is room; none where a worker has one.
///
/// # Errors
/// None would be left to serve even one client with.
pub(crate) fn make_room(config: &Config, has_cache: bool) -> Result<Option<u32>> {
    let (pool, workers) = (config.pool, config.workers);
    let event_connections = config.event_connections;
    let connections = event_connections.unwrap_or(1);
    let of_cache = if has_cache {
        encoded_cache::DESCRIPTORS
    } else {
        0
    };
    let (needed, least) = needs(config);
    let (needed, least) = (needed + of_cache, least + of_cache);
    let available = raise(needed);
    if available < least {
        let or_fewer = match pool {
            PoolKind::Thread if workers > 1 => ", or have fewer --workers",
            _ => "",
        };
        bail!(
            "--pool {} --workers {workers}: RLIMIT_NOFILE leaves no descriptor to serve anybody with: it takes \
             {needed}, {least} at the least, and the hard limit is {available}: raise it (ulimit -Hn {needed}, \
             LimitNOFILE={needed}){or_fewer}",
            pool.as_str()
        );
    }
    match pool {
        _ if available >= needed => {}
        PoolKind::Event => {
            let room = room(connections, available.saturating_sub(of_cache));
            tracing::warn!(
                "--event-connections {connections}: with {available} descriptors a worker holds {room}; \
                 raise the hard limit (ulimit -Hn {needed}) for more"
            );
            return Ok(Some(room));
        }
        PoolKind::Process | PoolKind::Thread => tracing::warn!(
            "--workers {workers}: a worker process needs up to {needed} descriptors, and the hard limit is {available}: \
             some requests may be answered `busy`; raise it (ulimit -Hn {needed}, LimitNOFILE={needed})"
        ),
    }
    Ok(event_connections)
}

/// Whether there is room for the encoded cache beside all that a process may need: nobody is to be refused for it.
pub(crate) fn has_room_for_cache(config: &Config) -> bool {
    let needed = needs(config).0 + encoded_cache::DESCRIPTORS;
    raise(needed) >= needed
}

/// What a process needs for all that may be asked for at once; and for one client, while all other threads wait for one.
fn needs(config: &Config) -> (u64, u64) {
    let of_a_worker = DESCRIPTORS_OF_A_WORKER + u64::from(config.set_aside.unwrap_or(0));
    let connections = config.event_connections.unwrap_or(1);
    let threads = u64::from(config.workers);
    let (needed, least) = match config.pool {
        PoolKind::Process => (of_a_worker, DESCRIPTORS_OF_A_WORKER),
        PoolKind::Thread => (threads * of_a_worker, threads - 1 + DESCRIPTORS_OF_A_WORKER),
        PoolKind::Event => (u64::from(connections) * DESCRIPTORS_EACH, DESCRIPTORS_EACH),
    };
    (needed + OTHER_DESCRIPTORS, least + OTHER_DESCRIPTORS)
}

/// Raises the soft limit to `wanted`, or to the hard one; says what it is then.
fn raise(wanted: u64) -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return u64::MAX;
    };
    let allowed = wanted.min(hard);
    if soft >= allowed {
        return soft;
    }
    match setrlimit(Resource::RLIMIT_NOFILE, allowed, hard) {
        Ok(()) => allowed,
        Err(error) => {
            tracing::warn!(
                error = error.desc(),
                "cannot raise RLIMIT_NOFILE from {soft} to {allowed}"
            );
            soft
        }
    }
}

fn room(connections: u32, descriptors: u64) -> u32 {
    let room = descriptors.saturating_sub(OTHER_DESCRIPTORS) / DESCRIPTORS_EACH;
    u32::try_from(room)
        .unwrap_or(u32::MAX)
        .clamp(1, connections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_counted_with_its_file_and_one_always_has_room() {
        let check = |connections, descriptors, want| {
            assert_eq!(
                room(connections, descriptors),
                want,
                "{connections} {descriptors}"
            );
        };
        check(1024, 2080, 1024);
        check(1024, 1024, 496);
        check(1024, 40, 4);
        check(1024, 10, 1);
        check(3, u64::MAX, 3);
    }
}
