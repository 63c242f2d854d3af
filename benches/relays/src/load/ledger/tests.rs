//! The books are kept of lines that no socket has seen.

use super::*;
use crate::wire::Wire;

/// Books with every session open and every window filled.
fn running(traffic: Traffic, sessions: usize, senders: usize, window: u32) -> Ledger {
    let mut ledger = Ledger::new(Order {
        traffic,
        tls: None,
        wire: Wire::Lines,
        port: 0,
        sessions,
        total: 0,
        senders,
        window,
        line: 64,
        warmup: 0.0,
        secs: 0.0,
        patience: 0.0,
        relay: None,
        backend: 0,
    });
    (0..sessions).for_each(|index| ledger.on_line(index, HELLO));
    ledger.start(window);
    ledger
}

fn line(ledger: &Ledger, sender: u32, number: u32) -> Vec<u8> {
    let mut text = Vec::new();
    ledger.lines.write(sender, number, &mut text);
    text
}

fn faults(ledger: &Ledger) -> (u64, u64) {
    (ledger.outcome.out_of_order, ledger.outcome.bad_lines)
}

#[test]
fn an_echo_moves_its_window_on() {
    let mut ledger = running(Traffic::Echo, 1, 1, 2);
    assert_eq!(ledger.take_due(), Some((0, 0..2)));
    assert_eq!(ledger.take_due(), None);
    let first = line(&ledger, 0, 0);
    ledger.on_line(0, &first);
    assert_eq!(ledger.take_due(), Some((0, 2..3)));
    assert_eq!((ledger.outcome.up, ledger.outcome.down, ledger.in_flight), (1, 1, 2));
    assert_eq!(faults(&ledger), (0, 0));
    assert_eq!(ledger.close().missing, 2);
}

#[test]
fn whoever_has_spoken_waits_for_all_others() {
    let mut ledger = running(Traffic::Turns, 5, 2, 1);
    let mut spoken = Vec::new();
    for _ in 0..20 {
        while let Some((index, numbers)) = ledger.take_due() {
            spoken.push((index, numbers.start));
        }
        assert_eq!(ledger.in_flight, 2);
        let (index, number) = spoken[spoken.len() - 2];
        let text = line(&ledger, index as u32, number);
        ledger.on_line(index, &text);
    }
    for (round, turns) in spoken.chunks_exact(5).enumerate() {
        let mut sessions: Vec<usize> = turns.iter().map(|(index, _)| *index).collect();
        sessions.sort_unstable();
        assert_eq!(sessions, [0, 1, 2, 3, 4]);
        assert!(turns.iter().all(|(_, number)| *number == round as u32));
    }
    assert_eq!(faults(&ledger), (0, 0));
}

#[test]
fn a_short_line_is_the_one_that_is_due_or_nobodys() {
    let mut ledger = running(Traffic::Echo, 1, 1, 8);
    ledger.lines = Lines::new(4);
    while ledger.take_due().is_some() {}
    let texts: Vec<Vec<u8>> = (0..4).map(|number| line(&ledger, 0, number)).collect();
    ledger.on_line(0, &texts[0]);
    ledger.on_line(0, &texts[1]);
    assert_eq!((ledger.outcome.down, faults(&ledger)), (2, (0, 0)));
    ledger.on_line(0, &texts[3]);
    assert_eq!(faults(&ledger), (0, 1), "one is missing");
}

#[test]
fn what_came_twice_late_or_changed_is_booked() {
    let mut ledger = running(Traffic::Echo, 2, 1, 4);
    while ledger.take_due().is_some() {}
    let [first, second] = [0, 1].map(|number| line(&ledger, 0, number));
    ledger.on_line(0, &second);
    assert_eq!(faults(&ledger), (1, 0), "the second before the first");
    ledger.on_line(0, &second);
    assert_eq!(faults(&ledger), (2, 0), "twice");
    ledger.on_line(1, &first);
    assert_eq!(faults(&ledger), (2, 1), "another's");
    ledger.on_line(0, &first[1..]);
    assert_eq!(faults(&ledger), (2, 2), "cut");
    ledger.on_line(0, &[&first[..], b"\r"].concat());
    assert_eq!(faults(&ledger), (2, 3), "longer");
    assert!(ledger.close().first_error.is_some());
}

#[test]
fn a_chat_line_lands_when_all_have_heard_it() {
    let mut ledger = running(Traffic::Chat, 3, 1, 1);
    assert_eq!(ledger.take_due(), Some((0, 0..1)));
    let said = line(&ledger, 0, 0);
    ledger.on_line(2, &said);
    ledger.on_line(0, &said);
    assert_eq!((ledger.in_flight, ledger.take_due()), (1, None));
    ledger.on_line(1, &said);
    assert_eq!((ledger.in_flight, ledger.take_due()), (0, Some((0, 1..2))));
    assert_eq!((ledger.outcome.up, ledger.outcome.down), (1, 3));
}

#[test]
fn an_acknowledgement_lands_a_whole_batch() {
    let mut ledger = running(Traffic::Up, 1, 1, 1);
    assert_eq!(ledger.take_due(), Some((0, 0..ACK_EVERY)));
    ledger.on_line(0, b"00000100 00000000");
    assert_eq!((ledger.outcome.up, ledger.in_flight), (u64::from(ACK_EVERY), 0));
    ledger.on_line(0, b"00000200 00000003");
    assert_eq!(ledger.outcome.out_of_order, 3);
}

#[test]
fn nobody_waits_for_a_stalled_client() {
    let mut ledger = running(Traffic::Stalled, 3, 1, 1);
    ledger.stall(2, Times::default());
    let hear = |ledger: &mut Ledger, index: usize, number: u32| {
        let said = line(ledger, 0, number);
        ledger.on_line(index, &said);
    };
    for number in 0..4 {
        assert_eq!(ledger.take_due(), Some((0, number..number + 1)));
        hear(&mut ledger, 0, number);
        hear(&mut ledger, 1, number);
    }
    assert_eq!((ledger.outcome.up, ledger.outcome.down, ledger.in_flight), (4, 8, 0));

    ledger.resume();
    hear(&mut ledger, 2, 0);
    hear(&mut ledger, 2, 3);
    let stall = |ledger: &Ledger| ledger.outcome.stall.clone().unwrap();
    assert_eq!((stall(&ledger).skipped, stall(&ledger).caught_up), (2, false));
    hear(&mut ledger, 2, 4);
    assert!(stall(&ledger).caught_up);
    assert_eq!(faults(&ledger), (0, 0));
    hear(&mut ledger, 2, 4);
    assert_eq!(faults(&ledger), (1, 0), "twice");

    ledger.lose(2, "closed");
    assert_eq!(
        (stall(&ledger).ended.as_deref(), ledger.outcome.lost_sessions),
        (Some("closed"), 0)
    );
}
