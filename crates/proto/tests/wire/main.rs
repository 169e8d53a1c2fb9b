//! The wire format against its grammar: tables of cases, and properties that hold for any bytes.

mod base64;
mod pieces;
mod replies;
mod requests;
#[path = "../../../cli-kit/tests/support/schemas.rs"]
mod schema_files;
mod schemas;
