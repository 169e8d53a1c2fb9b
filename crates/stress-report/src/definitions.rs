//! What every column and every word of the tables means, in both languages. `docs/COLUMNS.md` and the report's
//! definitions are made from this, and tests hold it to the columns that the tables really have.

use super::lang::Lang;

/// A column or a word, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// The column or the word.
    pub name: &'static str,
    en: &'static str,
    id: &'static str,
}

impl Definition {
    /// What it means.
    #[must_use]
    pub const fn meaning(&self, lang: Lang) -> &'static str {
        lang.of(self.en, self.id)
    }
}

const fn means(name: &'static str, en: &'static str, id: &'static str) -> Definition {
    Definition { name, en, id }
}

/// The columns of `summary.csv`, in order.
pub const SUMMARY: [Definition; 47] = [
    means(
        "no",
        "The row's number in the full plan: 1–27 download, 28–54 upload, 55–81 list, and so on for each further pair of pools. Filters keep it.",
        "Nomor baris dalam rencana lengkap: 1–27 download, 28–54 upload, 55–81 list, dan seterusnya untuk setiap pasangan pool berikutnya. Penyaringan tidak mengubahnya.",
    ),
    means(
        "operation",
        "What each client did: `download`, `upload` or `list`.",
        "Yang dikerjakan setiap client: `download`, `upload`, atau `list`.",
    ),
    means(
        "volume",
        "The size of each client's file, as GNU writes sizes: `10M` is 10,485,760 bytes. For a list: how much the folder held, in files of 64 KiB.",
        "Ukuran berkas setiap client menurut penulisan GNU: `10M` adalah 10.485.760 byte. Untuk list: isi folder, dalam berkas 64 KiB.",
    ),
    means(
        "client_workers",
        "The size of the client pool: how many clients were released at once.",
        "Ukuran client pool: banyaknya client yang dilepas serentak.",
    ),
    means(
        "server_workers",
        "The size of the server's pool of workers.",
        "Ukuran pool worker server.",
    ),
    means(
        "time_per_client_s",
        "Seconds from the release of all clients to the last byte of a client's last operation: mean over the clients that succeeded, median over the samples.",
        "Detik sejak semua client dilepas sampai byte terakhir dari operasi terakhir satu client: rata-rata atas client yang sukses, median atas sampel.",
    ),
    means(
        "throughput_per_client_bytes_per_s",
        "Verified content bytes (decoded, not the base64 on the wire) of a client over its time; averaged as the time is.",
        "Byte isi yang terverifikasi (setelah didekode, bukan base64 di jaringan) satu client dibagi waktunya; dirata-ratakan seperti waktu.",
    ),
    means(
        "clients_ok",
        "Client workers all of whose operations were verified; of the worst sample.",
        "Worker client yang semua operasinya terverifikasi; dari sampel terburuk.",
    ),
    means(
        "clients_failed",
        "The rest of the client pool.",
        "Sisa client pool.",
    ),
    means(
        "server_workers_ok",
        "Server workers that served at least one connection and neither crashed nor answered `internal`, by the server's own ledger. Empty without a ledger.",
        "Worker server yang melayani sedikitnya satu koneksi dan tidak mati ataupun menjawab `internal`, menurut buku besar server. Kosong bila tidak ada buku besar.",
    ),
    means(
        "server_workers_failed",
        "Server workers that crashed, were killed, or failed a request.",
        "Worker server yang mati, dimatikan, atau gagal menjalankan permintaan.",
    ),
    means(
        "server_workers_idle",
        "Server workers that served nothing. The assignment counts them as successful.",
        "Worker server yang tidak melayani apa pun. Menurut tugas, mereka dihitung sukses.",
    ),
    means(
        "client_pool",
        "What the clients were: `thread` (of one process) or `process`.",
        "Jenis client: `thread` (dalam satu proses) atau `process`.",
    ),
    means(
        "server_pool",
        "What the server's workers were: `process`, `thread` or `event`. Empty for a foreign server.",
        "Jenis worker server: `process`, `thread`, atau `event`. Kosong untuk server lain.",
    ),
    means(
        "client_buffer_bytes",
        "The clients' receive buffer if one was set; empty where the kernel tunes it.",
        "Buffer terima client bila diatur; kosong bila diatur kernel.",
    ),
    means(
        "server_buffer_bytes",
        "The server's receive buffer if one was set, as the server reports it; empty where the kernel tunes it.",
        "Buffer terima server bila diatur, menurut laporan server; kosong bila diatur kernel.",
    ),
    means("volume_bytes", "The volume in bytes.", "Volume dalam byte."),
    means(
        "repeats",
        "Samples that were planned.",
        "Banyaknya sampel yang direncanakan.",
    ),
    means(
        "samples",
        "Samples that were taken.",
        "Banyaknya sampel yang diambil.",
    ),
    means(
        "status",
        "How the row ended, that of its worst sample; the words are below.",
        "Bagaimana baris berakhir, menurut sampel terburuk; arti katanya di bawah.",
    ),
    means(
        "time_min_s",
        "The least time per client of a sample.",
        "Waktu per client terkecil di antara sampel.",
    ),
    means(
        "time_max_s",
        "The greatest time per client of a sample.",
        "Waktu per client terbesar di antara sampel.",
    ),
    means(
        "time_mad_s",
        "The median absolute deviation of the samples' times from their median; empty for a single sample, which has no spread.",
        "Median simpangan mutlak waktu sampel dari mediannya (MAD); kosong untuk sampel tunggal karena tidak ada sebaran.",
    ),
    means(
        "connect_median_s",
        "Median over verified operations: from the start of the operation to the established connection.",
        "Median atas operasi yang terverifikasi: dari awal operasi sampai koneksi terbentuk.",
    ),
    means(
        "first_byte_median_s",
        "Median over verified operations: from the start of the operation to the first byte of the reply.",
        "Median atas operasi yang terverifikasi: dari awal operasi sampai byte pertama jawaban.",
    ),
    means(
        "first_done_s",
        "When the first client that succeeded finished.",
        "Saat client sukses yang pertama selesai.",
    ),
    means(
        "makespan_s",
        "When the last client finished, or failed: how long the whole pool took.",
        "Saat client terakhir selesai atau gagal: lamanya seluruh pool bekerja.",
    ),
    means(
        "aggregate_bytes_per_s",
        "All verified bytes of the cell over its makespan.",
        "Semua byte terverifikasi pada sel itu dibagi makespan.",
    ),
    means(
        "server_cpu_s",
        "CPU time of the server's workers over their whole lives.",
        "Waktu CPU semua worker server selama hidupnya.",
    ),
    means(
        "server_peak_rss_bytes",
        "The most memory that one server process held (VmHWM), the greatest of any sample.",
        "Memori terbanyak yang dipakai satu proses server (VmHWM), terbesar di antara sampel.",
    ),
    means(
        "client_cpu_s",
        "CPU time of all clients over the measured window.",
        "Waktu CPU semua client selama jendela pengukuran.",
    ),
    means(
        "durability",
        "What the server promised about uploads, as it reports it: `none`, `data` or `full`.",
        "Janji server tentang hasil upload menurut laporannya: `none`, `data`, atau `full`.",
    ),
    means(
        "fault",
        "The fault that was made on purpose; `none` unless one was asked for.",
        "Gangguan yang sengaja dibuat; `none` bila tidak diminta.",
    ),
    means(
        "top_outcome",
        "The most frequent outcome of operations besides `ok`, or `ok` if there was no other; the words are below.",
        "Hasil operasi yang paling sering selain `ok`, atau `ok` bila tidak ada yang lain; arti katanya di bawah.",
    ),
    means(
        "flags",
        "What a reader should know before believing the row; the words are below.",
        "Yang perlu diketahui sebelum memercayai baris itu; arti katanya di bawah.",
    ),
    means("schema", "The version of this format.", "Versi format ini."),
    means(
        "wait_median_s",
        "Median over verified operations: from the established connection to the first byte of the reply.",
        "Median atas operasi yang terverifikasi: dari koneksi terbentuk sampai byte pertama jawaban.",
    ),
    means(
        "transfer_median_s",
        "Median over verified operations: from the first byte of the reply to the last.",
        "Median atas operasi yang terverifikasi: dari byte pertama jawaban sampai byte terakhir.",
    ),
    means(
        "latency_p50_s",
        "Median over the verified operations of all samples: from the start of the operation to its end.",
        "Median atas operasi yang terverifikasi dari semua sampel: dari awal operasi sampai akhirnya.",
    ),
    means(
        "latency_p99_s",
        "What 99 of 100 of them do not exceed; empty for fewer than 100 operations.",
        "Nilai yang tidak dilampaui 99 dari 100 di antaranya; kosong bila operasinya kurang dari 100.",
    ),
    means(
        "client_peak_rss_bytes",
        "The most memory that one process with clients held (VmHWM): one client, or for threads the harness with all of them.",
        "Memori terbanyak yang dipakai satu proses berisi client (VmHWM): satu client, atau untuk thread harness dengan semua client.",
    ),
    means(
        "server_memory_bytes",
        "The most memory that all processes of the server held together (PSS), the most of any sample; empty if nobody watched.",
        "Memori terbanyak yang dipakai semua proses server bersama-sama (PSS), terbesar di antara sampel; kosong bila tidak diamati.",
    ),
    means(
        "memory_per_connection_bytes",
        "That over the connections that the server can have in hand at once.",
        "Nilai itu dibagi banyaknya koneksi yang dapat dipegang server sekaligus.",
    ),
    means(
        "connections_cut",
        "Connections that a dying worker had in hand, by the server's ledger.",
        "Koneksi yang sedang dipegang worker saat mati, menurut buku besar server.",
    ),
    means(
        "warmup_samples",
        "Samples that were taken first and not counted.",
        "Sampel yang diambil lebih dulu dan tidak dihitung.",
    ),
    means(
        "ceiling_bytes_per_s",
        "Content bytes per second that this machine cannot exceed in this row, by `--baseline`; empty if nobody measured it.",
        "Byte isi per detik yang tidak dapat dilampaui mesin ini pada baris itu, menurut `--baseline`; kosong bila tidak diukur.",
    ),
    means(
        "ceiling_fraction",
        "`aggregate_bytes_per_s` as a share of that.",
        "`aggregate_bytes_per_s` sebagai bagian dari nilai itu.",
    ),
];

/// The columns of `clients.csv`, in order.
pub const CLIENTS: [Definition; 19] = [
    means(
        "no",
        "The row's number, as in `summary.csv`.",
        "Nomor baris, seperti di `summary.csv`.",
    ),
    means(
        "operation",
        "As in `summary.csv`.",
        "Seperti di `summary.csv`.",
    ),
    means(
        "volume",
        "As in `summary.csv`.",
        "Seperti di `summary.csv`.",
    ),
    means("volume_bytes", "The volume in bytes.", "Volume dalam byte."),
    means(
        "client_workers",
        "The size of the client pool.",
        "Ukuran client pool.",
    ),
    means(
        "server_workers",
        "The size of the server pool.",
        "Ukuran server pool.",
    ),
    means("client_pool", "What the clients were.", "Jenis client."),
    means(
        "server_pool",
        "What the server's workers were; empty for a foreign server.",
        "Jenis worker server; kosong untuk server lain.",
    ),
    means(
        "repeat",
        "Which sample, from 0.",
        "Sampel keberapa, dari 0.",
    ),
    means(
        "client",
        "Which client worker, from 0.",
        "Worker client keberapa, dari 0.",
    ),
    means(
        "request",
        "Which of its operations, from 0.",
        "Operasi keberapa, dari 0.",
    ),
    means(
        "connected_s",
        "Seconds from the release of all clients to the established connection.",
        "Detik sejak semua client dilepas sampai koneksi terbentuk.",
    ),
    means(
        "first_byte_s",
        "Seconds from the release to the first byte of the reply.",
        "Detik sejak dilepas sampai byte pertama jawaban.",
    ),
    means(
        "ended_s",
        "Seconds from the release to the last byte of the reply, or to the failure.",
        "Detik sejak dilepas sampai byte terakhir jawaban, atau sampai gagal.",
    ),
    means(
        "bytes",
        "Content bytes that moved; of a list, bytes of the reply's JSON.",
        "Byte isi yang berpindah; untuk list, byte JSON jawaban.",
    ),
    means(
        "verified_bytes",
        "Those of them that were verified: all if the outcome is `ok`, else none.",
        "Yang terverifikasi: semuanya bila hasilnya `ok`, selain itu nol.",
    ),
    means(
        "outcome",
        "How the operation ended; the words are below.",
        "Bagaimana operasi berakhir; arti katanya di bawah.",
    ),
    means(
        "detail",
        "What went wrong, for a person.",
        "Yang salah, untuk dibaca orang.",
    ),
    means("schema", "The version of this format.", "Versi format ini."),
];

/// The values of `status`.
pub const STATUSES: [Definition; 7] = [
    means(
        "ok",
        "Every operation verified, and both sides' ledgers agree.",
        "Setiap operasi terverifikasi dan catatan kedua pihak cocok.",
    ),
    means(
        "failed",
        "Some operation did not succeed.",
        "Ada operasi yang tidak berhasil.",
    ),
    means(
        "timeout",
        "Some operation ran into `--timeout`, and nothing worse happened.",
        "Ada operasi yang melewati `--timeout`, tanpa hal yang lebih buruk.",
    ),
    means(
        "server_lost",
        "The server was gone before it gave its ledger: the columns from it are empty.",
        "Server hilang sebelum memberi buku besar: kolom darinya kosong.",
    ),
    means(
        "inconsistent",
        "Records and ledger contradict each other.",
        "Catatan client dan buku besar server bertentangan.",
    ),
    means(
        "not_run",
        "No sample was taken.",
        "Tidak ada sampel yang diambil.",
    ),
    means(
        "cut",
        "Fewer samples were taken than planned.",
        "Sampel yang diambil kurang dari rencana.",
    ),
];

/// The values of `outcome` and `top_outcome`.
pub const OUTCOMES: [Definition; 12] = [
    means("ok", "Done, and verified.", "Selesai dan terverifikasi."),
    means(
        "server_error",
        "The server answered with an error.",
        "Server menjawab dengan kesalahan.",
    ),
    means(
        "busy",
        "The server answered that it was busy or shutting down.",
        "Server menjawab sedang sibuk atau akan berhenti.",
    ),
    means(
        "connect_refused",
        "Nothing listened.",
        "Tidak ada yang mendengarkan.",
    ),
    means(
        "connect_timeout",
        "No connection in time.",
        "Koneksi tidak terbentuk tepat waktu.",
    ),
    means("timeout", "Not done in time.", "Tidak selesai tepat waktu."),
    means("reset", "The connection was reset.", "Koneksi di-reset."),
    means(
        "eof",
        "The server closed before its reply was complete.",
        "Server menutup koneksi sebelum jawabannya lengkap.",
    ),
    means(
        "bad_reply",
        "The reply was none of the protocol's.",
        "Jawaban tidak sesuai protokol.",
    ),
    means(
        "mismatch",
        "The content was not what it had to be.",
        "Isi tidak sesuai dengan yang seharusnya.",
    ),
    means(
        "client_crashed",
        "The client process died.",
        "Proses client mati.",
    ),
    means(
        "not_sent",
        "The client never came to it.",
        "Client tidak sampai mengerjakannya.",
    ),
];

/// The words of `flags`.
pub const FLAGS: [Definition; 8] = [
    means(
        "busy_machine",
        "More than a tenth of the processors was in use just before the run.",
        "Lebih dari sepersepuluh prosesor terpakai tepat sebelum pengukuran.",
    ),
    means(
        "steal",
        "During a sample the hypervisor took away more than 2 % of the processors' time.",
        "Selama satu sampel, hypervisor mengambil lebih dari 2 % waktu prosesor.",
    ),
    means(
        "client_bound",
        "The clients rather than the server used up the processors.",
        "Client, bukan server, yang menghabiskan prosesor.",
    ),
    means(
        "outlier",
        "A sample lies far from the median; it is counted all the same.",
        "Ada sampel yang jauh dari median; tetap dihitung.",
    ),
    means(
        "tmpfs",
        "The files were on tmpfs: in memory.",
        "Berkas berada di tmpfs, yaitu di memori.",
    ),
    means(
        "retaken",
        "A sample that was not ok was taken again, with `--rerun-failed`: the later one is shown, and the journal has both.",
        "Sampel yang tidak ok diambil lagi dengan `--rerun-failed`: yang ditampilkan adalah yang terakhir, dan jurnal menyimpan keduanya.",
    ),
    means(
        "listen_overflow",
        "During a sample connections found the queue of a listening socket full (the kernel's `ListenOverflows`, of all servers on this machine): those clients were let in a second or more later, or not at all. A server that calls listen() with a small number shows this.",
        "Selama satu sampel, ada koneksi yang mendapati antrean socket yang mendengarkan penuh (`ListenOverflows` dari kernel, untuk semua server di mesin ini): client itu baru diterima satu detik kemudian atau lebih, atau tidak sama sekali. Ini terjadi pada server yang memanggil listen() dengan angka kecil.",
    ),
    means(
        "unverified",
        "The answers to some uploads had neither size nor checksum, and with `--verify size` or `off` nobody read those files back: that they were stored is the server's word.",
        "Jawaban atas beberapa unggahan tidak berisi ukuran maupun checksum, dan dengan `--verify size` atau `off` berkasnya tidak dibaca kembali: bahwa berkas tersimpan hanya kata server.",
    ),
];

/// `docs/COLUMNS.md`.
#[must_use]
pub fn document() -> String {
    let mut out = String::from(
        "# The columns of a run's tables\n\n\
         Made from `crates/stress-report/src/definitions.rs`, and held to the code's columns by a test. A value that \
         nobody measured is empty, never 0 and never a word. Numbers have a point and no groups of digits; times are in \
         seconds, sizes in bytes.\n",
    );
    let tables: [(&str, &[Definition]); 5] = [
        ("`summary.csv`: one row a combination", &SUMMARY),
        ("`clients.csv`: one row an operation", &CLIENTS),
        ("Values of `status`", &STATUSES),
        ("Values of `outcome` and `top_outcome`", &OUTCOMES),
        ("Words of `flags`", &FLAGS),
    ];
    for (title, definitions) in tables {
        out.push_str(&format!("\n## {title}\n\n| name | meaning |\n|---|---|\n"));
        for definition in definitions {
            let Definition { name, en, .. } = definition;
            out.push_str(&format!("| `{name}` | {en} |\n"));
        }
    }
    out.push_str(
        "\n## `table.csv` and `table.xlsx`\n\n\
         The assignment's nine columns and nothing else: number, operation, volume, client workers, server workers, \
         `time_per_client_s`, `throughput_per_client_bytes_per_s`, client workers that succeeded and failed, server \
         workers that succeeded and failed. Idle server workers count as successful there, as the assignment counts \
         them. With `--lang id` the headings are Indonesian, and `table.csv` has semicolons, decimal commas and a byte \
         order mark, as a spreadsheet set to Indonesian reads it.\n",
    );
    out
}

#[cfg(test)]
mod tests {
    use stress_data::measurement::Status;
    use stress_data::summary::{clients, csv};
    use stress_data::testing;
    use stress_data::{record, summary};

    use super::*;

    fn names(definitions: &[Definition]) -> Vec<&'static str> {
        definitions
            .iter()
            .map(|definition| definition.name)
            .collect()
    }

    #[test]
    fn every_column_of_the_tables_is_defined_in_its_place() {
        let columns: Vec<&str> = csv::columns().collect();
        assert_eq!(names(&SUMMARY), columns);
        let mut head = Vec::new();
        let contents = testing::contents(&stress_data::matrix::Selection::default(), 1);
        clients::write(&contents, &mut head).unwrap();
        let head = String::from_utf8(head).unwrap();
        let columns: Vec<&str> = head.trim_end().split(',').collect();
        assert_eq!(names(&CLIENTS), columns);
        drop(summary::rows(&contents));
    }

    #[test]
    fn every_word_of_a_closed_set_is_defined() {
        use Status::{Cut, Failed, Inconsistent, NotRun, Ok, ServerLost, Timeout};
        let statuses = [Ok, Failed, Timeout, ServerLost, Inconsistent, NotRun, Cut];
        assert_eq!(names(&STATUSES), statuses.map(Status::as_str));
        for name in names(&OUTCOMES) {
            let word = serde_json::Value::from(name);
            let outcome: record::Outcome = serde_json::from_value(word).unwrap();
            assert_eq!(csv::outcome_word(outcome), name);
        }
        assert_eq!(names(&FLAGS), summary::Flag::ALL.map(summary::Flag::as_str));
    }

    #[test]
    fn nothing_is_left_untranslated() {
        let all = [&SUMMARY[..], &CLIENTS, &STATUSES, &OUTCOMES, &FLAGS].concat();
        for definition in all {
            let (en, id) = (definition.meaning(Lang::En), definition.meaning(Lang::Id));
            assert!(
                !en.is_empty() && !id.is_empty() && en != id,
                "{}",
                definition.name
            );
        }
    }

    /// `UPDATE_DOCS=1 cargo test -p stress-report definitions` writes the file anew.
    #[test]
    fn the_document_of_the_columns_says_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/COLUMNS.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            written,
            document(),
            "UPDATE_DOCS=1 cargo test -p stress-report definitions"
        );
    }
}
