//! Flags that take one word of a closed set: the words, and what help says of each. What a word means is a type that
//! knows nothing of command lines.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use stress_data::matrix::{ClientPool, Operation, PlanName, ServerPool};
use stress_data::measurement::Verify;
use stress_data::schedule::Order;
use stress_data::summary::metric::Metric;
use stress_report::lang::Lang;
use stress_report::submission::Item;

use crate::run::progress::Shown;

pub(super) fn plan() -> impl TypedValueParser<Value = PlanName> {
    one_of(PlanName::ALL, |plan| match plan {
        PlanName::Standard => value(
            "standard",
            "81 rows: 3 operations × 3 volumes × 3 client pools × 3 server pools",
        ),
        PlanName::Assignment => value(
            "assignment",
            "216 rows: download and upload, thread and process clients, process and thread servers",
        ),
        PlanName::Models => value(
            "models",
            "which pool to choose: each with fast, slow and silent clients and a crash, in under five minutes",
        ),
    })
}

pub(super) fn operation() -> impl TypedValueParser<Value = Operation> {
    one_of(Operation::ALL, |operation| {
        let word = operation.as_str();
        match operation {
            Operation::Download => value(word, "GET of a file of the row's volume").alias("get"),
            Operation::Upload => value(word, "UPLOAD of a file of the row's volume"),
            Operation::List => value(
                word,
                "LIST of a root that holds the volume as files of 64 KiB",
            ),
        }
    })
}

pub(super) fn client_pool() -> impl TypedValueParser<Value = ClientPool> {
    one_of(ClientPool::ALL, |pool| {
        let help = match pool {
            ClientPool::Thread => "Threads of one process",
            ClientPool::Process => "Processes",
        };
        value(pool.as_str(), help)
    })
}

pub(super) fn server_pool() -> impl TypedValueParser<Value = ServerPool> {
    one_of(ServerPool::ALL, |pool| {
        let help = match pool {
            ServerPool::Process => "Forked processes",
            ServerPool::Thread => "Threads of one forked process",
            ServerPool::Event => "Forked processes, many connections each at once",
        };
        value(pool.as_str(), help)
    })
}

pub(super) fn verify() -> impl TypedValueParser<Value = Verify> {
    one_of(Verify::ALL, |verify| match verify {
        Verify::Full => value(
            "full",
            "As checksum, and every uploaded file is read back, outside the measured window",
        ),
        Verify::Checksum => value(
            "checksum",
            "Downloads by length and CRC-32, uploads by size and CRC-32 in the server's answer",
        ),
        Verify::Size => value("size", "Lengths only; nothing is read back"),
        Verify::Off => value(
            "off",
            "Only that the reply is complete, and of the size and CRC-32 that it states itself, if it does: that CRC-32 is computed all the same",
        ),
    })
}

pub(super) fn order() -> impl TypedValueParser<Value = Order> {
    one_of(Order::ALL, |order| {
        let help = match order {
            Order::Interleaved => {
                "One sample of every row, then the next of every row, shuffled by --seed"
            }
            Order::Listed => "All samples of the first row, then all of the second",
        };
        value(order.as_str(), help)
    })
}

pub(super) fn shown() -> impl TypedValueParser<Value = Shown> {
    one_of(Shown::ALL, |shown| match shown {
        Shown::Auto => value("auto", "A bar on a terminal, plain lines elsewhere"),
        Shown::Plain => value("plain", "One line for every sample"),
        Shown::None => value("none", "Nothing"),
    })
}

pub(super) fn metric() -> impl TypedValueParser<Value = Metric> {
    one_of(Metric::ALL, |metric| {
        let help = match metric {
            Metric::TimePerClientS => {
                "From the barrier's release to a client's last byte, mean over the clients that succeeded"
            }
            Metric::ThroughputPerClientBytesPerS => {
                "Verified bytes of the clients that succeeded over their summed time"
            }
            Metric::FirstDoneS => "When the first client finished",
            Metric::MakespanS => "When the last client finished",
            Metric::AggregateBytesPerS => "All verified bytes over the makespan",
            Metric::FirstByteMedianS => {
                "Median over operations, from their start to the first byte of the reply"
            }
            Metric::ServerCpuS => "CPU time of the server's workers",
            Metric::ClientCpuS => "CPU time of the clients",
            Metric::ServerPeakRssBytes => "The most memory of a server process",
        };
        value(metric.as_str(), help)
    })
}

pub(super) fn lang() -> impl TypedValueParser<Value = Lang> {
    one_of(Lang::ALL, |lang| match lang {
        Lang::En => value(lang.as_str(), "English"),
        Lang::Id => value(lang.as_str(), "Indonesian"),
    })
}

pub(super) fn item() -> impl TypedValueParser<Value = Item> {
    one_of(Item::ALL, |item| match item {
        Item::All => value("all", "All of it, the language too"),
        Item::Author => value("author", "The authors and their numbers"),
        Item::StudentId => value("student-id", "The authors' numbers"),
        Item::Class => value("class", "The class"),
        Item::Repository => value("repository", "Where the sources are"),
        Item::Notes => value("notes", "The notes"),
        Item::Capture => value("capture", "The screenshots"),
        Item::Lang => value("lang", "The language"),
    })
}

fn value(word: &'static str, help: &'static str) -> PossibleValue {
    PossibleValue::new(word).help(help)
}

/// Reads the word of one of `all`.
fn one_of<T, const N: usize>(
    all: [T; N],
    value: fn(T) -> PossibleValue,
) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.map(value)).try_map(move |typed| {
        let is_meant = |meaning: &T| value(*meaning).matches(&typed, false);
        all.into_iter().find(is_meant).ok_or("no word of this flag")
    })
}
