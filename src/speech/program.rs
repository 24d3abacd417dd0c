//! A program that turns its standard input into its standard output. No shell is involved; it is killed when nobody
//! waits any more.

use std::process::Stdio;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use super::SpeechError;

/// What the program makes of `input`, up to `limit` bytes.
pub(super) async fn run(
    program: &str,
    args: Vec<String>,
    input: Bytes,
    limit: usize,
) -> Result<Bytes, SpeechError> {
    let start = |error: std::io::Error| SpeechError::Start {
        program: program.to_owned(),
        kind: error.kind(),
    };
    let mut child = tokio::process::Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program that does not read its input to the end says so by its exit status.
            drop(stdin.write_all(&input).await);
            drop(stdin.shutdown().await);
        }
    };
    let ((), output, said) = tokio::join!(
        feed,
        read_up_to(stdout, limit),
        read_up_to(stderr, MAX_SAID)
    );
    if output.len() > limit {
        return Err(SpeechError::TooLarge { limit });
    }
    let status = child.wait().await.map_err(start)?;
    if !status.success() {
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        return Err(SpeechError::Program {
            program: program.to_owned(),
            status: status.to_string(),
            said,
        });
    }
    Ok(output.into())
}

/// Up to one byte more than `limit`, so that the caller sees that there was more.
async fn read_up_to(source: Option<impl AsyncRead + Unpin>, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        // What was read before an error is judged like any other output.
        drop(source.take(limit as u64 + 1).read_to_end(&mut bytes).await);
    }
    bytes
}

/// How much of a program's complaints is kept, in bytes.
const MAX_SAID: usize = 500;
