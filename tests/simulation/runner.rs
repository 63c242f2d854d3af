//! Runs seeds on all cores, and reports the first that fails.

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

/// Runs `seeds` seeds from `from` on.
///
/// # Errors
/// A report of the lowest seed that failed: the story in short, what was seen, and how to run it again.
pub fn run(from: u64, seeds: u64) -> Result<(), String> {
    let end = from.saturating_add(seeds);
    let next = AtomicU64::new(from);
    let failed: Mutex<Option<u64>> = Mutex::new(None);
    let began = Instant::now();
    let shown = Mutex::new(began);
    let work = |present: &Present| {
        let mut clock = ManualClock::new();
        loop {
            let first = next.fetch_add(BATCH, Ordering::Relaxed);
            let stop = failed.lock().expect("no thread panics").unwrap_or(end);
            if first >= stop {
                return;
            }
            for seed in first..(first + BATCH).min(stop) {
                *present.lock().expect("no thread panics") = Some((seed, Instant::now()));
                if fails(&generate::story(seed), &mut clock).is_some() {
                    let mut failed = failed.lock().expect("no thread panics");
                    *failed = Some(failed.map_or(seed, |other| other.min(seed)));
                    *present.lock().expect("no thread panics") = None;
                    return;
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
    if let Some(seed) = failed.into_inner().expect("no thread panics") {
        let report = quiet().spawn(move || report(seed, from)).expect("a thread can be started");
        return Err(report.join().expect("it catches panics"));
    }
    let took = began.elapsed().as_secs_f64();
    eprintln!("simulate: {seeds} seeds from {from} on, every promise kept, {took:.1} s");
    Ok(())
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
