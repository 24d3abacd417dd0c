//! Reading a body: a limit that holds while it streams, gzip with its own limits, memory or a file.

use std::fs::File;
use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::{HttpError, header};

/// A body that was read to its end.
pub(super) struct Read {
    /// The bytes, unless they went to a file.
    pub(super) body: Bytes,
    /// How many there were.
    pub(super) len: u64,
}

/// Reads a body of at most `limit` bytes after decompression, into `file` when there is one.
pub(super) async fn read(
    mut stream: BoxStream<'static, Result<Bytes, HttpError>>,
    headers: &[(String, String)],
    limit: usize,
    file: Option<File>,
) -> Result<Read, HttpError> {
    let encoding = header(headers, "content-encoding")
        .unwrap_or("")
        .trim()
        .to_ascii_lowercase();
    let announced = header(headers, "content-length").and_then(|l| l.trim().parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(HttpError::TooLarge { limit });
    }
    let store = Store {
        kept: Vec::new(),
        file,
        len: 0,
        limit,
        refused: None,
    };
    let mut sink = match encoding.as_str() {
        "" | "identity" => Sink::Plain(store),
        "gzip" | "x-gzip" => Sink::Gzip {
            decoder: Box::new(MultiGzDecoder::new(store)),
            received: 0,
        },
        _ => return Err(HttpError::Encoding { encoding }),
    };
    while let Some(chunk) = stream.next().await {
        sink.take(&chunk?, &encoding)?;
    }
    sink.finish(&encoding)
}

enum Sink {
    Plain(Store),
    Gzip {
        decoder: Box<MultiGzDecoder<Store>>,
        received: usize,
    },
}

impl Sink {
    fn take(&mut self, chunk: &[u8], encoding: &str) -> Result<(), HttpError> {
        match self {
            Self::Plain(store) => {
                let written = store.write_all(chunk);
                store.verdict(written, encoding)
            }
            Self::Gzip { decoder, received } => {
                // In small bites, so that a bomb is seen before a whole chunk of it has gone off.
                for bite in chunk.chunks(BITE) {
                    *received += bite.len();
                    let written = decoder.write_all(bite);
                    decoder.get_mut().verdict(written, encoding)?;
                    let out = decoder.get_ref().len;
                    if out > RATIO_FLOOR
                        && out > (*received as u64).saturating_mul(MAX_RATIO as u64)
                    {
                        return Err(HttpError::Bomb { ratio: MAX_RATIO });
                    }
                }
                Ok(())
            }
        }
    }

    fn finish(self, encoding: &str) -> Result<Read, HttpError> {
        let mut store = match self {
            Self::Plain(store) => store,
            Self::Gzip {
                received: 0,
                decoder,
            } => decoder.get_ref().empty(),
            Self::Gzip { decoder, .. } => decoder.finish().map_err(|_| HttpError::Encoding {
                encoding: encoding.to_owned(),
            })?,
        };
        let flushed = store.flush();
        store.verdict(flushed, encoding)?;
        Ok(Read {
            body: store.kept.into(),
            len: store.len,
        })
    }
}

struct Store {
    kept: Vec<u8>,
    file: Option<File>,
    len: u64,
    limit: usize,
    refused: Option<HttpError>,
}

impl Store {
    fn empty(&self) -> Self {
        Self {
            kept: Vec::new(),
            file: None,
            len: 0,
            limit: self.limit,
            refused: None,
        }
    }

    /// What a failed write means: our own refusal, else a bad encoding.
    fn verdict(&mut self, written: io::Result<()>, encoding: &str) -> Result<(), HttpError> {
        match (self.refused.take(), written) {
            (Some(refused), _) => Err(refused),
            (None, Err(_)) => Err(HttpError::Encoding {
                encoding: encoding.to_owned(),
            }),
            (None, Ok(())) => Ok(()),
        }
    }

    fn refuse(&mut self, error: HttpError) -> io::Error {
        self.refused = Some(error);
        io::ErrorKind::Other.into()
    }
}

impl Write for Store {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = self.len.saturating_add(bytes.len() as u64);
        if len > self.limit as u64 {
            let limit = self.limit;
            return Err(self.refuse(HttpError::TooLarge { limit }));
        }
        self.len = len;
        match &mut self.file {
            None => self.kept.extend_from_slice(bytes),
            // The page cache takes this; a disk that cannot keep up slows this download only.
            Some(file) => {
                if let Err(error) = file.write_all(bytes) {
                    return Err(self.refuse(HttpError::Disk { kind: error.kind() }));
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.file.as_mut().map_or(Ok(()), File::flush);
        flushed.map_err(|error| self.refuse(HttpError::Disk { kind: error.kind() }))
    }
}

/// Compressed further than this is no honest text.
const MAX_RATIO: usize = 20;
/// Below this much output the ratio is not looked at: short repetitive documents compress well.
const RATIO_FLOOR: u64 = 64 * 1024;
/// Compressed bytes taken at a time.
const BITE: usize = 1024;
