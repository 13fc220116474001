//! A sealed dump opens for the owner of the volume's key, whole or not at all.

use crate::{bytes_of_hex, checks};
use shoal_encryption::{KeyFile, VolumeKey, VolumeSealer, WrappedKey};
use shoal_kv::KvResult;
use shoal_metadata_dump::sealed::{SealedHeader, is_sealed};
use shoal_types::Cipher;
use std::io::{Read, Write};

const UUID: &str = "00000000-0000-0000-0000-000000000001";

fn key() -> VolumeKey {
    VolumeKey::from_bytes(&[7; 32]).unwrap()
}

fn sealed(plain: &[u8]) -> Vec<u8> {
    let sealer = VolumeSealer::new(Cipher::Aes256Gcm, &key(), UUID);
    let wrapped = WrappedKey::by_key_file(UUID, &key(), &KeyFile::generate());
    let mut writer = SealedHeader::new(UUID, &sealer, wrapped).seal(&sealer, Vec::new()).unwrap();
    // In pieces that fit no part.
    plain.chunks(100_003).for_each(|piece| writer.write_all(piece).unwrap());
    writer.end().unwrap()
}

fn unsealed(bytes: &[u8]) -> KvResult<Vec<u8>> {
    checks::unseal(bytes, |header| header.sealer(&key()))
}

/// The parts behind the header, each with its head.
fn parts(bytes: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut rest = bytes;
    SealedHeader::read(&mut rest).unwrap();
    let header = bytes[..bytes.len() - rest.len()].to_vec();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let length = 5 + u32::from_le_bytes(rest[1..5].try_into().unwrap()) as usize;
        parts.push(rest[..length].to_vec());
        rest = &rest[length..];
    }
    (header, parts)
}

#[test]
fn what_was_sealed_opens_at_any_length() {
    for length in [0, 1, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 1_000_000] {
        let plain: Vec<u8> = (0..length).map(|at: usize| (at % 251) as u8).collect();
        let bytes = sealed(&plain);
        assert!(unsealed(&bytes) == Ok(plain.clone()), "{length}");
        let hidden = plain.get(..64).is_none_or(|begin| !bytes.windows(64).any(|window| window == begin));
        assert!(hidden, "{length}");
    }
}

#[test]
fn the_wrapped_key_comes_along_and_another_key_opens_nothing() {
    let file = KeyFile::generate();
    let sealer = VolumeSealer::new(Cipher::ChaCha20Poly1305, &key(), UUID);
    let header = SealedHeader::new(UUID, &sealer, WrappedKey::by_key_file(UUID, &key(), &file));
    let mut writer = header.seal(&sealer, Vec::new()).unwrap();
    writer.write_all(b"names").unwrap();
    let bytes = writer.end().unwrap();
    let read = SealedHeader::read(&mut bytes.as_slice()).unwrap();
    assert_eq!(read, header);
    let opened = read.key.open_by_key_file(&read.uuid, &file).unwrap();
    assert_eq!(checks::unseal(&bytes, |header| header.sealer(&opened)), Ok(b"names".to_vec()));
    assert!(checks::unseal(&bytes, |header| header.sealer(&VolumeKey::generate())).is_err());
}

#[test]
fn every_cut_every_changed_byte_and_every_other_order_is_noticed() {
    let bytes = sealed(b"some names");
    for end in 0..bytes.len() {
        assert!(unsealed(&bytes[..end]).is_err(), "cut at {end} of {}", bytes.len());
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(unsealed(&changed).is_err(), "a bit of byte {at}");
    }
    assert!(unsealed(&[bytes.as_slice(), &[0]].concat()).is_err());
    let (header, pieces) = parts(&sealed(&[5; 700_000]));
    assert_eq!(pieces.len(), 3);
    let ordered = |order: &[usize]| {
        let chosen = order.iter().flat_map(|number| pieces[*number].iter().copied());
        unsealed(&header.iter().copied().chain(chosen).collect::<Vec<u8>>())
    };
    assert_eq!(ordered(&[0, 1, 2]).unwrap().len(), 700_000);
    for order in [&[1, 0, 2][..], &[0, 2], &[2], &[0, 1], &[0, 1, 2, 2], &[0, 0, 1, 2], &[]] {
        assert!(ordered(order).is_err(), "{order:?}");
    }
    // A part that was the last one is no other, and of another dump's none.
    let mut not_last = pieces[2].clone();
    not_last[0] = 1;
    assert!(unsealed(&[&header[..], &pieces[0], &pieces[1], &not_last, &pieces[2]].concat()).is_err());
    let (_, others) = parts(&sealed(&[5; 700_000]));
    assert!(unsealed(&[&header[..], &pieces[0], &others[1], &pieces[2]].concat()).is_err());
}

#[test]
fn a_dump_is_told_from_a_sealed_one_and_neither_loses_a_byte() {
    for (bytes, expected) in [(sealed(b"x"), true), (b"shoaldmp and more".to_vec(), false), (b"sho".to_vec(), false)] {
        let (found, mut source) = is_sealed(bytes.as_slice()).unwrap();
        let mut all = Vec::new();
        source.read_to_end(&mut all).unwrap();
        assert_eq!((found, all), (expected, bytes));
    }
}

/// As it was written when it was new: it is read for ever.
#[test]
fn the_first_format_is_read() {
    assert_eq!(unsealed(&bytes_of_hex(GOLDEN)), Ok(b"a dump of names".to_vec()));
}

const GOLDEN: &str = "
    73686f616c646d7301000000460000002430303030303030302d303030302d303030302d303030302d3030303030303030303030310b61
    65732d3235362d67636d8cb354a2eea26ec291bd690e0f6ac26b0203010203c47ce3c0022b000000196276e248482f3bfdf825429daa3c
    91b794364ea02b91c68aaa3159e0e9d4b0f40c3369b9a34a5b8cf578
";
