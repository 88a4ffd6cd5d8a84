//! What a sampler made of a stream.

/// By trace of the world.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub name: &'static str,
    /// How many traces each stands for; 0 if it is dropped.
    pub weights: Vec<f64>,
    pub kept: Vec<bool>,
    /// Stored in part after it had been dropped.
    pub rescued: Vec<bool>,
    pub decided_millis: Vec<u32>,
    /// As the sampler saw it, for strata; the same for all where there are none.
    pub classes: Vec<u8>,
    /// Ours alone: figures of the run itself.
    pub figures: Vec<(&'static str, f64)>,
}

impl Outcome {
    pub fn nothing(name: &'static str, traces: usize) -> Self {
        Self {
            name,
            weights: vec![0.0; traces],
            kept: vec![false; traces],
            rescued: vec![false; traces],
            decided_millis: vec![0; traces],
            classes: vec![0; traces],
            figures: Vec::new(),
        }
    }

    pub fn keep(&mut self, trace: usize, weight: f64) {
        if let (Some(kept), Some(weights)) = (self.kept.get_mut(trace), self.weights.get_mut(trace)) {
            (*kept, *weights) = (true, weight);
        }
    }
}
