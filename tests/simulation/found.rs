//! Stories that failed once, in the shape in which they were found.

use wsrelay::clock::ManualClock;

use crate::spec::rate::Rate;
use crate::spec::{Broken, Message};
use crate::story::{Act, Setup, Side, Step, Story};
use crate::{model, world};

/// Steps that happen one after the other, with every byte at once.
fn steps(acts: Vec<Act>) -> Vec<Step> {
    acts.into_iter().map(|act| Step { act, settles: true, chunk: usize::MAX }).collect()
}

/// The same, but for the last two, which happen at once.
fn steps_at_once(acts: Vec<Act>) -> Vec<Step> {
    let mut steps = steps(acts);
    let last = steps.len() - 2;
    steps[last].settles = false;
    steps
}

fn say(text: &str) -> Act {
    Act::Say { message: Message::Text(text.into()), cuts: Vec::new(), ping: false }
}

fn check(name: &str, setup: Setup, steps: Vec<Step>) {
    let story = Story { setup, steps };
    let mut clock = ManualClock::new();
    let (lived, trace) = world::run(&story, &mut clock);
    if let Err(failure) = lived.and_then(|()| model::check(&story, &trace)) {
        panic!("{name}: {failure}\n{story}\n{trace}");
    }
}

#[test]
fn a_close_code_that_is_not_allowed_is_an_error_of_the_protocol() {
    for code in [0, 999, 1005, 1016, u16::MAX] {
        let acts = vec![Act::Break(Broken::CloseWithBadCode(code))];
        check("close code", Setup::default(), steps(acts));
    }
}

#[test]
fn a_small_limit_of_lines_is_none_of_control_frames() {
    let mut setup = Setup::default();
    setup.rules.max_line = 16;
    for length in [17, 19, 125] {
        check("ping", setup.clone(), steps(vec![Act::Ping(vec![b'p'; length]), say("line")]));
    }
}

#[test]
fn a_newline_inside_a_message_is_not_torn() {
    let mut setup = Setup::default();
    setup.rules.charset = encoding_rs::ISO_2022_JP;
    check("escape", setup, steps(vec![say("¥\r\n¥")]));
}

/// The backend takes some of what waits, and so the session has room again.
#[test]
fn a_session_that_has_room_again_reads_on() {
    let setup = Setup { backend_room: 16_384, ..Setup::default() };
    let acts = vec![Act::Stall(Side::Backend), say(&"x".repeat(65_536)), say("")];
    check("room", setup, steps_at_once(acts));
}

/// A message that was received while much waits for the backend is not forgotten by a stop.
#[test]
fn what_was_received_before_a_stop_is_counted_and_kept() {
    let setup = Setup { backend_room: 4096, ..Setup::default() };
    let acts = |last| {
        let first = vec![Act::Stall(Side::Backend), say(&"x".repeat(62_000))];
        // With the first it is more than may wait, and so the last is not looked at, as a Ping comes before it.
        let rest = vec![say(&"y".repeat(8000)), Act::Ping(Vec::new()), say("last"), last];
        [first, rest].concat()
    };
    for last in [Act::Stop, Act::Fin(Side::Backend)] {
        let mut steps = steps(acts(last));
        (steps[2].settles, steps[3].settles) = (false, false);
        let resume = Step { act: Act::Resume(Side::Backend), settles: true, chunk: usize::MAX };
        check("stop", setup.clone(), [steps, vec![resume]].concat());
    }
}

/// A client that reads only once it has sent everything gets what waits for it, though what it sends is refused.
#[test]
fn a_client_that_blocks_on_what_is_refused_gets_its_lines() {
    let mut setup = Setup { client_room: 64, client_blocks: true, ..Setup::default() };
    setup.rules.max_line = 100;
    let acts = vec![
        Act::Stall(Side::Client),
        Act::Write(b"line\n".repeat(50)),
        say(&"x".repeat(1000)),
        Act::Resume(Side::Client),
    ];
    check("refused", setup, steps(acts));
}

/// A tail that is flushed counts for the queue as lines do.
#[test]
fn a_flushed_tail_that_overflows_the_queue_ends_the_session() {
    let setup = Setup { queue: Some(4), client_room: 1, flush_after: Some(5), ..Setup::default() };
    let acts = vec![Act::Stall(Side::Client), Act::Write(b"hello".to_vec()), Act::Pass(5)];
    check("queue", setup, steps(acts));
}

/// With a stage, a backend that takes nothing is not read from. Its end is noticed all the same, and what came before it
/// is relayed.
#[test]
fn the_end_of_a_backend_that_takes_no_answers_is_noticed() {
    let setup = Setup { stage: true, backend_room: 4096, ..Setup::default() };
    let last = Act::Write(b"#1last\n#2tail".to_vec());
    let acts =
        vec![Act::Stall(Side::Backend), say(&"x".repeat(70_000)), last, Act::Fin(Side::Backend)];
    for side in [None, Some(Side::Backend)] {
        let mut acts = acts.clone();
        if let Some(side) = side {
            acts.insert(3, Act::Hold(side));
            acts.push(Act::Release(side));
        }
        check("end", setup.clone(), steps(acts));
    }
}

/// While lines wait for their time nothing is written to the backend, and while the client does not read nothing is read
/// from it. Its reset is noticed all the same.
#[test]
fn the_reset_of_a_backend_whose_lines_wait_for_their_time_is_noticed() {
    let setup = Setup { rate: Some(Rate { count: 1, burst: 5 }), ..Setup::default() };
    let lines = "x\n".repeat(20_000);
    for keeps in [false, true] {
        let acts = vec![
            Act::Stall(Side::Client),
            Act::Write(b"line\n".repeat(30_000)),
            say(&lines),
            say(&lines),
            say("last"),
            Act::Reset { side: Side::Backend, keeps },
        ];
        check("reset", setup.clone(), steps(acts));
    }
}
