//! Follows the frames that an HTTP/2 client sends, without keeping them.
//!
//! The HTTP library answers every PING and SETTINGS and waits for the end of every frame, however many and however late.

const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

#[derive(Debug)]
pub struct Frames {
    /// Of the preface, or of the last frame's payload.
    skip_bytes: usize,
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    kind: u8,
    /// A header block has begun and not ended.
    is_in_block: bool,
}

impl Frames {
    pub fn new() -> Self {
        Self { skip_bytes: PREFACE_BYTES, head: [0; HEAD_BYTES], head_bytes: 0, kind: HEADERS, is_in_block: false }
    }

    /// Reads on, and returns how many frames began that carry neither a request's head nor its data.
    pub fn read(&mut self, mut bytes: &[u8]) -> u64 {
        let mut control_frames = 0;
        loop {
            bytes = bytes.get(self.skip(bytes.len())..).unwrap_or_default();
            let Some((first, rest)) = bytes.split_first() else { return control_frames };
            bytes = rest;
            if let Some(next) = self.head.get_mut(self.head_bytes) {
                *next = *first;
            }
            self.head_bytes = self.head_bytes.saturating_add(1);
            if self.head_bytes == HEAD_BYTES {
                control_frames += u64::from(self.begin());
            }
        }
    }

    /// Whether something of a request's head, or of a frame that is no data, is still to come.
    pub fn is_inside(&self) -> bool {
        self.is_in_block || self.head_bytes > 0 || (self.skip_bytes > 0 && self.kind != DATA)
    }

    fn skip(&mut self, bytes: usize) -> usize {
        let skipped = self.skip_bytes.min(bytes);
        self.skip_bytes = self.skip_bytes.saturating_sub(skipped);
        skipped
    }

    /// Takes the complete head of a frame; whether it is one of control.
    fn begin(&mut self) -> bool {
        let [high, middle, low, kind, flags, ..] = self.head;
        self.head_bytes = 0;
        self.skip_bytes = u32::from_be_bytes([0, high, middle, low]) as usize;
        self.kind = kind;
        match kind {
            HEADERS | CONTINUATION => {
                self.is_in_block = flags & END_HEADERS == 0;
                kind == CONTINUATION
            }
            DATA => self.skip_bytes == 0,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags, 0, 0, 0, 1]);
        frame.extend(payload);
        frame
    }

    #[test]
    fn frames_are_told_apart_however_they_are_cut() {
        const PING: u8 = 6;
        let frames = [
            vec![b'x'; PREFACE_BYTES],
            frame(HEADERS, 0, b"half"),
            frame(CONTINUATION, END_HEADERS, b"of it"),
            frame(DATA, 0, &[0; 300]),
            frame(DATA, 0, b""),
            frame(PING, 0, &[0; 8]),
        ];
        let whole = frames.concat();
        for step in 1..whole.len() {
            let mut watched = Frames::new();
            let control: u64 = whole.chunks(step).map(|bytes| watched.read(bytes)).sum();
            assert_eq!(control, 3, "{step}");
            assert!(!watched.is_inside());
        }
        let mut watched = Frames::new();
        let inside: Vec<bool> = frames.iter().map(|frame| (watched.read(frame), watched.is_inside()).1).collect();
        assert_eq!(inside, [false, true, false, false, false, false]);
        // Data may come as slowly as bodies may; the rest may not.
        watched.read(&[0, 1, 0]);
        assert!(watched.is_inside());
        watched.read(&[DATA, 0, 0, 0, 0, 1]);
        assert!(!watched.is_inside());
    }
}
