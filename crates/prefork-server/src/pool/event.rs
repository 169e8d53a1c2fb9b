//! The event pool: one worker, one process, many connections. A crash costs all that its worker had in hand.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::Inheritance;
use super::report::Reporter;
use crate::scoreboard::Assignment;
use crate::worker::{Left, event};

/// Descriptors that a worker has beside its connections: standard streams, root, listener, pipes, epoll.
const OTHER_DESCRIPTORS: u64 = 32;

/// A connection has its socket and, while it moves content, a file.
const DESCRIPTORS_EACH: u64 = 2;

/// Runs the worker of this process to its end.
#[must_use]
pub fn run(inheritance: &Inheritance, assignment: &Assignment, reporter: &Reporter<'_>) -> Left {
    let index = assignment.workers.start;
    let slot = inheritance.scoreboard.slot(assignment.bank, index);
    let connections_max = inheritance.event_connections.unwrap_or(1);
    event::run(
        &inheritance.worker(slot, index, reporter),
        connections_max as usize,
    )
}

/// Makes room for the descriptors of so many connections in every process forked from now on, as far as the hard
/// limit allows. Says how many connections there is room for.
#[must_use]
pub fn make_room(connections: u32) -> u32 {
    let wanted = u64::from(connections) * DESCRIPTORS_EACH + OTHER_DESCRIPTORS;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return connections;
    };
    let allowed = wanted.min(hard);
    if soft < allowed
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, allowed, hard)
    {
        tracing::warn!(
            error = error.desc(),
            "cannot raise the limit on descriptors"
        );
        return room(connections, soft);
    }
    if hard < wanted {
        let room = room(connections, hard);
        tracing::warn!(
            "--event-connections {connections}: with {hard} descriptors a worker holds {room}; \
             raise the hard limit (ulimit -Hn {wanted}) for more"
        );
        return room;
    }
    connections
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
