//! What a server announces and answers of itself, as docs/schemas has it.

use proto::announce::{Done, Ready};
use proto::status::Status;
use schemars::JsonSchema;
use serde::Serialize;

use crate::schema_files::{keep, keep_as, of};

/// A line says what it is.
#[derive(Serialize, JsonSchema)]
struct Line<T> {
    event: String,
    #[serde(flatten)]
    announced: T,
}

fn keep_event<T: JsonSchema>(event: &str, what: &str) {
    let mut schema = of::<Line<T>>();
    let tag = schema.pointer_mut("/properties/event").expect("a property");
    *tag = serde_json::json!({"const": event});
    keep_as(event, what, schema);
}

#[test]
fn the_schemas_are_what_the_types_say() {
    keep_event::<Ready>("ready", "prefork-server: the line that says it serves");
    keep_event::<Done>(
        "done",
        "prefork-server: the line that says how it ended, the ledger",
    );
    keep::<Status>(
        "status",
        "prefork-server status --json, and GET /status of its admin socket",
    );
}
