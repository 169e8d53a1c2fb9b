//! Rows that are measured once more, to be drawn.

use super::*;

/// Draws what is to be drawn, until `end`, and says which rows have a timeline then.
fn draw(request: &Request, folder: &mut Folder, end: Option<u64>, script: Script) -> Vec<u32> {
    let stops = Stops::default();
    let mut bench = ScriptedSampler {
        script,
        stops: &stops,
        cost: |_| Duration::from_secs(1),
        now: Duration::ZERO,
        measured: Vec::new(),
    };
    let mut taker = Sampling {
        folder,
        progress: progress(request, &[]),
        settings: &request.settings,
        session: 0,
        stops: &stops,
    };
    let end = end.map(Duration::from_secs);
    let ended = taker.draw(&request.plan.cells, &request.timelines, end, &mut bench);
    assert!(matches!(ended, Ended::Complete), "{ended:?}");
    let drawn = folder.contents.timelines.iter();
    drawn.map(|it| it.sample.measurement.cell.number).collect()
}

#[test]
fn a_run_without_its_timelines_is_complete_all_the_same() {
    let out = tempfile::tempdir().unwrap();
    let rows = ["--clients", "1", "--timeline", "28,29,30"];
    let request = request(out.path(), &rows);
    let mut folder = Folder::open(&request).unwrap();
    let ok: Script = |_, _| Ok(Status::Ok);
    let none: [u32; 0] = [];
    // There is no sample yet.
    assert_eq!(draw(&request, &mut folder, None, ok), none);
    take(&request, &mut folder, ok);
    let interrupted: Script = |_, _| Err(measure::Error::Interrupted);
    assert_eq!(draw(&request, &mut folder, None, interrupted), none);
    // A sample takes a second, so that no more than one fits.
    assert_eq!(draw(&request, &mut folder, Some(0), ok), none);
    assert_eq!(draw(&request, &mut folder, Some(1), ok), [28]);
    // What is left to take is row 30 alone, which cannot be; nor can it be drawn. No row is drawn twice.
    assert_eq!(turns_left(&request, &folder.contents).len(), 1);
    assert_eq!(draw(&request, &mut folder, None, ok), [28, 29]);
    assert_eq!(folder.contents.samples.len(), 3);
    let repeats = folder.contents.timelines.iter();
    assert!(
        repeats
            .map(|it| it.sample.measurement.repeat)
            .all(|it| it == 1)
    );
}
