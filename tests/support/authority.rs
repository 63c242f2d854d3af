//! An ACME authority (RFC 8555) that validates every name, and answers as a test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use data_encoding::BASE64URL_NOPAD;
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use rustls::{ServerConnection, StreamOwned};
use serde_json::{Value, json};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use super::timed;
use super::tls::{Ca, server_config};

/// How bodies are framed (RFC 9112, section 6.3). An answer to HEAD has the same headers, and no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length,
    Chunked,
    /// By the end of the connection.
    End,
}

/// The behaviour of an authority.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    pub framing: Framing,
    /// The status of the answer to a request for a nonce.
    pub nonce_status: u16,
    /// The number of requests to finalize that it refuses with `orderNotReady`.
    pub not_ready: usize,
    /// The number of responses that still say `ready` after an order was finalized.
    pub ready_for: usize,
    /// The `Retry-After` of those responses.
    pub retry_after: &'static str,
}

impl Default for Manners {
    fn default() -> Self {
        let framing = Framing::Length;
        Manners { framing, nonce_status: 200, not_ready: 0, ready_for: 0, retry_after: "" }
    }
}

/// A running authority.
pub struct Authority {
    pub addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The method, path and time of each request.
    asked: Vec<(String, Instant)>,
    identifiers: Value,
    refused: usize,
    certificate: Option<String>,
    shown_ready: usize,
}

struct Answer {
    status: u16,
    headers: String,
    body: String,
}

impl Answer {
    fn new(status: u16, body: Value) -> Self {
        Answer { status, headers: String::new(), body: body.to_string() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }
}

impl Authority {
    /// Starts an authority whose own certificate, and those that it issues, are from `ca`.
    pub fn start(ca: Arc<Ca>, manners: Manners) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let authority = Authority { addr, state: state.clone() };
        let config = server_config(&ca.issue(&["127.0.0.1"], "authority"));
        thread::spawn(move || {
            while let Ok((tcp, _)) = listener.accept() {
                let (config, ca, state) = (config.clone(), ca.clone(), state.clone());
                thread::spawn(move || {
                    let tls = ServerConnection::new(config).unwrap();
                    let service = Service { addr, ca, manners, state };
                    // A client that closes the connection is done, or the test has ended.
                    let _ = service.serve(StreamOwned::new(tls, timed(tcp)));
                });
            }
        });
        authority
    }

    /// The times of the requests of this kind, such as `POST /finalize`.
    pub fn asked(&self, what: &str) -> Vec<Instant> {
        let state = self.state.lock().unwrap();
        state.asked.iter().filter(|(asked, _)| asked == what).map(|(_, at)| *at).collect()
    }
}

struct Service {
    addr: SocketAddr,
    ca: Arc<Ca>,
    manners: Manners,
    state: Arc<Mutex<State>>,
}

impl Service {
    fn serve(&self, tls: StreamOwned<ServerConnection, TcpStream>) -> std::io::Result<()> {
        let mut tls = BufReader::new(tls);
        loop {
            let (line, payload) = read_request(&mut tls)?;
            let (method, path) = line.split_once(' ').unwrap();
            let mut state = self.state.lock().unwrap();
            state.asked.push((line.clone(), Instant::now()));
            let nonce = format!("nonce-{}", state.asked.len());
            let answer = self.answer(&mut state, method, path, payload);
            drop(state);
            let answer = answer.with("Replay-Nonce", &nonce);
            let bytes = self.manners.framing.frame(&answer, method == "HEAD");
            tls.get_mut().write_all(&bytes)?;
            tls.get_mut().flush()?;
            if self.manners.framing == Framing::End {
                tls.get_mut().conn.send_close_notify();
                return tls.get_mut().flush();
            }
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.addr)
    }

    fn answer(&self, state: &mut State, method: &str, path: &str, payload: Value) -> Answer {
        match (method, path) {
            ("GET", "/directory") => Answer::new(
                200,
                json!({
                    "newNonce": self.url("/nonce"),
                    "newAccount": self.url("/account"),
                    "newOrder": self.url("/order"),
                }),
            ),
            ("HEAD", "/nonce") => Answer::new(self.manners.nonce_status, json!({})),
            ("POST", "/account") => Answer::new(201, json!({ "status": "valid" }))
                .with("Location", &self.url("/account/1")),
            ("POST", "/account/1") => Answer::new(200, json!({ "status": "valid" })),
            ("POST", "/order") => {
                // A new order starts afresh.
                let asked = std::mem::take(&mut state.asked);
                *state = State {
                    asked,
                    identifiers: payload["identifiers"].clone(),
                    ..State::default()
                };
                let mut answer = self.order(state).with("Location", &self.url("/order/1"));
                answer.status = 201;
                answer
            }
            ("POST", "/order/1") => self.order(state),
            ("POST", "/finalize") if state.refused < self.manners.not_ready => {
                state.refused += 1;
                let problem = json!({
                    "type": "urn:ietf:params:acme:error:orderNotReady",
                    "detail": "Order's status is not acceptable for finalization",
                });
                Answer::new(403, problem)
            }
            ("POST", "/finalize") => {
                state.certificate = Some(self.issue(state, &payload));
                self.order(state)
            }
            ("POST", "/certificate") => {
                let body = state.certificate.clone().unwrap();
                Answer { status: 200, headers: String::new(), body }
            }
            _ => Answer::new(404, json!({ "detail": path })),
        }
    }

    fn order(&self, state: &mut State) -> Answer {
        let order = |status| {
            json!({
                "status": status,
                "identifiers": state.identifiers,
                "authorizations": [],
                "finalize": self.url("/finalize"),
                "certificate": self.url("/certificate"),
            })
        };
        if state.certificate.is_none() {
            return Answer::new(200, order("ready"));
        }
        if state.shown_ready == self.manners.ready_for {
            return Answer::new(200, order("valid"));
        }
        let answer = Answer::new(200, order("ready"));
        state.shown_ready += 1;
        match self.manners.retry_after {
            "" => answer,
            retry_after => answer.with("Retry-After", retry_after),
        }
    }

    fn issue(&self, state: &State, payload: &Value) -> String {
        let csr = BASE64URL_NOPAD.decode(payload["csr"].as_str().unwrap().as_bytes()).unwrap();
        let (_, csr) = X509CertificationRequest::from_der(&csr).unwrap();
        let key = csr.certification_request_info.subject_pki.subject_public_key.data.to_vec();
        let names = state.identifiers.as_array().unwrap().iter();
        let names: Vec<&str> = names.map(|one| one["value"].as_str().unwrap()).collect();
        self.ca.certify(&names, &PublicKey(key))
    }
}

/// The key of a request for a certificate.
struct PublicKey(Vec<u8>);

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl Framing {
    fn frame(self, answer: &Answer, is_head: bool) -> Vec<u8> {
        let Answer { status, headers, body } = answer;
        let (how, body) = match self {
            Framing::Length => (format!("Content-Length: {}\r\n", body.len()), body.clone()),
            Framing::Chunked => {
                let (first, rest) = body.split_at(body.len() / 2);
                let chunks = [first, rest].map(|part| format!("{:x}\r\n{part}\r\n", part.len()));
                ("Transfer-Encoding: chunked\r\n".into(), chunks.concat() + "0\r\n\r\n")
            }
            Framing::End => ("Connection: close\r\n".into(), body.clone()),
        };
        let body = if is_head { "" } else { &body };
        format!("HTTP/1.1 {status} X\r\n{headers}{how}\r\n{body}").into_bytes()
    }
}

/// The method and path, and the signed payload.
fn read_request(tls: &mut impl BufRead) -> std::io::Result<(String, Value)> {
    let (mut line, mut length) = (String::new(), 0);
    tls.read_line(&mut line)?;
    loop {
        let mut header = String::new();
        if tls.read_line(&mut header)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if header == "\r\n" {
            break;
        }
        let (name, value) = header.split_once(':').unwrap();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    tls.read_exact(&mut body)?;
    let signed: Value = serde_json::from_slice(&body).unwrap_or_default();
    let payload = BASE64URL_NOPAD.decode(signed["payload"].as_str().unwrap_or("").as_bytes());
    let line = line.rsplit_once(" HTTP/1.1").unwrap().0.to_owned();
    Ok((line, serde_json::from_slice(&payload.unwrap()).unwrap_or_default()))
}
