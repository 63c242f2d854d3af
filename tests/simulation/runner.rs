//! Runs seeds on all cores, and reports the first that fails, or all that do.

use std::collections::HashSet;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use wsrelay::clock::ManualClock;

use crate::story::Story;
use crate::trace::{Failure, Trace};
use crate::{generate, model, shrink, world};

/// Seeds that a thread takes at once.
const BATCH: u64 = 100;

/// How often progress is shown.
const PROGRESS: Duration = Duration::from_secs(5);

/// The time after which a seed will never end: it takes a millisecond as a rule.
const ENDLESS: Duration = Duration::from_secs(20);

/// The seed that a thread runs, and when it began.
type Present = Mutex<Option<(u64, Instant)>>;

/// A seed that failed, and how.
type Find = (u64, Failure);

/// Runs `seeds` seeds from `from` on. With `all` it goes on after one that fails.
///
/// # Errors
/// A report: of the lowest seed that failed, or, with `all`, a list of them and a report of the first of each kind. A
/// seed's report has the story in short, what was seen, and how to run it again.
pub fn run(from: u64, seeds: u64, all: bool) -> Result<(), String> {
    let began = Instant::now();
    let finds = find(from, seeds, all, |seed, clock| fails(&generate::story(seed), clock));
    if finds.is_empty() {
        let took = began.elapsed().as_secs_f64();
        eprintln!("simulate: {seeds} seeds from {from} on, every promise kept, {took:.1} s");
        return Ok(());
    }
    let firsts = first_of_each_kind(&finds);
    let reports = firsts.into_iter().map(|seed| {
        let report = quiet().spawn(move || report(seed, from)).expect("a thread can be started");
        report.join().expect("it catches panics")
    });
    let reports: Vec<String> = reports.collect();
    let mut text = reports.join("\n");
    if all {
        let _ = writeln!(text, "\n{} of {seeds} seeds from {from} on failed:", finds.len());
        finds.iter().for_each(|find| text.extend(["  ", &line(find), "\n"]));
    }
    Err(text)
}

/// A find in one line.
fn line((seed, failure): &Find) -> String {
    const SHOWN: usize = 160;
    let text = failure.to_string().replace('\n', " ");
    let cut = text.char_indices().nth(SHOWN).map_or(text.len(), |(at, _)| at);
    format!("seed {seed}: {}", &text[..cut])
}

/// The lowest seed of each kind of failure, in order.
fn first_of_each_kind(finds: &[Find]) -> Vec<u64> {
    let mut kinds = HashSet::new();
    finds.iter().filter(|(_, failure)| kinds.insert(failure.kind)).map(|(seed, _)| *seed).collect()
}

/// The seeds for which `fails` gives a failure, in order: the lowest one only, unless `all` are asked for.
fn find(
    from: u64,
    seeds: u64,
    all: bool,
    fails: impl Fn(u64, &mut ManualClock) -> Option<Failure> + Sync,
) -> Vec<Find> {
    let end = from.saturating_add(seeds);
    let next = AtomicU64::new(from);
    let finds: Mutex<Vec<Find>> = Mutex::default();
    let began = Instant::now();
    let shown = Mutex::new(began);
    let work = |present: &Present| {
        let mut clock = ManualClock::new();
        loop {
            let first = next.fetch_add(BATCH, Ordering::Relaxed);
            let lowest = || finds.lock().expect("no thread panics").iter().map(|find| find.0).min();
            let stop = if all { end } else { lowest().unwrap_or(end) };
            if first >= stop {
                return;
            }
            for seed in first..(first + BATCH).min(stop) {
                *present.lock().expect("no thread panics") = Some((seed, Instant::now()));
                let Some(failure) = fails(seed, &mut clock) else { continue };
                let find = (seed, failure);
                if all {
                    eprintln!("{}", line(&find));
                }
                finds.lock().expect("no thread panics").push(find);
                if !all {
                    break;
                }
            }
            *present.lock().expect("no thread panics") = None;
            let mut shown = shown.lock().expect("no thread panics");
            if shown.elapsed() >= PROGRESS {
                *shown = Instant::now();
                let done = (first + BATCH).min(end) - from;
                let rate = done as f64 / began.elapsed().as_secs_f64();
                eprintln!("simulate: {done} of {seeds} seeds, {rate:.0} a second");
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    hush();
    let presents: Vec<Present> = (0..cores).map(|_| Present::default()).collect();
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let workers: Vec<_> =
            presents.iter().map(|present| quiet().spawn_scoped(scope, || work(present))).collect();
        scope.spawn(|| watch(from, &presents, is_done));
        for thread in workers {
            thread.expect("a thread can be started").join().expect("it catches panics");
        }
        drop(done);
    });
    let mut finds = finds.into_inner().expect("no thread panics");
    finds.sort_by_key(|(seed, _)| *seed);
    if !all {
        finds.truncate(1);
    }
    finds
}

/// Ends the process if a session never leaves a poll: nothing else can be done about it.
fn watch(from: u64, presents: &[Present], is_done: mpsc::Receiver<()>) {
    while is_done.recv_timeout(ENDLESS / 20) == Err(mpsc::RecvTimeoutError::Timeout) {
        for present in presents {
            let present = *present.lock().expect("no thread panics");
            if let Some((seed, _)) = present.filter(|(_, began)| began.elapsed() > ENDLESS) {
                eprintln!(
                    "seed {seed}, the {}th: endless: it never leaves a poll",
                    seed - from + 1
                );
                eprintln!("{}", generate::story(seed));
                std::process::exit(1);
            }
        }
    }
}

/// The name of threads whose panics are reported otherwise.
const QUIET: &str = "simulation";

fn quiet() -> thread::Builder {
    thread::Builder::new().name(QUIET.into())
}

/// Lets the threads of the simulation panic without a word: a panic is a failure, which is reported once.
fn hush() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if thread::current().name() != Some(QUIET) {
            others(panic);
        }
    }));
}

/// Runs a story on this thread's clock.
pub fn outcome(story: &Story, clock: &mut ManualClock) -> (Option<Failure>, Trace) {
    let (lived, trace) = world::run(story, clock);
    let failure = lived.and_then(|()| model::check(story, &trace)).err();
    (failure, trace)
}

/// How a story fails, if it does. A panic is a failure.
fn fails(story: &Story, clock: &mut ManualClock) -> Option<Failure> {
    let ran = catch_unwind(AssertUnwindSafe(|| outcome(story, clock).0));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Some(Failure::new("panic", text.unwrap_or_default()))
    })
}

/// The report of a seed that fails.
fn report(seed: u64, from: u64) -> String {
    let mut clock = ManualClock::new();
    let story = generate::story(seed);
    let Some(failure) = fails(&story, &mut clock) else {
        return format!("seed {seed} failed once, and not again: it is not deterministic");
    };
    let mut report = String::new();
    let _ = writeln!(report, "seed {seed}, the {}th: {failure}", seed - from + 1);
    let _ = writeln!(report, "run it again: scripts/simulate 1 --from {seed}");
    if std::env::var("SIMULATE_SHRINK").is_ok_and(|shrink| shrink == "0") {
        return report;
    }
    let short = shrink::shrink(&story, failure.kind, |story| fails(story, &mut clock));
    if let Some(failure) = fails(&short, &mut clock) {
        let _ = writeln!(report, "\nthe shortest story that fails so: {failure}\n{short}");
    }
    if let Ok((_, trace)) = catch_unwind(AssertUnwindSafe(|| outcome(&short, &mut clock))) {
        let _ = writeln!(report, "{trace}");
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seeds that fail, each in one of two ways.
    fn bad(seed: u64, _: &mut ManualClock) -> Option<Failure> {
        let kind = match seed {
            17 | 250 | 1099 => "late",
            18 | 1000 => "panic",
            _ => return None,
        };
        Some(Failure::new(kind, format!("{seed}\n{}", "é".repeat(1000))))
    }

    #[test]
    fn all_seeds_that_fail_are_found_or_the_first() {
        for (from, seeds, expected) in [
            (0, 1100, &[17, 18, 250, 1000, 1099][..]),
            (0, 1099, &[17, 18, 250, 1000]),
            (18, 1, &[18]),
            (19, 231, &[]),
            (19, 232, &[250]),
        ] {
            let seeds_of = |all| -> Vec<u64> {
                find(from, seeds, all, bad).into_iter().map(|find| find.0).collect()
            };
            assert_eq!(seeds_of(true), expected, "{seeds} from {from} on");
            assert_eq!(seeds_of(false), expected[..expected.len().min(1)]);
        }
    }

    #[test]
    fn a_list_has_a_line_a_seed_and_one_story_a_kind() {
        let finds = find(0, 1100, true, bad);
        assert_eq!(first_of_each_kind(&finds), [17, 18]);
        let line = line(&finds[2]);
        assert!(line.starts_with("seed 250: late: 250 éé"), "{line}");
        assert!(line.chars().count() < 200 && !line.contains('\n'), "{line}");
    }
}
