//! Mud: GMCP and MSSP as the text messages of a client that speaks `gmcp.mudstandards.org`.

use serde_json::{Map, Value};

/// In MSSP: a name follows.
const VAR: u8 = 1;
/// In MSSP: a value of the name before it follows.
const VAL: u8 = 2;

/// The client's message for a GMCP subnegotiation, `Package.Name {json}`, if there is anything in it.
pub fn gmcp(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).into_owned())
}

/// The client's message for an MSSP subnegotiation: `MSSP` and an object. A name with several values has an array.
pub fn mssp(bytes: &[u8]) -> String {
    let mut object = Map::new();
    for variable in bytes.split(|byte| *byte == VAR).skip(1) {
        let mut parts = variable.split(|byte| *byte == VAL).map(String::from_utf8_lossy);
        let name = parts.next().unwrap_or_default();
        let mut values: Vec<Value> = parts.map(|value| Value::String(value.into())).collect();
        let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
        object.insert(name.into(), value);
    }
    format!("MSSP {}", Value::Object(object))
}

/// What a change of ECHO is to the client: whether the server shows what is typed, and the client should not.
pub fn echo(is_on: bool) -> String {
    format!("Client.Echo {is_on}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        assert_eq!(gmcp(b"Room.Info {\"num\": 1}").as_deref(), Some("Room.Info {\"num\": 1}"));
        assert_eq!(gmcp(b"Char.Name \"\xe9\"").as_deref(), Some("Char.Name \"\u{fffd}\""));
        assert_eq!(gmcp(b""), None);
        assert_eq!(echo(true), "Client.Echo true");
        for (bytes, want) in [
            (
                &b"\x01NAME\x02A \"mud\"\x01PORT\x0223\x024000"[..],
                r#"{"NAME":"A \"mud\"","PORT":["23","4000"]}"#,
            ),
            (b"\x01EMPTY\x02\x01NONE", r#"{"EMPTY":"","NONE":[]}"#),
            (b"stray\x02x", "{}"),
            (b"", "{}"),
        ] {
            assert_eq!(mssp(bytes), format!("MSSP {want}"));
        }
    }
}
