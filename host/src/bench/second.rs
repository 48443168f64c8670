//! A second start: how long it takes from the beginning of the process until the first new record is read, on a store that has the
//! whole stream, with compiled plugins of an earlier start.

use std::{
    fs::{self, File, OpenOptions},
    io::BufWriter,
    path::Path,
};

use clickmill_settings::Generate;
use serde_json::{Value, json};

use super::{failed, like::Like, measure::measure, measure::median, program};
use crate::{error::Error, output::say};

const STARTS: usize = 7;
/// New records for each start.
const NEW: usize = 1_000;

pub fn bench(folder: &Path, stream: &Path, like: &Like) -> Result<Value, Error> {
    let more = folder.join("more.jsonl");
    let mut records = clickmill_embedded::lines(&Generate { seed: 2, ..Generate::default() });
    let mut append = |file: File| {
        crate::generate::write(BufWriter::new(file), records.by_ref().take(NEW)).map_err(failed(&more))
    };
    append(File::create(&more).map_err(failed(&more))?)?;
    let setup = program::Setup::new(folder, "second", &[stream, &more], like)?;
    setup.run_anew()?;
    let (mut starts, mut loads) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        append(OpenOptions::new().append(true).open(&more).map_err(failed(&more))?)?;
        let (_, summary) = setup.run()?;
        let first = summary["first_record_seconds"].as_f64();
        starts.push(first.ok_or_else(|| Error::Other("a second start read no record".into()))?);
        let mut version = program::own()?;
        version.arg("--version");
        loads.push(measure(version)?.0.wall);
    }
    let (first, least, most) = median(starts);
    let load = median(loads).0;
    say(format_args!(
        "  second start  first record after {:.0} ms ({:.0} to {:.0}); the system took at most {:.0} ms more to load the program",
        first * 1e3,
        least * 1e3,
        most * 1e3,
        load * 1e3,
    ))?;
    fs::remove_file(&more).map_err(failed(&more))?;
    Ok(json!({"first_record_seconds": first, "least": least, "most": most, "load_seconds": load}))
}
