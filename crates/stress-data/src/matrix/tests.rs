use super::*;

fn numbers(selection: &Selection) -> Vec<u32> {
    Plan::new(selection)
        .cells
        .iter()
        .map(|cell| cell.number)
        .collect()
}

#[test]
fn the_standard_plan_has_81_cells_numbered_without_a_gap() {
    let plan = Plan::new(&Selection::default());
    assert_eq!(plan.full_len, 81);
    assert_eq!(numbers(&Selection::default()), (1..=81).collect::<Vec<_>>());
}

#[test]
fn known_cells_have_their_known_numbers() {
    let plan = Plan::new(&Selection::default());
    let check = |number: u32, operation, volume: u64, clients: u32, servers: u32| {
        let want = Cell {
            number,
            operation,
            volume: volume << 20,
            clients,
            servers,
            client_pool: ClientPool::Thread,
            server_pool: ServerPool::Process,
            client_buffer: None,
            server_buffer: None,
            encoded_cache: None,
            fault: Fault::None,
            subject: None,
        };
        assert_eq!(plan.cells[number as usize - 1], want);
    };
    check(1, Operation::Download, 10, 1, 1);
    check(2, Operation::Download, 10, 1, 5);
    check(3, Operation::Download, 10, 1, 50);
    check(4, Operation::Download, 10, 5, 1);
    check(10, Operation::Download, 50, 1, 1);
    check(27, Operation::Download, 100, 50, 50);
    check(28, Operation::Upload, 10, 1, 1);
    check(54, Operation::Upload, 100, 50, 50);
    check(55, Operation::List, 10, 1, 1);
    check(81, Operation::List, 100, 50, 50);
}

#[test]
fn filters_keep_the_numbers_of_the_full_plan() {
    let three = Selection {
        operations: vec![Operation::Upload],
        volumes: vec![50 << 20],
        clients: vec![5],
        ..Selection::default()
    };
    assert_eq!(numbers(&three), [40, 41, 42]);
    let one = Selection {
        servers: vec![5],
        client_pools: vec![ClientPool::Process],
        server_pools: vec![ServerPool::Thread],
        ..three
    };
    assert_eq!(numbers(&one), [41]);
    let cell = &Plan::new(&one).cells[0];
    assert_eq!((cell.clients, cell.servers), (5, 5));
    assert_eq!(
        (cell.client_pool, cell.server_pool),
        (ClientPool::Process, ServerPool::Thread)
    );
}

#[test]
fn download_and_upload_alone_are_the_assignments_54_rows() {
    let selection = Selection {
        operations: vec![Operation::Upload, Operation::Download, Operation::Upload],
        ..Selection::default()
    };
    assert_eq!(numbers(&selection), (1..=54).collect::<Vec<_>>());
    let all_pools = Selection {
        client_pools: vec![ClientPool::Process, ClientPool::Thread],
        server_pools: vec![ServerPool::Thread, ServerPool::Process],
        ..selection
    };
    assert_eq!(Plan::new(&all_pools).cells.len(), 216);
}

#[test]
fn pools_vary_slowest_and_the_default_pair_keeps_1_to_81() {
    let plan = Plan::new(&Selection {
        client_pools: vec![ClientPool::Process, ClientPool::Thread],
        server_pools: vec![ServerPool::Event, ServerPool::Thread, ServerPool::Process],
        ..Selection::default()
    });
    assert_eq!(plan.full_len, 486);
    let pools = |number: usize| {
        (
            plan.cells[number - 1].client_pool,
            plan.cells[number - 1].server_pool,
        )
    };
    assert_eq!(pools(1), (ClientPool::Thread, ServerPool::Process));
    assert_eq!(pools(81), (ClientPool::Thread, ServerPool::Process));
    assert_eq!(pools(82), (ClientPool::Thread, ServerPool::Thread));
    assert_eq!(pools(163), (ClientPool::Thread, ServerPool::Event));
    assert_eq!(pools(244), (ClientPool::Process, ServerPool::Process));
    assert_eq!(pools(486), (ClientPool::Process, ServerPool::Event));
    let standard = Plan::new(&Selection::default());
    assert_eq!(plan.cells[..81], standard.cells);
}

#[test]
fn other_values_replace_their_axis_and_the_plan_counts_from_one() {
    let selection = Selection {
        operations: vec![Operation::Upload],
        clients: vec![7, 5, 7],
        ..Selection::default()
    };
    let plan = Plan::new(&selection);
    assert_eq!(plan.full_len, 3 * 3 * 2 * 3);
    assert_eq!(numbers(&selection), (19..=36).collect::<Vec<_>>());
    assert_eq!(plan.cells[0].clients, 5);
    assert_eq!(plan.cells[3].clients, 7);
}

#[test]
fn the_words_of_the_journal_are_those_of_the_flags() {
    for operation in Operation::ALL {
        assert_eq!(
            serde_json::to_string(&operation).unwrap(),
            format!("\"{}\"", operation.as_str())
        );
    }
    for pool in ClientPool::ALL {
        assert_eq!(
            serde_json::to_string(&pool).unwrap(),
            format!("\"{}\"", pool.as_str())
        );
    }
    for pool in ServerPool::ALL {
        assert_eq!(
            serde_json::to_string(&pool).unwrap(),
            format!("\"{}\"", pool.as_str())
        );
    }
}
