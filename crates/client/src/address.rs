//! `--server`: a host, and a port that may be left out.

use std::fmt;
use std::str::FromStr;

/// The port of the course's servers and of ours.
const PORT_DEFAULT: u16 = 46666;

/// Where the server is; the name is not resolved yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(format!(
                "leave out '{scheme}://': use HOST:PORT, for example 127.0.0.1:46666"
            ));
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((host, "")) => (host, None),
                Some((host, after)) => match after.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None => return Err("after ']' belongs ':PORT' or nothing".to_owned()),
                },
                None => return Err("the closing ']' is missing".to_owned()),
            },
            None => match text.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return Err(format!("an IPv6 address goes in brackets: [{text}]"));
                }
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("use HOST:PORT, for example 127.0.0.1:46666".to_owned());
        }
        let port = match port.map(str::parse) {
            None => PORT_DEFAULT,
            Some(Ok(port)) if port != 0 => port,
            Some(_) => return Err("the port is a number from 1 to 65535".to_owned()),
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        match host.contains(':') {
            true => write!(f, "[{host}]:{port}"),
            false => write!(f, "{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, wanted: Option<&str>) {
        let address = text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(address.ok().as_deref(), wanted, "{text}");
    }

    #[test]
    fn the_port_may_be_left_out_and_ipv6_goes_in_brackets() {
        check("127.0.0.1:46666", Some("127.0.0.1:46666"));
        check("files.example:80", Some("files.example:80"));
        check("localhost", Some("localhost:46666"));
        check("[::1]", Some("[::1]:46666"));
        check("[fe80::1%eth0]:1", Some("[fe80::1%eth0]:1"));
        let error = "http://a:1".parse::<Address>().unwrap_err();
        assert!(error.starts_with("leave out 'http://'"), "{error}");
        for wrong in [
            "", ":80", "::1", "[::1", "[::1]80", "a:", "a:0", "a:x", "a:65536", "a b:1",
        ] {
            check(wrong, None);
        }
    }
}
