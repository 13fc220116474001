//! What a slot holds: the number of the last commit under it, and whether it is closed.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    pub number: u64,
    pub closed: bool,
}

impl Slot {
    pub fn encode(self) -> Vec<u8> {
        [self.number.to_be_bytes().as_slice(), &[u8::from(self.closed)]].concat()
    }

    /// `None`: it is no slot.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (number, closed) = bytes.split_first_chunk()?;
        let closed = [[0], [1]].iter().position(|flag| flag == closed)? == 1;
        Some(Slot { number: u64::from_be_bytes(*number), closed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_read_back() {
        for slot in [Slot { number: 7, closed: false }, Slot { number: u64::MAX, closed: true }] {
            assert_eq!(Slot::decode(&slot.encode()), Some(slot));
        }
        for bytes in [&b""[..], b"12345678", b"12345678\x02", b"1234567800"] {
            assert_eq!(Slot::decode(bytes), None);
        }
    }
}
