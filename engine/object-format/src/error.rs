//! Why stored bytes were refused. Every variant names the object, and the frame where there is one.

use shoal_types::{Cipher, ObjectId};

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FormatError {
    #[error("object {object} is no Shoal object: its header does not begin with the magic")]
    NotAnObject { object: ObjectId },
    #[error("header of object {object} is damaged")]
    HeaderDamaged { object: ObjectId },
    #[error("object {object} has format version {found}; this program reads version {known}: use a newer one")]
    VersionUnknown { object: ObjectId, found: u8, known: u8 },
    #[error("object {object} is compressed with codec {found}, which this program does not know: use a newer one")]
    CodecUnknown { object: ObjectId, found: u8 },
    #[error("object {object} is encrypted with cipher {found}, which this program does not know: use a newer one")]
    CipherUnknown { object: ObjectId, found: u8 },
    #[error("object {object} is {}, and the volume's are {}", shown(.found), shown(.expected))]
    CipherWrong { object: ObjectId, expected: Option<Cipher>, found: Option<Cipher> },
    #[error("object {object} has frames of 2^{found} bytes, which this program does not know: use a newer one")]
    FrameSizeUnknown { object: ObjectId, found: u8 },
    #[error("what is stored as object {object} says it is object {found}")]
    AnotherObject { object: ObjectId, found: ObjectId },
    #[error("object {object} has {found} stored bytes where {expected} belong")]
    LengthWrong { object: ObjectId, expected: u64, found: u64 },
    #[error("object {object} has {found} bytes of content where {expected} belong")]
    ContentLengthWrong { object: ObjectId, expected: u32, found: u32 },
    #[error("frame table of object {object} is damaged")]
    TableDamaged { object: ObjectId },
    #[error("frame {frame} of object {object} is damaged")]
    FrameDamaged { object: ObjectId, frame: u32 },
    #[error(
        "frame {frame} of object {object} is not what the volume's key has sealed: it was damaged or changed on purpose"
    )]
    FrameNotSealedByUs { object: ObjectId, frame: u32 },
    #[error("footer of object {object} is damaged or does not match its header")]
    FooterDamaged { object: ObjectId },
}

fn shown(cipher: &Option<Cipher>) -> String {
    cipher.map_or_else(|| "not encrypted".to_owned(), |cipher| format!("encrypted with {cipher}"))
}

impl FormatError {
    pub fn object(&self) -> ObjectId {
        use FormatError::*;
        match self {
            NotAnObject { object }
            | HeaderDamaged { object }
            | VersionUnknown { object, .. }
            | CodecUnknown { object, .. }
            | CipherUnknown { object, .. }
            | CipherWrong { object, .. }
            | FrameSizeUnknown { object, .. }
            | AnotherObject { object, .. }
            | LengthWrong { object, .. }
            | ContentLengthWrong { object, .. }
            | TableDamaged { object }
            | FrameDamaged { object, .. }
            | FrameNotSealedByUs { object, .. }
            | FooterDamaged { object } => *object,
        }
    }
}
