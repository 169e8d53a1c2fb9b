//! Root's files stay root's, whatever somebody else has put where the server makes or opens a file of its own.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{User, mkfifo};
use tempfile::TempDir;

use super::user::output_of;
use crate::support::{Server, command, is_root};

/// A folder of nobody's, who may do in it what he likes, and a file of root's beside it.
struct Scene {
    folder: TempDir,
    nobody: User,
}

/// What lies where the server makes or opens a file.
#[derive(Debug, Clone, Copy)]
enum Trap {
    Link,
    LinkToANewFile,
    HardLink,
    RootsFile,
    RootsPipe,
    OwnPipe,
    Folder,
}

impl Trap {
    const ALL: [Self; 7] = [
        Self::Link,
        Self::LinkToANewFile,
        Self::HardLink,
        Self::RootsFile,
        Self::RootsPipe,
        Self::OwnPipe,
        Self::Folder,
    ];
}

impl Scene {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let nobody = User::from_name("nobody").unwrap().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let scene = Self { folder, nobody };
        for name in ["theirs", "root"] {
            fs::create_dir(scene.at(name)).unwrap();
            scene.give(name);
        }
        fs::write(scene.at("precious"), "precious").unwrap();
        fs::set_permissions(scene.at("precious"), Permissions::from_mode(0o600)).unwrap();
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn give(&self, name: &str) {
        let (uid, gid) = (self.nobody.uid.as_raw(), self.nobody.gid.as_raw());
        chown(self.at(name), Some(uid), Some(gid)).unwrap();
    }

    fn set(&self, trap: Trap, name: &str) {
        let path = self.at(name);
        match trap {
            Trap::Link => symlink(self.at("precious"), path).unwrap(),
            Trap::LinkToANewFile => symlink(self.at("new"), path).unwrap(),
            Trap::HardLink => fs::hard_link(self.at("precious"), path).unwrap(),
            Trap::RootsFile => {
                fs::write(&path, "precious").unwrap();
                fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
            }
            Trap::RootsPipe => mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap(),
            Trap::OwnPipe => {
                mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
                self.give(name);
            }
            Trap::Folder => fs::create_dir(path).unwrap(),
        }
    }

    /// Everything about all there is.
    fn look(&self, trapped: &str) -> Vec<String> {
        let look = |path: PathBuf| {
            let it = path.symlink_metadata().unwrap();
            let content = match it.is_file() {
                true => fs::read_to_string(&path).unwrap(),
                false => String::new(),
            };
            let (modified, nanos) = (it.mtime(), it.mtime_nsec());
            format!(
                "{path:?} {} {:o} {} {} {modified}.{nanos} {content}",
                it.ino(),
                it.mode(),
                it.uid(),
                it.gid()
            )
        };
        let mut all = vec![look(self.at("precious")), look(self.at(trapped))];
        assert!(!self.at("new").exists(), "made through a link");
        all.extend(fs::read_dir(self.folder.path()).unwrap().map(|entry| {
            let path = entry.unwrap().path();
            format!("{path:?} {}", path.symlink_metadata().unwrap().uid())
        }));
        all.sort();
        all
    }
}

#[test]
fn nothing_of_roots_is_changed_or_given_away_through_a_name_that_another_user_can_exchange() {
    if !is_root() {
        return;
    }
    let names = [
        ("--access-log", "theirs/it"),
        ("--log-file", "theirs/it"),
        ("--pidfile", "theirs/it"),
        ("--admin", "theirs/it"),
        ("--root", "root/.prefork-lock"),
    ];
    for (flag, name) in names {
        for trap in Trap::ALL {
            for user in [&["--user", "nobody"][..], &["--allow-root"]] {
                let scene = Scene::new();
                scene.set(trap, name);
                let before = scene.look(name);
                let mut command = Command::new(env!("CARGO_BIN_EXE_prefork-server"));
                command.arg("--root").arg(scene.at("root")).args(user);
                if flag != "--root" {
                    command.arg(flag).arg(scene.at(name));
                }
                let output = output_of(command);
                let said = String::from_utf8(output.stderr).unwrap();
                let what = format!("{flag} {user:?} {trap:?}: {said}");
                assert_eq!(scene.look(name), before, "{what}");
                assert_eq!(output.status.code(), Some(1), "{what}");
                assert!(output.stdout.is_empty(), "{what}");
                let path = scene.at(name).display().to_string();
                let cures = [
                    "name a",
                    "name it",
                    "another path",
                    "chown",
                    "remove it",
                    "--user NAME",
                ];
                let has_cure = cures.iter().any(|cure| said.contains(cure));
                assert!(
                    said.contains(flag) && said.contains(&path) && has_cure,
                    "{what}"
                );
            }
        }
    }
}

/// In `/tmp` and its like everybody may take a name that is free. What lies there stays whoever's it is; what is the
/// server's user's own is replaced.
#[test]
fn where_everybody_can_put_files_nothing_of_another_users_is_replaced() {
    if !is_root() {
        return;
    }
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let daemon = User::from_name("daemon").unwrap().unwrap();
    let traps = [
        ("--pidfile", Some("")),
        ("--pidfile", Some("999999999\n")),
        ("--admin", None),
    ];
    let users = [(0, "--allow-root"), (nobody.uid.as_raw(), "--user=nobody")];
    for ((flag, content), (own, user)) in traps.iter().flat_map(|it| users.map(|user| (it, user))) {
        for (owner, links, code) in [(daemon.uid.as_raw(), 1, 1), (own, 2, 1), (own, 1, 0)] {
            let scene = Scene::new();
            fs::create_dir(scene.at("sticky")).unwrap();
            fs::set_permissions(scene.at("sticky"), Permissions::from_mode(0o1777)).unwrap();
            let path = scene.at("sticky/it");
            match content {
                Some(content) => fs::write(&path, content).unwrap(),
                None => drop(UnixListener::bind(&path).unwrap()),
            }
            chown(&path, Some(owner), None).unwrap();
            if links == 2 {
                fs::hard_link(&path, scene.at("sticky/other")).unwrap();
            }
            let before = scene.look("sticky/it");
            let mut command = Command::new(env!("CARGO_BIN_EXE_prefork-server"));
            command
                .arg("--root")
                .arg(scene.at("root"))
                .arg(user)
                .arg(flag)
                .arg(&path);
            let output = output_of(command);
            let said = String::from_utf8(output.stderr).unwrap();
            let what = format!("{flag} {content:?}, {user}, owner {owner}, {links} names: {said}");
            assert_eq!(output.status.code(), Some(code), "{what}");
            if code == 1 {
                assert_eq!(scene.look("sticky/it"), before, "{what}");
                assert!(output.stdout.is_empty(), "{what}");
                let parts = [flag, path.to_str().unwrap(), "remove it", "name a file"];
                assert!(parts.iter().all(|part| said.contains(part)), "{what}");
                let theirs = format!("user {owner}'s");
                assert!(said.contains(&theirs) || links == 2, "{what}");
            }
        }
    }
}

#[test]
fn logs_are_files_of_the_user_who_writes_them_from_the_start() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let log = scene.at("theirs/access.log");
    let args = ["--user", "nobody", "--access-log", log.to_str().unwrap()];
    let server = Server::start_on(&scene.at("root"), "process", &args);
    assert_eq!(fs::metadata(&log).unwrap().uid(), scene.nobody.uid.as_raw());
    // Exchanged while it runs: USR1 is as careful.
    fs::rename(&log, scene.at("theirs/access.log.1")).unwrap();
    scene.set(Trap::Link, "theirs/access.log");
    let before = scene.look("theirs/access.log");
    server.signal(Signal::SIGUSR1);
    let said = server.wait_for_log("cannot reopen this file");
    assert!(said.contains("chown nobody"), "{said}");
    assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
    assert_eq!(scene.look("theirs/access.log"), before);
    assert_eq!(server.stop().1, 0);
}

/// A pipe of root's, which the user could not open.
#[test]
fn a_dropped_server_can_log_to_the_standard_streams_it_was_started_with() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let args = ["--user", "nobody", "--access-log", "/dev/stderr"];
    let server = Server::start_on(&scene.at("root"), "process", &args);
    for _ in 0..2 {
        assert_eq!(server.connect().ask("LIST\r\n")["status"], "OK");
        server.wait_for_log(r#""verb":"list""#);
        server.signal(Signal::SIGUSR1);
        server.wait_for_log("reopened");
    }
    assert_eq!(server.stop().1, 0);
}

#[test]
fn the_default_folder_is_made_as_the_user_or_where_only_root_could_put_another() {
    if !is_root() {
        return;
    }
    let scene = Scene::new();
    let daemon = User::from_name("daemon").unwrap().unwrap();
    fs::create_dir(scene.at("daemons")).unwrap();
    chown(scene.at("daemons"), Some(daemon.uid.as_raw()), None).unwrap();
    let start_in = |folder: &str| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prefork-server"));
        command
            .args(["--user", "nobody"])
            .current_dir(scene.at(folder));
        output_of(command)
    };
    let owner = |path: &str| fs::symlink_metadata(scene.at(path)).unwrap().uid();
    for folder in ["theirs", "."] {
        let output = start_in(folder);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(owner(&format!("{folder}/files")), scene.nobody.uid.as_raw());
    }
    let output = start_in("daemons");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("--root") && said.contains("chown nobody"),
        "{said}"
    );
    assert!(!scene.at("daemons/files").exists());
    // A link there leads to no gift.
    fs::create_dir(scene.at("precious-folder")).unwrap();
    fs::set_permissions(scene.at("precious-folder"), Permissions::from_mode(0o700)).unwrap();
    symlink(scene.at("precious-folder"), scene.at("daemons/files")).unwrap();
    assert_eq!(start_in("daemons").status.code(), Some(1));
    assert_eq!(owner("precious-folder"), 0);
}

#[test]
fn a_pidfile_of_a_living_server_is_not_taken_over() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pid");
    let args = ["--pidfile", path.to_str().unwrap()];
    let first = Server::start("process", &args);
    let root = TempDir::new().unwrap();
    let second = command(root.path(), "process", &args).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{said}");
    let flag = format!("--pidfile {}", path.display());
    let pid = first.ready.pid.to_string();
    assert!(
        said.contains(&flag) && said.contains(&pid) && said.contains("name another"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap().trim(), pid);
    first.stop();
    assert!(!path.exists());
    // What is left of a server that was killed is taken over.
    let first = Server::start("process", &args);
    first.kill_worker(first.ready.pid, Signal::SIGKILL);
    first.exit_code();
    assert!(path.exists());
    Server::start("process", &args).stop();
}

#[test]
fn who_can_only_read_the_root_cannot_keep_a_server_from_starting() {
    let root = TempDir::new().unwrap();
    let reader = fs::File::open(root.path()).unwrap();
    reader.lock().unwrap();
    let server = Server::start_on(root.path(), "process", &[]);
    server.wait_for_log("is no server of this user's");
    let mode = fs::metadata(root.path().join(".prefork-lock"))
        .unwrap()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else can lock that");
    let second = command(root.path(), "process", &[]).output().unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(
        said.contains(&format!("(process {})", server.ready.pid)),
        "{said}"
    );
    assert_eq!(server.stop().1, 0);
}

/// Servers of older releases lock the folder and nothing else.
#[test]
fn a_folder_that_an_older_server_has_locked_is_in_use() {
    let folder = TempDir::new().unwrap();
    let root = TempDir::new().unwrap();
    let older = folder.path().join("prefork-server");
    let flock = ["/usr/bin/flock", "/bin/flock"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let Some(flock) = flock else {
        return crate::support::skip("flock (apt-get install util-linux)");
    };
    assert!(
        Command::new("cp")
            .arg(flock)
            .arg(&older)
            .status()
            .unwrap()
            .success()
    );
    let mut older = Command::new(older)
        .arg(root.path())
        .args(["sh", "-c", "echo; read line"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = std::io::BufReader::new(older.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
    let refused = command(root.path(), "process", &[]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("(process {})", older.id())),
        "{said}"
    );
    // A server that only reads is in nobody's way.
    Server::start_on(root.path(), "process", &["--read-only"]).stop();
    drop(older.stdin.take());
    older.wait().unwrap();
    Server::start_on(root.path(), "process", &[]).stop();
}

/// In a folder where everybody may write, and remove only what is his own.
#[test]
fn a_temporary_of_somebody_elses_in_a_sticky_root_is_left_and_mentioned() {
    if !is_root() {
        return;
    }
    let root = TempDir::new().unwrap();
    fs::set_permissions(root.path(), Permissions::from_mode(0o1777)).unwrap();
    fs::write(root.path().join(".prefork-tmp.999999.0"), "").unwrap();
    let server = Server::start_on(root.path(), "process", &["--user", "nobody"]);
    let said = server.wait_for_log("left unfinished uploads alone");
    assert!(said.contains("files=1"), "{said}");
    assert_eq!(server.entries(), [".prefork-tmp.999999.0"]);
    assert_eq!(server.stop().1, 0);
}
