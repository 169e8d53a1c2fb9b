use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn bytes(seed: u64, salt: Salt, len: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut content = Corpus::new(seed).content(salt, len);
    content.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn the_same_seed_and_salt_give_the_same_content_and_others_another() {
    let len = 3 * BLOCK_LEN as u64 + 5;
    let one = bytes(1, Salt::upload(2, 3), len);
    assert_eq!(one.len() as u64, len);
    assert_eq!(one, bytes(1, Salt::upload(2, 3), len));
    assert_ne!(one, bytes(2, Salt::upload(2, 3), len));
    assert_ne!(one, bytes(1, Salt::upload(3, 2), len));
    assert_ne!(one, bytes(1, Salt::DOWNLOAD, len));
}

#[test]
fn no_two_blocks_of_a_content_are_equal() {
    let content = bytes(7, Salt::DOWNLOAD, 40 * BLOCK_LEN as u64);
    let blocks: HashSet<&[u8]> = content.chunks(BLOCK_LEN).collect();
    assert_eq!(blocks.len(), 40);
}

#[test]
fn a_comparison_notices_every_difference() {
    let len = 2 * BLOCK_LEN as u64 + 100;
    let content = bytes(1, Salt::DOWNLOAD, len);
    let is_equal = |given: &[u8]| {
        let mut comparison = Comparison::with(Corpus::new(1).content(Salt::DOWNLOAD, len));
        comparison.write_all(given).unwrap();
        comparison.is_equal()
    };
    assert!(is_equal(&content));
    assert!(!is_equal(&content[..content.len() - 1]));
    assert!(!is_equal(&[&content[..], b"x"].concat()));
    assert!(!is_equal(&[]));
    for position in [0, 15, 16, BLOCK_LEN, content.len() - 1] {
        let mut changed = content.clone();
        changed[position] ^= 1;
        assert!(!is_equal(&changed), "byte {position}");
    }
    let (first, rest) = content.split_at(BLOCK_LEN);
    let (second, rest) = rest.split_at(BLOCK_LEN);
    assert!(!is_equal(&[second, first, rest].concat()), "swapped blocks");
}

#[test]
fn names_survive_the_servers_that_are_known() {
    for name in [download_name(7), upload_name(999, 12)] {
        let name = name.as_str();
        assert_eq!(name, name.to_lowercase());
        assert!(name.contains('.') && !name.ends_with(".txt"));
    }
    assert_eq!(download_name(7).as_str(), "d0007.bin");
    assert_eq!(upload_name(7, 0).as_str(), "u0007-0.bin");
    let names = list_names(10_002);
    assert!(names.is_sorted());
    let different: HashSet<&String> = names.iter().collect();
    assert_eq!(different.len(), 10_002);
}

proptest! {
    #[test]
    fn a_content_is_the_same_however_it_is_read(
        len in 0_u64..300_000,
        pieces in prop::collection::vec(1_usize..100_000, 1..8),
    ) {
        let salt = Salt::upload(5, 6);
        let whole = bytes(3, salt, len);
        let mut content = Corpus::new(3).content(salt, len);
        let mut read = Vec::new();
        for piece_len in pieces.iter().copied().cycle() {
            let mut piece = vec![0; piece_len];
            match content.read(&mut piece).unwrap() {
                0 => break,
                len => read.extend_from_slice(&piece[..len]),
            }
        }
        prop_assert_eq!(read, whole);
    }
}
