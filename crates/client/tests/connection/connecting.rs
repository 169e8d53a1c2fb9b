//! Which address is connected to, and how long that may take.

use super::*;

/// An address that refuses, for as long as the descriptor lives: bound, but nobody listens.
fn refusing() -> (OwnedFd, SocketAddr) {
    use nix::sys::socket::{
        AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket,
    };
    let fd = socket(
        AddressFamily::Inet,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .unwrap();
    bind(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    let address: SockaddrIn = getsockname(fd.as_raw_fd()).unwrap();
    (fd, SocketAddr::V4(address.into()))
}

#[test]
fn nobody_listening_is_a_connect_error() {
    let (_bound, address) = refusing();
    let result = Connection::connect(address, &options());
    assert!(matches!(result, Err(Error::Connect(_))), "{result:?}");
}

#[test]
fn the_first_address_that_answers_is_taken() {
    let server = Scripted::once(vec![LIST, say("{\"status\":\"OK\",\"data\":[]}\r\n\r\n")]);
    let (_bound, nobody) = refusing();
    let addresses = [nobody, server.address];
    let mut connection = Connection::connect(&addresses[..], &options()).unwrap();
    assert_eq!(connection.peer(), server.address);
    connection.list(&mut ()).unwrap();
}

/// An address that never answers, for as long as the value lives: its queue is full, so the kernel drops what comes.
fn silent() -> (Vec<OwnedFd>, SocketAddr) {
    use nix::sys::socket::{Backlog, listen};
    let (fd, address) = refusing();
    listen(&fd, Backlog::new(0).unwrap()).unwrap();
    // A queue of 0 holds one.
    let queued = std::net::TcpStream::connect(address).unwrap();
    (vec![fd, queued.into()], address)
}

#[test]
fn a_silent_address_leaves_time_for_the_others_and_all_share_the_connect_timeout() {
    let connect_timeout = Duration::from_millis(120);
    let options = Options {
        connect_timeout,
        ..options()
    };
    let (_silent, silence) = silent();
    let (_refusing, refusal) = refusing();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let answer = listener.local_addr().unwrap();
    for addresses in [
        &[silence, answer][..],
        &[silence, silence, answer],
        &[silence, refusal, answer],
        &[refusal, silence, answer, silence],
    ] {
        let connection = Connection::connect(addresses, &options).unwrap();
        assert_eq!(connection.peer(), answer, "{addresses:?}");
    }
    let start = std::time::Instant::now();
    let error = Connection::connect(&[silence; 3][..], &options).unwrap_err();
    // Three whole timeouts would be over this, and one is not, however loaded the machine.
    assert!(start.elapsed() >= connect_timeout, "{error:?}");
    match error {
        Error::ConnectTimeout(limit) => assert_eq!(limit, connect_timeout),
        other => panic!("{other:?}"),
    }
    let error = Connection::connect(&[silence, refusal][..], &options).unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error:?}");
}

#[test]
fn a_congestion_control_that_does_not_exist_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let congestion = Congestion::Named("no-such-control".into());
    let options = Options {
        congestion,
        receive_buffer: Some(1 << 19),
        ..options()
    };
    let error = Connection::connect(listener.local_addr().unwrap(), &options).unwrap_err();
    assert!(error.to_string().contains("no-such-control"), "{error}");
    for congestion in [Congestion::Auto, Congestion::System] {
        let options = Options {
            congestion,
            ..options.clone()
        };
        Connection::connect(listener.local_addr().unwrap(), &options).unwrap();
    }
}
