//! Named plans: what their axes are where the command line says nothing else.

use stress_data::fault::Fault;
use stress_data::matrix::{ClientPool, Operation, PlanName, ServerPool};

use super::{AxisArgs, MeasuringArgs};

/// Fills in what was not typed for the plan `name`. With `is_quick`, little is moved.
pub(super) fn fill_in(
    name: PlanName,
    is_quick: bool,
    axes: &mut AxisArgs,
    measuring: &mut MeasuringArgs,
) {
    let mib = |sizes: &[u64]| sizes.iter().map(|size| size << 20).collect::<Vec<u64>>();
    match name {
        PlanName::Standard | PlanName::Assignment if is_quick => {
            or(&mut axes.size, &mib(&[1, 5, 10]));
        }
        PlanName::Standard | PlanName::Assignment => {}
        PlanName::Models => {
            // Less than ten: a slow client's file would fit into the kernel's buffers, and cost nobody anything.
            or(&mut axes.size, &mib(&[10]));
            or(&mut axes.op, &[Operation::Download]);
            or(&mut axes.clients, &[50]);
            or(&mut axes.servers, if is_quick { &[5] } else { &[5, 50] });
            or(&mut axes.server_pool, &ServerPool::ALL);
            or(&mut axes.fault, &faults(is_quick));
            // A p99 needs 100 operations, also where a crash has cut some off.
            let requests = if is_quick { 3 } else { 5 };
            measuring.requests = measuring.requests.or(Some(requests));
            measuring.watch_memory = true;
        }
    }
    if name == PlanName::Assignment {
        or(&mut axes.op, &[Operation::Download, Operation::Upload]);
        or(
            &mut axes.client_pool,
            &[ClientPool::Thread, ClientPool::Process],
        );
        or(
            &mut axes.server_pool,
            &[ServerPool::Process, ServerPool::Thread],
        );
    }
}

/// As many faulty clients as the smaller pool has workers.
fn faults(is_quick: bool) -> [Fault; 4] {
    let clients = 5;
    let bytes_per_s = if is_quick { 4 << 20 } else { 1 << 20 };
    [
        Fault::None,
        Fault::SlowClient {
            bytes_per_s,
            clients,
        },
        Fault::SilentClient { clients },
        Fault::KillWorker,
    ]
}

fn or<T: Clone>(asked: &mut Vec<T>, preset: &[T]) {
    if asked.is_empty() {
        *asked = preset.to_vec();
    }
}
