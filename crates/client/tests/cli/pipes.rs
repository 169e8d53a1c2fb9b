//! Named pipes, and signals while nobody is at their other end.

use super::*;

/// A program in whose folder there is a named pipe, started with `args`.
struct Piped {
    program: Program,
    child: Child,
    path: PathBuf,
}

impl Piped {
    fn start(server: &str, args: &[&str]) -> Self {
        let program = Program::new(server);
        let path = program.folder.path().join("pipe");
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        let child = program.command(args).spawn().unwrap();
        Self {
            program,
            child,
            path,
        }
    }

    /// What `work` on the pipe returns. It waits for the program to open the other end, and not for ever.
    fn in_time<T: Send + 'static>(&self, work: impl FnOnce(&Path) -> T + Send + 'static) -> T {
        let path = self.path.clone();
        in_time(self.child.id(), move || work(&path))
    }

    /// The program's end: its folder holds what it held before.
    fn end(self, wanted_code: i32) {
        let (id, child) = (self.child.id(), self.child);
        let output = in_time(id, move || child.wait_with_output().unwrap());
        check_code(output, wanted_code);
        assert_eq!(self.program.files(), ["pipe"]);
    }

    /// The same after one signal, which must bring it about.
    fn end_by_one_signal(self) {
        interrupt(&self.child);
        self.end(130);
    }
}

/// Kills the program `id` if `work` does not come to its end.
fn in_time<T: Send + 'static>(id: u32, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(work()));
    told.recv_timeout(PATIENCE).unwrap_or_else(|error| {
        let _ = kill(Pid::from_raw(id.cast_signed()), Signal::SIGKILL);
        panic!("{error}");
    })
}

/// Waits until the program's own handling of SIGINT is in force.
fn wait_for_handler(child: &Child) {
    let caught = |status: String| {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
        mask & (1 << (Signal::SIGINT as i32 - 1)) != 0
    };
    let deadline = Instant::now() + PATIENCE;
    while !caught(fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap()) {
        assert!(Instant::now() < deadline, "no handler for SIGINT");
        thread::yield_now();
    }
}

#[test]
fn a_signal_ends_the_waiting_for_whoever_reads_or_writes_a_named_pipe() {
    for args in [&["get", "a", "-o", "pipe"][..], &["upload", "pipe"]] {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let piped = Piped::start(&server.local_addr().unwrap().to_string(), args);
        wait_for_handler(&piped.child);
        piped.end_by_one_signal();
    }
}

#[test]
fn a_named_pipe_gets_the_whole_download() {
    let file = content(300_000);
    let server = Scripted::once(vec![EOL, say(&get_reply("a", &file))]);
    let piped = Piped::start(&server.name(), &["get", "a", "-o", "pipe"]);
    assert!(piped.in_time(|path| fs::read(path).unwrap()) == file);
    piped.end(0);
}

#[test]
fn a_signal_ends_the_writing_of_a_named_pipe_whose_reader_has_stopped_reading() {
    let reply = get_reply("a", &content(1 << 20));
    let server = Scripted::once(vec![EOL, say(&reply), Act::HearEnd]);
    let piped = Piped::start(&server.name(), &["get", "a", "-o", "pipe"]);
    // With the first byte here, the program is writing what does not fit into a pipe.
    let _reader = piped.in_time(|path| {
        let mut reader = fs::File::open(path).unwrap();
        reader.read_exact(&mut [0]).unwrap();
        reader
    });
    piped.end_by_one_signal();
}

#[test]
fn an_upload_comes_from_a_named_pipe() {
    let file = content(300_000);
    let server = Scripted::once(vec![EOL, say(&upload_reply("pipe", &file))]);
    let piped = Piped::start(&server.name(), &["upload", "pipe"]);
    let request = format!("UPLOAD pipe {}\r\n", base64(&file));
    piped.in_time(move |path| fs::write(path, file).unwrap());
    piped.end(0);
    assert!(server.heard()[0].text() == request);
}
