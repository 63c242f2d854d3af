//! Lines and messages through a real relay: what both ends see.

mod support;

use support::{Backend, echo, relay_to};

#[test]
fn a_line_goes_up_and_comes_down() {
    let relay = relay_to(echo(), &[]);
    let mut client = relay.connect("/");
    for text in ["hello", "", "zwölf Boxkämpfer 🥊", "ends with a newline\n"] {
        client.send(text);
        assert_eq!(client.recv(), text.trim_end_matches('\n'));
    }
    client.close();
}

#[test]
fn a_tail_is_the_last_message() {
    let backend = Backend::listen();
    let relay = relay_to(backend.addr, &[]);
    let mut client = relay.connect("/");
    let mut peer = backend.accept();
    peer.write("one\r\ntwo");
    drop(peer);
    assert_eq!(client.recv(), "one");
    assert_eq!(client.recv(), "two");
    client.expect_close(1000, "backend closed");
}
