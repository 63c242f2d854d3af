//! Similar: what to say to somebody who typed an option that there is not: the one that was
//! probably meant, or what to do without it.

use super::table::TABLE;

/// Options of theirs that have none of ours in their place, and what to do.
const WITHOUT: &[(&[&str], &str)] = &[
    // websocketd
    (&["address"], "type --listen ADDRESS:PORT in place of --address and --port"),
    (&["ssl"], "a port speaks TLS with --tls-cert FILE --tls-key FILE"),
    (&["passstderr"], "stderr is logged; to send it to the client, type -- sh -c './program 2>&1'"),
    (&["license"], "it is the MIT License, in the file LICENSE"),
    // websockify
    (&["D", "daemon"], "it stays in the foreground, so let systemd run it, or type & behind it"),
    (&["runonce"], "it runs until it is stopped; --max-sessions 1 takes one client at a time"),
    (&["timeout"], "it runs until it is stopped, so let systemd do that, or timeout(1)"),
    (&["keypassword"], "give --tls-key a key without one: openssl pkey -in KEY -out PLAIN"),
    (&["sslonly"], "a port with --tls-cert speaks TLS only, so leave it out"),
    (&["sslversion"], "it speaks TLS 1.2 and 1.3, so leave it out"),
    (&["sslciphers"], "it has only ciphers that are safe, so leave it out"),
    (&["wrapmode"], "start the server by itself, and type --to HOST:PORT"),
    (&["6", "preferipv6"], "--port listens on IPv4 and IPv6, --listen [::1]:PORT on one address"),
    (&["libserver"], "there is only one kind of server, so leave it out"),
    (&["tokenplugin"], "type --target-file FILE, with the file or directory that it reads"),
    (&["hosttoken"], "a route of a file may have a host: write host = \"NAME\" in a [[route]]"),
    (
        &["authplugin", "authsource"],
        "type --auth-file FILE for passwords, --token-file FILE for tokens, --origin LIST for pages",
    ),
    (&["logfile"], "the log goes to stderr, so type 2>>FILE"),
    (
        &["syslog", "legacysyslog"],
        "the log goes to stderr: type 2>&1 | logger, or let systemd run it",
    ),
    (&["fileonly"], "directories are never listed, so leave it out"),
    (&["unixlistenmode"], "it is that of the umask: type umask 077 before it"),
    (&["inetd"], "type --listen ADDRESS:PORT, or --listen unix:PATH"),
];

/// Why there is no such option, in one sentence.
pub fn no_option(unknown: &str) -> String {
    // websocketd takes -port=8080 as well.
    let name = unknown.split('=').next().unwrap_or(unknown);
    let wanted = plain(name);
    let without = WITHOUT.iter().find(|(theirs, _)| theirs.contains(&wanted.as_str()));
    if let Some((_, advice)) = without {
        return format!("there is no option {name}: {advice}");
    }
    match renamed(&wanted).or_else(|| nearest(&wanted)) {
        Some(known) => format!("there is no option {name}: did you mean {known}?"),
        None => format!("there is no option {name}: wsrelay --help all lists them"),
    }
}

fn plain(name: &str) -> String {
    name.replace('-', "")
}

/// What to type for an option that has another name here.
fn renamed(wanted: &str) -> Option<String> {
    let mut all = TABLE.iter().flat_map(|row| row.theirs_with_values().map(|one| (row.key, one)));
    let (key, (_, value)) = all.find(|(_, (theirs, _))| *theirs == wanted)?;
    Some(format!("--{key} {value}").trim_end().to_owned())
}

/// The option that is the same but for dashes, or a typing error away.
fn nearest(wanted: &str) -> Option<String> {
    let known = TABLE.iter().filter(|row| row.flag().is_some());
    known
        .map(|row| (strsim::damerau_levenshtein(&plain(row.key), wanted), format!("--{}", row.key)))
        // Of a name of one or two letters two mistakes leave nothing.
        .filter(|(distance, _)| *distance <= 2 && 2 * distance <= wanted.len())
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::super::table::{Row, kind_of};
    use super::*;

    #[test]
    fn what_is_named_is_an_option() {
        let advice = WITHOUT.iter().map(|(_, advice)| *advice);
        let mut named = 0;
        for word in advice.flat_map(str::split_whitespace).filter(|word| word.starts_with("--")) {
            if word != "--" && word != "--address" {
                let word = word.trim_end_matches(|c: char| !c.is_alphanumeric());
                assert!(kind_of(word).is_some(), "{word} is no option");
                named += 1;
            }
        }
        assert!(named > 10, "{named}");
    }

    #[test]
    fn no_name_is_in_two_places_or_one_of_ours() {
        let renamed = TABLE.iter().flat_map(Row::theirs_with_values).map(|(theirs, _)| theirs);
        let without = WITHOUT.iter().flat_map(|(theirs, _)| theirs.iter().copied());
        let mut names: Vec<&str> = renamed.chain(without).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
        for name in names {
            assert!(kind_of(&format!("--{name}")).is_none(), "--{name} is an option");
            assert!(!name.contains('-'), "{name} has dashes");
        }
    }

    #[test]
    fn what_is_said() {
        for (typed, want) in [
            ("--frobnicate", "there is no option --frobnicate: wsrelay --help all lists them"),
            ("--prot", "there is no option --prot: did you mean --port?"),
            ("-port=8080", "there is no option -port: did you mean --port?"),
            ("--statcdir", "there is no option --statcdir: did you mean --static-dir?"),
            ("--max-forks", "there is no option --max-forks: did you mean --max-sessions?"),
            ("--closems", "there is no option --closems: did you mean --kill-grace?"),
            ("--dir", "there is no option --dir: did you mean --program-dir?"),
            ("--web", "there is no option --web: did you mean --static-dir?"),
            ("--heartbeat", "there is no option --heartbeat: did you mean --ping-interval?"),
            (
                "--unix-target=/run/x",
                "there is no option --unix-target: did you mean --to unix:PATH?",
            ),
            ("-v", "there is no option -v: did you mean --log-level debug?"),
            ("-p", "there is no option -p: did you mean --port?"),
            ("-c", "there is no option -c: wsrelay --help all lists them"),
            ("--sll", "there is no option --sll: wsrelay --help all lists them"),
            ("--too", "there is no option --too: did you mean --to?"),
            (
                "-D",
                "there is no option -D: it stays in the foreground, so let systemd run it, \
                 or type & behind it",
            ),
            (
                "--address",
                "there is no option --address: type --listen ADDRESS:PORT in place of \
                 --address and --port",
            ),
        ] {
            assert_eq!(no_option(typed), want, "{typed}");
        }
    }
}
