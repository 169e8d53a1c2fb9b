//! Uploads, lists, downloads and deletes: `cargo run -p client --example roundtrip -- 127.0.0.1:46666`.

use std::error::Error;

use client::{Connection, FileName, Options};

fn main() -> Result<(), Box<dyn Error>> {
    let server = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:46666".to_owned());
    let mut connection = Connection::connect(server.as_str(), &Options::default())?;
    let name: FileName = "roundtrip-example.txt".parse()?;

    let text = "any bytes from any reader";
    let upload = connection.upload(&name, &mut text.as_bytes(), &mut ())?;
    println!(
        "{} ({} bytes, CRC-32 {:08x})",
        upload.message, upload.size, upload.crc32
    );

    let listing = connection.list(&mut ())?;
    println!("{} files on {}", listing.names.len(), connection.peer());

    let mut content = Vec::new();
    let download = connection.get(&name, &mut content, &mut ())?;
    assert_eq!(content, text.as_bytes());
    println!(
        "{} bytes came back, verified: {}",
        download.size, download.verified
    );

    println!("{}", connection.delete(&name)?);
    Ok(())
}
