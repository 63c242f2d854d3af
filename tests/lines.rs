//! Lines and messages through a real relay: what both ends see.

mod support;

use std::io::Write;

use async_tungstenite::tungstenite::Message;
use support::faults::{NoNewline, Slice};
use support::{Client, echo, frame, relay_to, session};

/// What a backend gets of these messages.
fn up(options: &[&str], messages: &[&str]) -> String {
    let (_relay, mut client, mut peer) = session(options);
    for message in messages {
        client.send(message);
    }
    client.0.close(None).unwrap();
    let heard = peer.read_to_end();
    drop(peer);
    client.expect_end();
    String::from_utf8(heard).unwrap()
}

/// What a client gets of these bytes, and then a Close.
fn down(bytes: &[u8]) -> Vec<String> {
    down_with(&[], bytes)
}

/// The same with options.
fn down_with(options: &[&str], bytes: &[u8]) -> Vec<String> {
    let whole = {
        let (_relay, client, mut peer) = session(options);
        peer.write(bytes);
        drop(peer);
        read_all(client)
    };
    // However reads happen to cut it, it is the same.
    let sliced = {
        let (_relay, client, peer) = session(options);
        Slice(peer.tcp()).write(bytes);
        drop(peer);
        read_all(client)
    };
    assert_eq!(whole, sliced);
    whole
}

fn read_all(mut client: Client) -> Vec<String> {
    let mut messages = Vec::new();
    loop {
        match client.next() {
            Message::Text(text) => messages.push(text.to_string()),
            Message::Close(Some(frame)) => {
                assert_eq!((u16::from(frame.code), &*frame.reason), (1000, "backend closed"));
                client.expect_end();
                return messages;
            }
            other => panic!("{other:?}"),
        }
    }
}

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
fn a_message_becomes_a_line_and_its_own_newline_is_not_doubled() {
    let messages = ["a", "b\n", "c\r\n", "", "\n", "two\n\n", " \t ", "cr\r", "\r", "last"];
    let want = "a\nb\nc\r\n\n\ntwo\n\n \t \ncr\n\nlast\n";
    assert_eq!(up(&[], &messages), want);
}

#[test]
fn crlf_ends_every_line_the_inner_ones_too() {
    let messages = ["a", "b\n", "c\r\n", "", "d\ne", "f\r\ng\n", "\n\n", "cr\r", "\r"];
    let want = "a\r\nb\r\nc\r\n\r\nd\r\ne\r\nf\r\ng\r\n\r\n\r\ncr\r\n\r\n";
    assert_eq!(up(&["--eol", "crlf"], &messages), want);
}

/// Instruments end lines by a carriage return, XMLSocket by NUL.
#[test]
fn other_ends_of_line_both_ways() {
    let messages = ["a", "b\n", "c\r\n", "d\r", "", "\r", "e\nf", "g\rh", "i\0"];
    assert_eq!(up(&["--eol", "cr"], &messages), "a\rb\rc\rd\r\r\re\rf\rg\rh\ri\0\r");
    assert_eq!(up(&["--eol", "nul"], &messages), "a\0b\n\0c\r\n\0d\r\0\0\r\0e\nf\0g\rh\0i\0");
    let cr = down_with(&["--eol", "cr"], b"1.5\r2.5\r\n3.5\n4.5\n\r\r\r\ntail");
    assert_eq!(cr, ["1.5", "2.5", "3.5", "4.5", "", "", "tail"]);
    let nul = down_with(&["--eol", "nul"], b"<a>\n</a>\0\r\n\0\0tail\n");
    assert_eq!(nul, ["<a>\n</a>", "\r\n", "", "tail\n"]);
}

/// An instrument waits for its question; its answer has no newline, and must not wait.
#[test]
fn an_instrument_is_not_silent() {
    let (mut relay, mut client, mut peer) = session(&["--eol", "cr"]);
    client.send("*IDN?");
    assert_eq!(peer.read_bytes(6), b"*IDN?\r");
    peer.write("ACME,1\r");
    assert_eq!(client.recv(), "ACME,1");
    // The second byte of an end of line that comes later makes no message.
    peer.write("\n");
    client.send("MEAS?\r");
    assert_eq!(peer.read_bytes(6), b"MEAS?\r");
    peer.write("2.5\r");
    assert_eq!(client.recv(), "2.5");
    client.close();
    drop(peer);
    relay.wait_log(&["session closed", "lines_up=2", "lines_down=2"]);
}

#[test]
fn what_ends_a_line_for_the_backend_can_be_refused_or_made_a_space() {
    for (eol, inside, space) in
        [("cr", "a\rb\r", "a b\r"), ("cr", "a\nb", "a b\r"), ("nul", "a\0b", "a b\0")]
    {
        assert_eq!(up(&["--eol", eol, "--newlines", "space"], &[inside]), space);
        let (_relay, mut client, mut peer) = session(&["--eol", eol, "--newlines", "reject"]);
        client.send(inside);
        assert_eq!(peer.read_to_end(), b"");
        drop(peer);
        client.expect_close(1008, "newline inside a message");
    }
    assert_eq!(up(&["--eol", "nul", "--newlines", "reject"], &["a\nb\n"]), "a\nb\n\0");
}

#[test]
fn messages_may_keep_the_end_of_line_they_came_with() {
    let kept = down_with(&["--keep-eol"], b"<p>\n</p>\r\n\ntail");
    assert_eq!(kept, ["<p>\n", "</p>\r\n", "\n", "tail"]);
    let (_relay, client, mut peer) = session(&["--keep-eol"]);
    peer.write(b"one\n\rtwo\n\r\r10%\r20%\r\n");
    drop(peer);
    assert_eq!(read_all(client), ["one\n\r", "two\n\r", "\r10%\r20%\r\n"]);
    let both = ["--keep-eol", "--eol", "cr"];
    assert_eq!(down_with(&both, b"a\rb\rc"), ["a\r", "b\r", "c"]);
    assert_eq!(up(&["--keep-eol"], &["a\r", "b\n", "c"]), "a\nb\nc\n");
}

#[test]
fn a_prompt_and_then_the_end_of_its_line_are_kept() {
    let (_relay, mut client, mut peer) = session(&["--keep-eol", "--flush-after", "50ms"]);
    peer.write("login: ");
    assert_eq!(client.recv(), "login: ");
    peer.write("\r\nhello\r\n");
    assert_eq!(client.recv(), "\r\n");
    assert_eq!(client.recv(), "hello\r\n");
    client.close();
}

/// IRC: most people's clients send UTF-8, some still send what their machines spoke in 1995.
#[test]
fn a_line_that_is_not_utf8_is_in_the_fallback() {
    let options = ["--charset-fallback", "windows-1252"];
    let bytes = b"caf\xc3\xa9\r\ncaf\xe9 \x80\r\nascii\n\xe2\x82\n\xe9";
    let want = ["café", "café €", "ascii", "â‚", "é"];
    assert_eq!(down_with(&options, bytes), want);
    assert_eq!(up(&options, &["café €"]), "café €\n");
    let oem = ["--charset-fallback", "cp437"];
    assert_eq!(down_with(&oem, b"\xb1\x82\n\xc3\xa9\n"), ["▒é", "é"]);
}

/// A BBS draws its frames in the code page of a PC.
#[test]
fn code_pages_of_dos_are_charsets() {
    for (label, text, bytes) in [
        ("cp437", "╔═╗ é π", &b"\xc9\xcd\xbb \x82 \xe3"[..]),
        ("ibm850", "ñ Ø ░", b"\xa4 \x9d \xb0"),
        ("cp852", "Łódź", b"\x9d\xa2d\xab"),
        ("cp866", "Привет", b"\x8f\xe0\xa8\xa2\xa5\xe2"),
    ] {
        let options = ["--charset", label];
        assert_eq!(down_with(&options, &[bytes, b"\r\n", bytes].concat()), [text, text]);
        let (_relay, mut client, mut peer) = session(&options);
        client.send(text);
        client.send("日");
        client.0.close(None).unwrap();
        assert_eq!(peer.read_to_end(), [bytes, b"\n?\n"].concat(), "{label}");
    }
}

/// A terminal's page: text messages down, whole characters; keys as text and pastes as bytes up.
#[test]
fn bytes_may_be_text_in_a_charset() {
    let (_relay, mut client, mut peer) = session(&["--binary", "--charset", "cp437"]);
    peer.write(b"\x1b[2J\xc9\xcd\r\n");
    assert_eq!(client.recv(), "\u{1b}[2J╔═\r\n");
    client.send("é\r");
    client.0.send(Message::binary(vec![0xff, 0x82])).unwrap();
    client.0.close(None).unwrap();
    assert_eq!(peer.read_to_end(), b"\x82\r\xff\x82");
    drop(peer);
    client.expect_end();

    // A character that is cut waits for its rest, at the end of input not for ever.
    let (_relay, mut client, peer) = session(&["--binary", "--charset", "utf-8"]);
    Slice(peer.tcp()).write("größe€".as_bytes());
    let mut heard = String::new();
    while heard != "größe€" {
        let text = client.recv();
        assert!(!text.is_empty() && !text.contains('\u{fffd}'), "{text:?}");
        heard += &text;
    }
    Slice(peer.tcp()).write(b"\xe2\x82");
    drop(peer);
    assert_eq!(client.recv(), "\u{fffd}");
    client.expect_close(1000, "backend closed");
}

#[test]
fn lines_may_be_binary_messages() {
    let options = ["--binary-lines", "--charset", "koi8-r", "--eol", "crlf"];
    let (_relay, mut client, mut peer) = session(&options);
    peer.write(b"caf\xe9\r\n\xff\x00\n\n\xd0\n\r\r\xe2\x82");
    for want in [&b"caf\xe9"[..], b"\xff\x00", b"", b"\xd0"] {
        assert_eq!(client.recv_binary(), want);
    }
    client.0.send(Message::binary(vec![0xe9, b'\n'])).unwrap();
    client.send("é");
    client.0.close(None).unwrap();
    assert_eq!(peer.read_to_end(), b"\xe9\r\n\xc3\xa9\r\n");
}

#[test]
fn newlines_split_a_message_unless_told_otherwise() {
    let messages = ["a\nb", "c\r\nd\n", "\ne"];
    assert_eq!(up(&[], &messages), "a\nb\nc\r\nd\n\ne\n");
    assert_eq!(up(&["--newlines", "split"], &messages), "a\nb\nc\r\nd\n\ne\n");
    assert_eq!(up(&["--newlines", "space"], &messages), "a b\nc d\n e\n");
    let both = ["--newlines", "space", "--eol", "crlf"];
    assert_eq!(up(&both, &messages), "a b\r\nc d\r\n e\r\n");
}

#[test]
fn a_newline_can_be_refused_and_what_came_before_is_delivered() {
    let (mut relay, mut client, mut peer) = session(&["--newlines", "reject"]);
    for message in ["one", "two\n", "three\r\n", "in\nside", "never"] {
        client.send(message);
    }
    assert_eq!(peer.read_to_end(), b"one\ntwo\nthree\r\n");
    drop(peer);
    client.expect_close(1008, "newline inside a message");
    drop(client);
    relay.wait_log(&["session closed", "lines_up=3", "by=\"relay\"", "code=1008"]);
}

#[test]
fn binary_messages_are_lines_too() {
    let (_relay, mut client, mut peer) = session(&[]);
    for bytes in [&b"bin"[..], b"\xff\x00\x80", b"", b"end\r\n"] {
        client.0.send(Message::binary(bytes.to_vec())).unwrap();
    }
    client.0.close(None).unwrap();
    assert_eq!(peer.read_to_end(), b"bin\n\xff\x00\x80\n\nend\r\n");
}

#[test]
fn fragments_are_one_message_with_control_frames_between_them() {
    let (_relay, mut client, mut peer) = session(&[]);
    let mut tcp = client.tcp();
    // Text in three pieces, cut within a character, an empty piece and two pings in between.
    let pieces = [
        frame(0x01, b"caf\xc3"),
        frame(0x89, b"one"),
        frame(0x00, b""),
        frame(0x89, b"two"),
        frame(0x80, b"\xa9!"),
        frame(0x02, b"bi"),
        frame(0x80, b"nary"),
    ];
    tcp.write_all(&pieces.concat()).unwrap();
    assert_eq!(peer.read_line(), "café!\n");
    assert_eq!(peer.read_line(), "binary\n");
    for payload in ["one", "two"] {
        assert_eq!(client.0.read().unwrap(), Message::Pong(payload.into()));
    }
    client.0.close(None).unwrap();
    peer.expect_fin();
}

#[test]
fn a_client_may_send_byte_by_byte() {
    let (_relay, mut client, mut peer) = session(&[]);
    let long = "long enough for an extended length ".repeat(8);
    let frames = [frame(0x81, "größe".as_bytes()), frame(0x81, b""), frame(0x81, long.as_bytes())];
    Slice(client.tcp()).write(frames.concat());
    assert_eq!(peer.read_line(), "größe\n");
    assert_eq!(peer.read_line(), "\n");
    assert_eq!(peer.read_line(), format!("{long}\n"));
    client.0.close(None).unwrap();
    peer.expect_fin();
}

#[test]
fn every_end_of_line_ends_a_line_wherever_reads_split_it() {
    assert_eq!(down(b"a\nb\r\nc\n\rd\n\re\r\r\nf\n"), ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(down(b"\n\r\n\n\rx\n\n"), ["", "", "", "x", ""]);
    assert_eq!(down("größe\r\n🥊\n".as_bytes()), ["größe", "🥊"]);
    assert_eq!(down(b"in\rside\n"), ["in\rside"]);
}

#[test]
fn a_tail_is_the_last_message() {
    assert_eq!(down(b"one\r\ntwo"), ["one", "two"]);
    assert_eq!(down(b"tail\r"), ["tail"]);
    assert_eq!(down("é".as_bytes()), ["é"]);
    // An end of line leaves no tail, and half of one does not either.
    assert_eq!(down(b"one\n"), ["one"]);
    assert_eq!(down(b"one\n\r"), ["one"]);
    assert_eq!(down(b""), [""; 0]);
}

#[test]
fn an_unfinished_line_waits_for_its_end() {
    let (_relay, mut client, mut peer) = session(&[]);
    peer.write("half ");
    client.send("ask");
    assert_eq!(peer.read_line(), "ask\n");
    peer.write("a line\nnext");
    assert_eq!(client.recv(), "half a line");
    drop(peer);
    assert_eq!(client.recv(), "next");
    client.expect_close(1000, "backend closed");
}

#[test]
fn prompts_appear_with_flush_after() {
    let (_relay, mut client, mut peer) = session(&["--flush-after", "50ms"]);
    // The backend waits for an answer to its prompt: only the clock can bring it.
    let asked = std::thread::spawn(move || {
        let name = NoNewline::ask(&mut peer, "welcome\r\nlogin: ");
        (name, peer)
    });
    assert_eq!(client.recv(), "welcome");
    assert_eq!(client.recv(), "login: ");
    client.send("guest");
    let (name, mut peer) = asked.join().unwrap();
    assert_eq!(name, "guest\n");

    // The end of line of a flushed prompt makes no empty message, but a second one does.
    peer.write("\r\npassword: ");
    assert_eq!(client.recv(), "password: ");
    peer.write("\n\nmenu\n");
    assert_eq!(client.recv(), "");
    assert_eq!(client.recv(), "menu");

    // What follows a flushed prompt on its line is a message of its own.
    peer.write("choose ");
    assert_eq!(client.recv(), "choose ");
    peer.write("one\n");
    assert_eq!(client.recv(), "one");

    // Half a character is not shown, nor a carriage return that may belong to the end of line.
    peer.write(b"caf\xc3");
    assert_eq!(client.recv(), "caf");
    peer.write(b"\xa9\r");
    assert_eq!(client.recv(), "é");
    peer.write("\nend");
    assert_eq!(client.recv(), "end");
    drop(peer);
    client.expect_close(1000, "backend closed");
}

#[test]
fn lines_that_come_in_time_are_not_flushed() {
    let (_relay, mut client, mut peer) = session(&["--flush-after", "10s"]);
    for piece in ["one\nt", "w", "o\nthr", "ee\n"] {
        peer.write(piece);
    }
    for line in ["one", "two", "three"] {
        assert_eq!(client.recv(), line);
    }
    peer.write("tail");
    drop(peer);
    assert_eq!(client.recv(), "tail");
    client.expect_close(1000, "backend closed");
}

#[test]
fn bytes_that_are_no_text_are_shown_as_such_and_logged_once() {
    let (mut relay, mut client, mut peer) = session(&[]);
    peer.write(b"caf\xe9\n\xff\xfe\nfine\ncut \xe2\x82\n");
    for line in ["caf\u{fffd}", "\u{fffd}\u{fffd}", "fine", "cut \u{fffd}"] {
        assert_eq!(client.recv(), line);
    }
    drop(peer);
    client.close();
    relay.wait_log(&["session closed", "replaced_down=4"]);
    let warnings = relay.seen.iter().filter(|line| line.contains("not in its charset"));
    assert_eq!(warnings.count(), 1);
}
