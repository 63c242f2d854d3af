//! Suites: the cipher suites of TLS 1.3, with keys that are expanded for each record.
//!
//! ring's key for AES-GCM is the round keys of AES and a table for GHASH: 544 bytes. rustls keeps one for each direction as
//! long as the connection lives, which is a third of what it takes when idle. The key that they are made of has 16 or 32
//! bytes, and expanding it takes 0.16 µs. The suites are rustls's own in all else.

use ring::aead::{self, AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, UnboundKey};
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, Iv, MessageDecrypter, MessageEncrypter,
    Nonce, OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload, Tls13AeadAlgorithm,
    UnsupportedOperationError, make_tls13_aad,
};
use rustls::{
    CipherSuite, CipherSuiteCommon, ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion,
    SupportedCipherSuite, Tls13CipherSuite,
};

/// The same suite with keys that are expanded for each record; those of TLS 1.2 as they are.
///
/// It allocates for the life of the process: call it once for each suite.
pub fn expanded_later(suite: SupportedCipherSuite) -> SupportedCipherSuite {
    let SupportedCipherSuite::Tls13(usual) = suite else { return suite };
    let algorithm = match usual.common.suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => &AES_128_GCM,
        CipherSuite::TLS13_AES_256_GCM_SHA384 => &AES_256_GCM,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => &CHACHA20_POLY1305,
        _ => return suite,
    };
    let CipherSuiteCommon { suite, hash_provider, confidentiality_limit } = usual.common;
    SupportedCipherSuite::Tls13(Box::leak(Box::new(Tls13CipherSuite {
        common: CipherSuiteCommon { suite, hash_provider, confidentiality_limit },
        hkdf_provider: usual.hkdf_provider,
        aead_alg: Box::leak(Box::new(ExpandedLater(algorithm))),
        quic: None,
    })))
}

/// An algorithm whose keys are expanded for each record.
struct ExpandedLater(&'static aead::Algorithm);

/// The key of one direction.
struct Key {
    algorithm: &'static aead::Algorithm,
    key: AeadKey,
    iv: Iv,
}

impl Tls13AeadAlgorithm for ExpandedLater {
    fn encrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageEncrypter> {
        Box::new(Key { algorithm: self.0, key, iv })
    }

    fn decrypter(&self, key: AeadKey, iv: Iv) -> Box<dyn MessageDecrypter> {
        Box::new(Key { algorithm: self.0, key, iv })
    }

    fn key_len(&self) -> usize {
        self.0.key_len()
    }

    /// Keys do not leave this process.
    fn extract_keys(
        &self,
        _: AeadKey,
        _: Iv,
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

impl Key {
    fn expand(&self) -> LessSafeKey {
        let key = UnboundKey::new(self.algorithm, self.key.as_ref());
        LessSafeKey::new(key.expect("rustls makes keys of the length asked for"))
    }

    /// The nonce of a record by its number (RFC 8446, section 5.3): none is used twice with a key.
    fn nonce(&self, seq: u64) -> aead::Nonce {
        aead::Nonce::assume_unique_for_key(Nonce::new(&self.iv, seq).0)
    }
}

/// RFC 8446, section 5.2: the payload, its type and the tag are sent as application data.
impl MessageEncrypter for Key {
    fn encrypt(
        &mut self,
        msg: OutboundPlainMessage<'_>,
        seq: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let len = self.encrypted_payload_len(msg.payload.len());
        let mut payload = PrefixedPayload::with_capacity(len);
        payload.extend_from_chunks(&msg.payload);
        payload.extend_from_slice(&msg.typ.to_array());
        self.expand()
            .seal_in_place_append_tag(self.nonce(seq), Aad::from(make_tls13_aad(len)), &mut payload)
            .map_err(|_| Error::EncryptError)?;
        Ok(OutboundOpaqueMessage::new(
            ContentType::ApplicationData,
            ProtocolVersion::TLSv1_2,
            payload,
        ))
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        payload_len + 1 + self.algorithm.tag_len()
    }
}

impl MessageDecrypter for Key {
    fn decrypt<'a>(
        &mut self,
        mut msg: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let payload = &mut msg.payload;
        let aad = Aad::from(make_tls13_aad(payload.len()));
        let plain = self.expand().open_in_place(self.nonce(seq), aad, payload);
        let len = plain.map_err(|_| Error::DecryptError)?.len();
        payload.truncate(len);
        msg.into_tls13_unpadded_message()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::crypto::cipher::OutboundChunks;
    use rustls::crypto::ring::default_provider;

    /// Both kinds of each suite whose keys are as long as rustls lets a test make them.
    fn suites() -> Vec<[&'static Tls13CipherSuite; 2]> {
        let suites = default_provider().cipher_suites.into_iter().filter_map(|suite| {
            let pair = [suite, expanded_later(suite)].map(|suite| suite.tls13());
            let [Some(usual), Some(ours)] = pair else { return None };
            (usual.aead_alg.key_len() == 32).then_some([usual, ours])
        });
        suites.collect()
    }

    fn record(bytes: &[u8]) -> OutboundPlainMessage<'_> {
        OutboundPlainMessage {
            typ: ContentType::Handshake,
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::Single(bytes),
        }
    }

    fn received(payload: &mut [u8]) -> InboundOpaqueMessage<'_> {
        InboundOpaqueMessage::new(
            ContentType::ApplicationData,
            ProtocolVersion::TLSv1_2,
            &mut payload[5..],
        )
    }

    fn key() -> (AeadKey, Iv) {
        (AeadKey::from([7; 32]), Iv::from([9; 12]))
    }

    #[test]
    fn records_are_byte_for_byte_those_of_rustls() {
        let suites = suites();
        assert_eq!(suites.len(), 2);
        for [usual, ours] in suites {
            let ((a, b), (c, d)) = (key(), key());
            let mut encrypters = [usual.aead_alg.encrypter(a, b), ours.aead_alg.encrypter(c, d)];
            let ((a, b), (c, d)) = (key(), key());
            let mut decrypters = [usual.aead_alg.decrypter(a, b), ours.aead_alg.decrypter(c, d)];
            for (seq, len) in [(0, 0), (1, 1), (255, 64), (u64::MAX / 2, 16 * 1024)] {
                let bytes = vec![b'x'; len];
                let made = encrypters.each_mut().map(|encrypter| {
                    assert_eq!(encrypter.encrypted_payload_len(len), len + 17);
                    encrypter.encrypt(record(&bytes), seq).unwrap().encode()
                });
                assert!(made[0] == made[1], "{len} bytes");
                for decrypter in &mut decrypters {
                    let mut sent = made[0].clone();
                    let plain = decrypter.decrypt(received(&mut sent), seq).unwrap();
                    assert!(plain.typ == ContentType::Handshake && plain.payload == bytes);
                }
            }
        }
    }

    #[test]
    fn what_was_not_made_with_the_key_for_this_place_is_no_record() {
        for [_, ours] in suites() {
            let ((a, b), (c, d)) = (key(), key());
            let made = ours.aead_alg.encrypter(a, b).encrypt(record(b"hello"), 3).unwrap().encode();
            let mut decrypter = ours.aead_alg.decrypter(c, d);
            let mut decrypt = |mut bytes: Vec<u8>, seq| {
                decrypter.decrypt(received(&mut bytes), seq).map(|msg| msg.payload.len())
            };
            assert_eq!(decrypt(made.clone(), 3), Ok(5));
            assert_eq!(decrypt(made.clone(), 4), Err(Error::DecryptError), "in another place");
            for at in 5..made.len() {
                let mut bytes = made.clone();
                bytes[at] ^= 0x10;
                assert_eq!(decrypt(bytes, 3), Err(Error::DecryptError), "byte {at} changed");
                assert_eq!(
                    decrypt(made[..at].to_vec(), 3),
                    Err(Error::DecryptError),
                    "cut at {at}"
                );
            }
        }
    }
}
