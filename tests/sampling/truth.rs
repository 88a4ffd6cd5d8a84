//! What is true of the whole stream, for every trace.

use std::collections::HashMap;

use sampling::shape::ShapeBuilder;

use crate::timeline::edge;
use crate::world::{INCIDENT_OPERATION, Present, World};

/// Fewer traces have no p99 to speak of.
const MIN_FOR_P99: usize = 100;

#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    pub judged: bool,
    /// Number of the shape of all its spans.
    pub shape: u32,
    /// Its root comes, sooner or later: what is lost on the way makes no path of its own.
    pub whole: bool,
    /// At or above the p99 of its operation's root durations in the judged part.
    pub slow: bool,
    /// Its shape is, or its operation.
    pub rare: bool,
    pub rare_operation: bool,
    pub of_incident: bool,
    /// The first of a shape that was not there in the warm-up.
    pub first_of_shape: bool,
    /// Its shape was not there in the warm-up, and one of it came whole.
    pub new_shape: bool,
}

#[derive(Debug, Default)]
pub struct Truth {
    /// Beside the world's traces.
    pub traces: Vec<Known>,
    pub shapes: usize,
}

impl Truth {
    pub fn of(world: &World) -> Self {
        let mut truth = Self { traces: Vec::with_capacity(world.traces.len()), shapes: 0 };
        let mut builder = ShapeBuilder::default();
        let mut numbers: HashMap<u64, u32> = HashMap::new();
        let mut by_operation: Vec<Vec<u32>> = vec![Vec::new(); world.plan.operations.len()];
        for trace in &world.traces {
            let (nodes, spans) = (world.nodes(trace), world.spans(trace));
            let present = Present::of(spans.iter());
            for span in spans {
                if let Some(node) = nodes.get(usize::from(span.node)) {
                    builder.edge(edge(world, nodes, node, span, present));
                }
            }
            let next = numbers.len() as u32;
            let entry = numbers.entry(builder.finish().fine);
            let first_of_shape = matches!(entry, std::collections::hash_map::Entry::Vacant(_));
            let shape = *entry.or_insert(next);
            let judged = world.is_judged(trace);
            if judged && trace.root_millis.is_some() {
                by_operation[usize::from(trace.operation)].push(trace.duration_micros);
            }
            truth.traces.push(Known {
                judged,
                shape,
                first_of_shape: first_of_shape && judged && trace.root_millis.is_some(),
                whole: trace.root_millis.is_some(),
                of_incident: world.settings.incident.1 > 0 && trace.operation == INCIDENT_OPERATION,
                ..Known::default()
            });
        }
        truth.shapes = numbers.len();
        truth.mark(world, &mut by_operation);
        truth
    }

    fn mark(&mut self, world: &World, by_operation: &mut [Vec<u32>]) {
        let mut of_shape = vec![0_u32; self.shapes];
        let mut of_operation = vec![0_u32; world.plan.operations.len()];
        for (known, trace) in self.traces.iter().zip(&world.traces).filter(|(known, _)| known.judged) {
            of_shape[known.shape as usize] += u32::from(known.whole);
            of_operation[usize::from(trace.operation)] += 1;
        }
        let p99: Vec<u32> = by_operation
            .iter_mut()
            .map(|durations| {
                durations.sort_unstable();
                let rank = (durations.len() * 99).div_ceil(100);
                if durations.len() < MIN_FOR_P99 { u32::MAX } else { durations[rank - 1] }
            })
            .collect();
        let most = world.settings.rare_at_most();
        let mut is_new = vec![false; self.shapes];
        self.traces.iter().filter(|known| known.first_of_shape).for_each(|known| is_new[known.shape as usize] = true);
        for (known, trace) in self.traces.iter_mut().zip(&world.traces).filter(|(known, _)| known.judged) {
            let operation = usize::from(trace.operation);
            known.slow = trace.root_millis.is_some() && trace.duration_micros >= p99[operation];
            known.rare_operation = of_operation[operation] <= most;
            known.new_shape = is_new[known.shape as usize];
            known.rare = known.whole && of_shape[known.shape as usize] <= most;
        }
    }
}
