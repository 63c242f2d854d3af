//! Which keys and types a file may have, and what is said of others.

use super::*;

fn parse(text: &str) -> Result<File, StartError> {
    File::parse("wsrelay.toml", text)
}

fn setting(key: &str, value: Option<&str>, line: usize) -> Setting {
    Setting { key: key.into(), value: value.map(str::to_owned), line }
}

#[test]
fn keys_are_options() {
    let text = "\
port = 8082
listen = [\"127.0.0.1:1\", \"[::1]:1\"]
subprotocol = [\"a\", \"b\"]
binary = true
trace = false
";
    let mut file = parse(text).unwrap();
    file.top.settings.sort_by_key(|setting| setting.line);
    let want = [
        setting("port", Some("8082"), 1),
        setting("listen", Some("127.0.0.1:1"), 2),
        setting("listen", Some("[::1]:1"), 2),
        setting("subprotocol", Some("a,b"), 3),
        setting("binary", None, 4),
    ];
    assert_eq!(file.top.settings, want);
}

#[test]
fn routes_are_tables() {
    let text = "\
port = 1
[[route]]
path = \"/chat\"
host = \"example.org\"
to = \"a:1\"
binary = false
auth-file = false

[[route]]
program = [\"cat\", \"-n\"]
";
    let file = parse(text).unwrap();
    assert_eq!(file.top.keys, [("port".to_owned(), 1)]);
    let [chat, cat] = &file.routes[..] else { panic!("{file:?}") };
    assert_eq!((chat.line, cat.line), (2, 9));
    assert_eq!(chat.path.as_deref(), Some("/chat"));
    assert_eq!(chat.host.as_deref(), Some("example.org"));
    assert_eq!(chat.settings, [setting("to", Some("a:1"), 5)]);
    assert!(chat.has("binary") && chat.has("auth-file") && !chat.has("port"));
    assert_eq!(cat.program_words(), ["--", "cat", "-n"]);
    let listed = parse("route = [\"/a=a:1\", \"/b=b:1\"]").unwrap();
    assert_eq!(listed.top.settings.len(), 2);
}

#[test]
fn subprotocols_may_be_tables() {
    let text = "\
port = 1
[[subprotocol]]
name = \"chat\"
[[subprotocol]]
framing = \"raw\"
name = \"ex\"

[[route]]
to = \"a:1\"
[[route.subprotocol]]
name = \"irc\"
framing = \"binary-lines\"
";
    let file = parse(text).unwrap();
    let value = |table: &Table| {
        let own = table.settings.iter().find(|one| one.key == "subprotocol").unwrap();
        (own.value.clone().unwrap(), own.line)
    };
    assert_eq!(value(&file.top), ("chat,ex=raw".to_owned(), 2));
    assert_eq!(value(&file.routes[0]), ("irc=binary-lines".to_owned(), 10));
    for (text, want) in [
        (
            "[subprotocol]\nname = \"a\"",
            "line 1: subprotocol: there can be several, so write [[subprotocol]]",
        ),
        ("[[subprotocol]]\nframing = \"raw\"", "line 1: subprotocol: add its name"),
        (
            "[[subprotocol]]\nname = \"a\"\nframe = \"raw\"",
            "line 3: subprotocol: it has no frame: write name and framing",
        ),
        (
            "[[subprotocol]]\nname = \"a,b\"",
            "line 2: name: it can't begin with -, nor have a comma",
        ),
        ("[[subprotocol]]\nname = \"a=raw\"", "line 2: name: it can't"),
        ("[[subprotocol]]\nname = \"--trace\"", "line 2: name: it can't"),
        ("[[subprotocol]]\nname = [\"a\"]", "line 2: name: write a string"),
        ("subprotocol = [\"a\", { name = \"b\" }]", "line 1: subprotocol: there can be several"),
    ] {
        let why = parse(text).unwrap_err().to_string();
        assert!(why.contains(want), "{text}: {why}");
    }
}

/// Each type of TOML at each kind of key: + is taken.
#[test]
fn each_key_takes_its_own_types() {
    let keys = [
        ("", "static-dir"),
        ("", "port"),
        ("", "max-line"),
        ("", "ping-interval"),
        ("", "origin"),
        ("", "subprotocol"),
        ("", "binary"),
        ("", "program"),
        ("[[route]]\n", "path"),
        ("[[route]]\n", "host"),
    ];
    for (value, taken) in [
        ("\"1\"", "++++++--++"),
        ("'1'", "++++++--++"),
        ("'''1'''", "++++++--++"),
        ("5", "-+++------"),
        ("8_082", "-+++------"),
        ("0x1f92", "-+++------"),
        ("0o17622", "-+++------"),
        ("0b11", "-+++------"),
        ("+5", "-+++------"),
        ("-5", "-+++------"),
        ("80.5", "----------"),
        ("1e3", "----------"),
        ("inf", "----------"),
        ("true", "------+---"),
        // As if the key were not there.
        ("false", "+++++++---"),
        ("2026-01-01", "----------"),
        ("07:32:00", "----------"),
        ("2026-01-01T07:32:00Z", "----------"),
        ("[]", "-----+-+--"),
        ("[\"1\"]", "----++-+--"),
        ("[\n\"1\", # one\n'2',\n]", "----++-+--"),
        ("[5]", "----------"),
        ("[\"1\", 5]", "----------"),
        ("[true]", "----------"),
        ("[80.5]", "----------"),
        ("[2026-01-01]", "----------"),
        ("[[\"1\"]]", "----------"),
        ("[{ a = 1 }]", "----------"),
        ("{ a = 1 }", "----------"),
        ("{}", "----------"),
    ] {
        for ((above, key), taken) in keys.iter().zip(taken.chars()) {
            let text = format!("# a comment\n{above}{key} = {value}\n");
            let line = if above.is_empty() { 2 } else { 3 };
            match parse(&text) {
                Ok(_) => assert_eq!(taken, '+', "{text}"),
                Err(error) => {
                    let error = error.to_string();
                    assert_eq!(taken, '-', "{text}: {error}");
                    let begin = format!("wsrelay.toml, line {line}: {key}: ");
                    assert!(error.starts_with(&begin), "{text}: {error}");
                    assert!(error.contains("write ") || error.contains("name those"), "{error}");
                    assert!(!error.contains('\n'), "{error}");
                }
            }
        }
    }
}

#[test]
fn numbers_are_what_they_are_in_toml() {
    for (number, want) in [
        ("8082", "8082"),
        ("8_082", "8082"),
        ("0x1f92", "8082"),
        ("0x1F_92", "8082"),
        ("0o17622", "8082"),
        ("0b1_1111_1001_0010", "8082"),
        ("+8082", "8082"),
        ("-0", "0"),
        ("-1", "-1"),
        ("99999999999999999999", "99999999999999999999"),
    ] {
        let file = parse(&format!("port = {number}")).unwrap();
        assert_eq!(file.top.settings, [setting("port", Some(want), 1)]);
    }
    let huge = format!("port = 0x{}", "f".repeat(40));
    let error = parse(&huge).unwrap_err().to_string();
    assert!(error.contains("line 1: port: this number is too large"), "{error}");
}

#[test]
fn mistakes_are_told_with_file_line_and_key() {
    for (text, want) in [
        (
            "port = 8082\nprot = 1\n",
            "wsrelay.toml, line 2: prot: there is no option prot: did you mean port?",
        ),
        ("binary = \"yes\"", "line 1: binary: it is on or off: write true or false"),
        ("port = 80.5", "line 1: port: write a whole number, or a string"),
        ("listen = 8082", "line 1: listen: write a string or a list of strings, such as \"8082\""),
        ("listen = 80.5", "line 1: listen: write a string or a list of strings"),
        ("to = [\"a:1\", \"b:1\"]", "line 1: to: write a string"),
        ("static-dir = 5", "line 1: static-dir: write a string, such as \"5\""),
        ("static-dir = true", "line 1: static-dir: write a string"),
        ("[[route]]\npath = 5", "line 2: path: write a string, such as \"5\""),
        ("program = [\"a\",\n5]", "line 2: program: write a list of strings"),
        ("program = \"cat -n\"", "line 1: program: write a list of strings, such as [\"command\""),
        ("--eol = \"lf\"", "line 1: --eol: leave out its dashes"),
        ("\nto = { host = 1 }", "line 2: to: write a string"),
        ("port = ", "line 1: not TOML"),
        ("port = 1\nport = 2", "line 2: not TOML: duplicate key"),
        ("[to]\nhost = 1", "line 1: to: write a string"),
        ("to = \"--help\"", "line 1: to: a value can't begin with --"),
        ("to = \"-V\"", "line 1: to: a value can't begin with --, nor be -h or -V"),
        ("static-dir = \"-h\"", "line 1: static-dir: a value can't begin with --, nor be"),
        ("\"\" = true", "line 1: : it has no place in a file"),
        ("origin = []", "line 1: origin: an empty list names no page"),
        ("[[route]]\norigin = []", "line 2: origin: an empty list names no page"),
        ("config = \"x\"", "line 1: config:"),
        ("[[route]]\nport = 1", "line 2: port: it is not for one route alone"),
        ("[[route]]\nprot = 1", "line 2: prot: there is no option prot"),
        ("[[route]]\npath = 1", "line 2: path: write a string"),
        ("[route]\npath = \"/\"", "line 1: route: there can be several, so write [[route]]"),
        ("path = \"/\"", "line 1: path: there is no option path"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(want), "{text}: {error}");
        assert!(!error.contains('\n'), "{text}: {error}");
    }
}
