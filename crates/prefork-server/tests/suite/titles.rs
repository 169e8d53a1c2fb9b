//! What `ps` shows: parent and workers by name, and which of them are on their way out.

use std::fs;

use nix::sys::signal::Signal;

use crate::support::{Server, each_pool, upload, wait_until};

fn comm(folder: &str) -> String {
    fs::read_to_string(format!("{folder}/comm"))
        .unwrap_or_default()
        .trim_end()
        .to_owned()
}

fn comm_of(pid: u32) -> String {
    comm(&format!("/proc/{pid}"))
}

each_pool! {
    fn parent_and_workers_have_names_and_whoever_leaves_is_marked(pool) {
        let mut server = Server::start(pool, &["--workers", "2"]);
        let parent = server.ready.pid;
        assert_eq!(comm_of(parent), "prefork-server");
        let names = |pids: &[u32]| pids.iter().map(|pid| comm_of(*pid)).collect::<Vec<_>>();
        let workers = server.ready.worker_pids.clone();
        if pool == "thread" {
            assert_eq!(names(&workers), ["prefork:threads"]);
            let tasks = fs::read_dir(format!("/proc/{}/task", workers[0])).unwrap();
            let mut tasks: Vec<_> = tasks.map(|it| comm(it.unwrap().path().to_str().unwrap())).collect();
            tasks.sort();
            assert_eq!(tasks, ["prefork:threads", "prefork:w0", "prefork:w1"]);
        } else {
            assert_eq!(names(&workers), ["prefork:w0", "prefork:w1"]);
        }

        // Each has an upload in hand when it is replaced.
        let request = upload("slow", &[7; 1000]);
        let (start, rest) = request.split_at(100);
        let mut peers = [server.connect(), server.connect()];
        for peer in &mut peers {
            peer.ask("LIST\r\n");
            peer.send(start);
        }
        server.signal(Signal::SIGUSR2);
        server.wait_for_successor();
        wait_until("the parent is marked", || comm_of(parent) == "prefork:old");
        assert_eq!(comm_of(server.ready.pid), "prefork-server");
        let retiring = if pool == "thread" { vec!["prefork:oldthr"] } else { vec!["prefork:old0", "prefork:old1"] };
        // A worker that serves many at a time may have both in hand, and the other one be gone.
        wait_until("a worker is marked", || workers.iter().zip(&retiring).any(|(pid, want)| comm_of(*pid) == *want));
        for peer in &mut peers {
            assert_eq!(peer.send(rest).reply()["size"], 1000);
        }
        server.next_done();
        server.signal(Signal::SIGTERM);
        server.next_done();
    }
}
