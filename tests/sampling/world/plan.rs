//! What there is to call: operations, the variants of their traces, and the names of spans. Drawn from the seed.

use crate::random::{Random, mix};

pub const OPERATIONS: usize = 120;
const ZIPF: f64 = 1.25;
const EDGE_SERVICES: usize = 12;
const SERVICES: usize = 25;
const NAMES_PER_SERVICE: usize = 12;
const BASE_NODES: usize = 10;
/// Fail together with all above them.
pub const FAILING_NODES: [usize; 2] = [5, 8];
/// Has no entry span: an error here is not the request's.
pub const INNER_NODE: usize = 9;
pub const DEPLOYMENTS: usize = 3;
const OPERATIONS_PER_DEPLOYMENT: usize = 10;
pub const CLOCK_OFF_MILLIS: f64 = 500.0;

const SERVER: u8 = 2;
const CLIENT: u8 = 3;

#[derive(Debug, Clone, Copy)]
pub struct Name {
    pub service: u16,
    /// A hash of service and span name.
    pub key: u64,
    /// How long such a span takes.
    pub base_micros: f64,
}

#[derive(Debug, Clone, Copy)]
pub struct Node {
    pub name: u16,
    /// The root's is itself.
    pub parent: u8,
    pub kind: u8,
    /// The first of its service in this branch.
    pub entry: bool,
    /// When it begins, as a part of the root's duration.
    pub start: f32,
}

#[derive(Debug, Clone)]
pub struct Variant {
    pub nodes: Vec<Node>,
}

#[derive(Debug, Clone)]
pub struct Operation {
    pub weight: f64,
    pub base_micros: f64,
    pub failed: f64,
    /// 29 % of what succeeds has an error inside.
    pub noisy: bool,
    /// Variant, weight, and the deployment that brought it (0: always there).
    pub variants: Vec<(u16, f64, usize)>,
}

#[derive(Debug, Clone)]
pub struct Plan {
    /// The frequent ones, then the rare ones. The root's name has the same number.
    pub operations: Vec<Operation>,
    pub variants: Vec<Variant>,
    pub names: Vec<Name>,
    /// By service.
    pub clock_off_millis: Vec<f64>,
}

impl Plan {
    pub fn new(seed: u64, rare: usize) -> Self {
        let mut random = Random::stream(seed, 1);
        let roots = OPERATIONS + rare;
        let mut names: Vec<Name> = (0..roots).map(|root| name(&mut random, root % EDGE_SERVICES, root)).collect();
        for service in 0..SERVICES {
            names.extend((0..NAMES_PER_SERVICE).map(|n| name(&mut random, service, 1_000 + n)));
        }
        let mut plan = Self {
            operations: Vec::with_capacity(roots),
            variants: Vec::new(),
            names,
            clock_off_millis: (0..SERVICES).map(|_| random.between(-CLOCK_OFF_MILLIS, CLOCK_OFF_MILLIS)).collect(),
        };
        for number in 0..roots {
            let operation = plan.operation(&mut random, number, roots);
            plan.operations.push(operation);
        }
        plan
    }

    fn operation(&mut self, random: &mut Random, number: usize, roots: usize) -> Operation {
        let is_rare = number >= OPERATIONS;
        let base = self.base_nodes(random, number, roots);
        let count = if is_rare { 1 } else { 2 + random.below(7) };
        let mut variants = Vec::new();
        for variant in 0..count {
            let weight = ((variant + 1) as f64).powf(-2.0);
            variants.push((self.add_variant(random, &base, roots), weight, 0));
        }
        for deployment in 1..=DEPLOYMENTS {
            // Frequent and less frequent operations take turns.
            if !is_rare && number % DEPLOYMENTS == deployment - 1 && number / DEPLOYMENTS < OPERATIONS_PER_DEPLOYMENT {
                let weight = random.between(0.02, 0.1);
                variants.push((self.add_variant(random, &base, roots), weight, deployment));
            }
        }
        Operation {
            weight: if is_rare { 0.0 } else { ((number + 1) as f64).powf(-ZIPF) },
            base_micros: 5_000.0 * random.between(0.0, 5.0).exp(),
            failed: random.between(0.005, 0.009),
            noisy: !is_rare && number % 10 == 7,
            variants,
        }
    }

    fn base_nodes(&self, random: &mut Random, number: usize, roots: usize) -> Vec<Node> {
        let root = Node { name: number as u16, parent: 0, kind: SERVER, entry: true, start: 0.0 };
        let mut nodes = vec![root];
        while nodes.len() < BASE_NODES {
            let inner = nodes.len() == INNER_NODE;
            let node = self.node(random, &nodes, roots, inner);
            nodes.push(node);
        }
        nodes
    }

    fn add_variant(&mut self, random: &mut Random, base: &[Node], roots: usize) -> u16 {
        let mut nodes = base.to_vec();
        let count = 12 + random.below(11);
        while nodes.len() < count {
            let node = self.node(random, &nodes, roots, false);
            nodes.push(node);
        }
        self.variants.push(Variant { nodes });
        (self.variants.len() - 1) as u16
    }

    fn node(&self, random: &mut Random, above: &[Node], roots: usize, inner: bool) -> Node {
        let parent = random.below(above.len().min(INNER_NODE));
        let service_of =
            |node: &Node| self.names.get(usize::from(node.name)).map_or(0, |name| usize::from(name.service));
        let (own, start) = above.get(parent).map_or((0, 0.0), |node| (service_of(node), node.start));
        let entry = !inner && random.chance(0.4);
        let service = if entry { (own + 1 + random.below(SERVICES - 1)) % SERVICES } else { own };
        Node {
            name: (roots + service * NAMES_PER_SERVICE + random.below(NAMES_PER_SERVICE)) as u16,
            parent: parent as u8,
            kind: if entry { SERVER } else { CLIENT },
            entry,
            start: start + (1.0 - start) * random.between(0.0, 0.6) as f32,
        }
    }
}

fn name(random: &mut Random, service: usize, name: usize) -> Name {
    let key = mix(((service as u64) << 32 | name as u64).wrapping_add(1));
    Name { service: service as u16, key, base_micros: 200.0 * random.between(0.0, 4.0).exp() }
}
