//! Negotiation: the Q method of RFC 1143, for one option and one side of the connection. It never answers an answer,
//! so two ends can't go on for ever.

/// Whether an option is on. `queued`: the opposite is wanted as soon as the peer has answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It is off.
    #[default]
    No,
    /// It is on.
    Yes,
    /// We have asked for its end, and the peer has not answered.
    WantNo {
        /// We want it again.
        queued: bool,
    },
    /// We have asked for it, and the peer has not answered.
    WantYes {
        /// We don't want it any more.
        queued: bool,
    },
}

/// What is said: that the option be on (WILL, DO) or off (WONT, DONT).
pub type Said = bool;

impl State {
    /// The peer says that it be on or off. Returns what is said in turn. `wanted`: whether we agree to it.
    #[must_use]
    pub fn hear(&mut self, said: Said, wanted: bool) -> Option<Said> {
        let (next, answer) = match (*self, said) {
            (State::No, true) if wanted => (State::Yes, Some(true)),
            (State::No, true) => (State::No, Some(false)),
            (State::No, false) => (State::No, None),
            (State::Yes, true) => (State::Yes, None),
            (State::Yes, false) => (State::No, Some(false)),
            // An end that was answered by a beginning: the peer is wrong.
            (State::WantNo { queued }, true) => (if queued { State::Yes } else { State::No }, None),
            (State::WantNo { queued: true }, false) => {
                (State::WantYes { queued: false }, Some(true))
            }
            (State::WantNo { queued: false }, false) => (State::No, None),
            (State::WantYes { queued: true }, true) => {
                (State::WantNo { queued: false }, Some(false))
            }
            (State::WantYes { queued: false }, true) => (State::Yes, None),
            (State::WantYes { .. }, false) => (State::No, None),
        };
        *self = next;
        answer
    }

    /// We want it on or off. Returns what is said.
    #[must_use]
    pub fn want(&mut self, on: bool) -> Option<Said> {
        let (next, said) = match (*self, on) {
            (State::No, true) => (State::WantYes { queued: false }, Some(true)),
            (State::Yes, false) => (State::WantNo { queued: false }, Some(false)),
            (State::WantNo { .. }, on) => (State::WantNo { queued: on }, None),
            (State::WantYes { .. }, on) => (State::WantYes { queued: !on }, None),
            (state, _) => (state, None),
        };
        *self = next;
        said
    }
}

#[cfg(test)]
mod tests {
    use super::State::{No, WantNo, WantYes, Yes};
    use super::*;

    const STATES: [State; 6] = [
        No,
        Yes,
        WantNo { queued: false },
        WantNo { queued: true },
        WantYes { queued: false },
        WantYes { queued: true },
    ];

    /// RFC 1143, section 7: every state and every command. Whether we agree matters in the state NO only.
    #[test]
    fn every_state_and_every_command() {
        let table = [
            // state, on: next and answer if we agree; if not; off: next and answer
            (No, (Yes, Some(true)), (No, Some(false)), (No, None)),
            (Yes, (Yes, None), (Yes, None), (No, Some(false))),
            (WantNo { queued: false }, (No, None), (No, None), (No, None)),
            (
                WantNo { queued: true },
                (Yes, None),
                (Yes, None),
                (WantYes { queued: false }, Some(true)),
            ),
            (WantYes { queued: false }, (Yes, None), (Yes, None), (No, None)),
            (
                WantYes { queued: true },
                (WantNo { queued: false }, Some(false)),
                (WantNo { queued: false }, Some(false)),
                (No, None),
            ),
        ];
        assert_eq!(table.map(|row| row.0), STATES);
        for (state, agreed, refused, off) in table {
            for (said, wanted, want) in [
                (true, true, agreed),
                (true, false, refused),
                (false, true, off),
                (false, false, off),
            ] {
                let mut next = state;
                let answer = next.hear(said, wanted);
                assert_eq!((next, answer), want, "{state:?} hears {said}, wanted: {wanted}");
            }
        }
    }

    /// RFC 1143, section 7: "If we decide to ask for it", and "to ask for its end".
    #[test]
    fn every_state_and_every_wish() {
        for (state, on, off) in [
            (No, (WantYes { queued: false }, Some(true)), (No, None)),
            (Yes, (Yes, None), (WantNo { queued: false }, Some(false))),
            (
                WantNo { queued: false },
                (WantNo { queued: true }, None),
                (WantNo { queued: false }, None),
            ),
            (
                WantNo { queued: true },
                (WantNo { queued: true }, None),
                (WantNo { queued: false }, None),
            ),
            (
                WantYes { queued: false },
                (WantYes { queued: false }, None),
                (WantYes { queued: true }, None),
            ),
            (
                WantYes { queued: true },
                (WantYes { queued: false }, None),
                (WantYes { queued: true }, None),
            ),
        ] {
            for (wish, want) in [(true, on), (false, off)] {
                let mut next = state;
                let said = next.want(wish);
                assert_eq!((next, said), want, "{state:?} wants {wish}");
            }
        }
    }

    /// Two ends by the Q method come to rest, from all states and with any wishes, whoever agrees to what; and if both
    /// agree, they think the same.
    #[test]
    fn two_ends_come_to_rest() {
        for agrees in [[true, true], [true, false], [false, true], [false, false]] {
            for wishes in 0..64_u32 {
                let mut ends = [No, No];
                // What is on its way to each of them.
                let mut ways: [Vec<Said>; 2] = Default::default();
                let mut steps = 0;
                for wish in 0..6 {
                    let end = wish % 2;
                    let said = ends[end].want(wishes >> wish & 1 == 1);
                    ways[1 - end].extend(said);
                }
                while let Some(end) = (0..2).find(|end| !ways[*end].is_empty()) {
                    let said = ways[end].remove(0);
                    let answer = ends[end].hear(said, agrees[end]);
                    ways[1 - end].extend(answer);
                    steps += 1;
                    assert!(steps < 40, "{agrees:?} {wishes:b}: they go on for ever");
                }
                assert!(matches!(ends, [No, No] | [Yes, Yes]), "{agrees:?} {wishes:b}: {ends:?}");
            }
        }
    }

    /// What a peer answers.
    type Peer = fn(Said) -> Said;

    /// A peer that answers every answer comes to rest, as the second one changes nothing. If it insists on what was
    /// refused, it gets one answer for each time.
    #[test]
    fn a_peer_that_answers_everything_comes_to_rest() {
        let peers: [(&str, Peer); 3] =
            [("agrees", |_| true), ("refuses", |_| false), ("repeats", |said| said)];
        for state in STATES {
            for (wanted, (name, peer)) in
                [true, false].into_iter().flat_map(|wanted| peers.map(|peer| (wanted, peer)))
            {
                for first in [false, true] {
                    let (mut state, mut next, mut steps) = (state, Some(first), 0);
                    while let Some(said) = next.filter(|_| steps < 8) {
                        next = state.hear(said, wanted).map(peer);
                        steps += 1;
                    }
                    let insists = !wanted && name == "agrees";
                    assert!(steps < 8 || insists, "{state:?} {wanted} {name} {first}");
                }
            }
        }
    }
}
