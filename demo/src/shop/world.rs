//! Who there is: services, their pods and versions, customers, products.
//!
//! Names follow Kubernetes and the OpenTelemetry resource conventions. Everything comes from the seed alone.

use super::faults::{Fault, Schedule};
use super::rng::Rng;
use super::span::Attribute;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    Frontend,
    Checkout,
    Cart,
    Catalog,
    Pricing,
    Payment,
    Inventory,
    Shipping,
    Recommendation,
    Search,
    Notification,
    Auth,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Node,
    Go,
    Dotnet,
    Java,
    Rust,
    Python,
}

/// One process: a pod of a service in one version. Index into [`World::instances`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(pub u16);

#[derive(Debug, Clone)]
pub struct Instance {
    pub service: Service,
    pub version: &'static str,
    pub pod: String,
    pub address: String,
    pub resource: Vec<Attribute>,
}

#[derive(Debug)]
pub struct Facts {
    pub name: &'static str,
    pub language: Language,
    pub version: &'static str,
    pub pods: u16,
    /// The name that other services call it by.
    pub address: &'static str,
    pub port: u16,
}

impl Service {
    pub const ALL: [Self; 12] = [
        Self::Frontend,
        Self::Checkout,
        Self::Cart,
        Self::Catalog,
        Self::Pricing,
        Self::Payment,
        Self::Inventory,
        Self::Shipping,
        Self::Recommendation,
        Self::Search,
        Self::Notification,
        Self::Auth,
    ];

    pub const fn facts(self) -> &'static Facts {
        &FACTS[self as usize]
    }

    pub const fn name(self) -> &'static str {
        self.facts().name
    }
}

const fn facts(
    name: &'static str,
    language: Language,
    version: &'static str,
    pods: u16,
    address: &'static str,
    port: u16,
) -> Facts {
    Facts { name, language, version, pods, address, port }
}

/// In the order of [`Service::ALL`].
static FACTS: [Facts; 12] = [
    facts("frontend", Language::Node, "5.3.1", 3, "frontend.shop.svc.cluster.local", 8080),
    facts("checkout", Language::Go, "2.9.0", 3, "checkout.shop.svc.cluster.local", 50051),
    facts("cart", Language::Dotnet, "1.14.3", 2, "cart.shop.svc.cluster.local", 8080),
    facts("catalog", Language::Java, "3.11.2", 3, "catalog.shop.svc.cluster.local", 8080),
    facts("pricing", Language::Java, "2.4.0", 4, "pricing.shop.svc.cluster.local", 50051),
    facts("payment", Language::Node, "4.0.7", 2, "payment.shop.svc.cluster.local", 50051),
    facts("inventory", Language::Rust, "1.7.2", 2, "inventory.shop.svc.cluster.local", 8080),
    facts("shipping", Language::Rust, "0.9.4", 2, "shipping.shop.svc.cluster.local", 8080),
    facts("recommendation", Language::Python, "2.1.0", 2, "recommendation.shop.svc.cluster.local", 50051),
    facts("search", Language::Java, "8.2.0", 2, "search.shop.svc.cluster.local", 8080),
    facts("notification", Language::Python, "1.3.5", 2, "notification.shop.svc.cluster.local", 8080),
    facts("auth", Language::Go, "3.0.2", 2, "auth.shop.svc.cluster.local", 50051),
];

#[derive(Debug, Clone, Copy)]
pub struct Product {
    pub sku: &'static str,
    pub name: &'static str,
    pub category: &'static str,
    pub price: f64,
}

/// What an opened visit carries through all services, as baggage would.
#[derive(Debug, Clone)]
pub struct Visitor {
    pub user_id: String,
    pub tenant: &'static str,
    pub session_id: String,
    pub address: String,
    pub user_agent: &'static str,
}

#[derive(Debug)]
pub struct World {
    instances: Vec<Instance>,
    /// Of each service: where its first instance lies.
    first: [u16; 12],
    /// Pods of the versions that faults bring: pricing 2.4.1, catalog 3.12.0.
    first_new_pricing: u16,
    first_new_catalog: u16,
    nightly: InstanceId,
    schedule: Schedule,
    tenants: [&'static str; 6],
}

const NEW_PRICING_PODS: u16 = 2;
const NEW_CATALOG_PODS: u16 = 2;

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 0x3041d);
        let mut instances = Vec::new();
        let mut first = [0; 12];
        for (index, service) in Service::ALL.into_iter().enumerate() {
            first[index] = instances.len() as u16;
            let replica_set = rng.word(9);
            let canary = rng.word(9);
            for pod in 0..service.facts().pods {
                // A second version of search that differs in nothing but its number: not every new version is guilty.
                let (version, replica_set) = match (service, pod) {
                    (Service::Search, 1) => ("8.3.0", &canary),
                    _ => (service.facts().version, &replica_set),
                };
                instances.push(instance(service, version, replica_set, &mut rng));
            }
        }
        let first_new_pricing = instances.len() as u16;
        let replica_set = rng.word(9);
        for _ in 0..NEW_PRICING_PODS {
            instances.push(instance(Service::Pricing, "2.4.1", &replica_set, &mut rng));
        }
        let first_new_catalog = instances.len() as u16;
        let replica_set = rng.word(9);
        for _ in 0..NEW_CATALOG_PODS {
            instances.push(instance(Service::Catalog, "3.12.0", &replica_set, &mut rng));
        }
        let nightly = InstanceId(instances.len() as u16);
        instances.push(nightly_instance(&mut rng));
        Self {
            instances,
            first,
            first_new_pricing,
            first_new_catalog,
            nightly,
            schedule: Schedule::new(seed),
            tenants: ["alpine-gear", "brickmarket", "casa-verde", "dockside", "ember-and-oak", "finch-books"],
        }
    }

    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// An id that this world did not give has no instance.
    pub fn instance(&self, id: InstanceId) -> Option<&Instance> {
        self.instances.get(usize::from(id.0))
    }

    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The pod of the job that runs on its own.
    pub const fn nightly(&self) -> InstanceId {
        self.nightly
    }

    /// The pod that a load balancer would choose at a time.
    pub fn pick(&self, service: Service, at_unix_nanos: u64, rng: &mut Rng) -> InstanceId {
        let pods = service.facts().pods;
        let slot = rng.below(u64::from(pods)) as u16;
        let replaced = match service {
            Service::Pricing => {
                // One pod first, the second a third of the way in; the other two stay, so that versions can be compared.
                let progress = self.schedule.progress(Fault::SlowPricing, at_unix_nanos);
                let new_pods = progress.map_or(0, |progress| if progress < 0.33 { 1 } else { NEW_PRICING_PODS });
                (slot < new_pods).then_some(self.first_new_pricing + slot)
            }
            Service::Catalog if self.schedule.is_active(Fault::NPlusOne, at_unix_nanos) => {
                (slot < NEW_CATALOG_PODS).then_some(self.first_new_catalog + slot)
            }
            _ => None,
        };
        InstanceId(replaced.unwrap_or(self.first[service as usize] + slot))
    }

    pub fn visitor(&self, rng: &mut Rng) -> Visitor {
        let user = rng.skewed(5_000);
        Visitor {
            user_id: format!("u-{user:05}"),
            tenant: self.tenants[(user % self.tenants.len() as u64) as usize],
            session_id: rng.word(20),
            address: format!("203.0.113.{}", rng.between(1, 254)),
            user_agent: rng.pick::<&str, 5>(&USER_AGENTS),
        }
    }
}

fn instance(service: Service, version: &'static str, replica_set: &str, rng: &mut Rng) -> Instance {
    let facts = service.facts();
    let pod = format!("{}-{replica_set}-{}", facts.name, rng.word(5));
    let mut resource = resource(service, version, pod.clone(), rng);
    resource.push(("k8s.deployment.name", facts.name.into()));
    Instance { service, version, pod, address: address(rng), resource }
}

fn nightly_instance(rng: &mut Rng) -> Instance {
    let facts = Service::Inventory.facts();
    let pod = format!("inventory-nightly-stock-count-29{:06}-{}", rng.below(1_000_000), rng.word(5));
    let mut resource = resource(Service::Inventory, facts.version, pod.clone(), rng);
    resource.push(("k8s.cronjob.name", "inventory-nightly-stock-count".into()));
    Instance { service: Service::Inventory, version: facts.version, pod, address: address(rng), resource }
}

fn address(rng: &mut Rng) -> String {
    format!("10.4.{}.{}", rng.below(4), rng.between(2, 254))
}

fn resource(service: Service, version: &'static str, pod: String, rng: &mut Rng) -> Vec<Attribute> {
    let facts = service.facts();
    let (language, runtime, runtime_version, sdk_version) = match facts.language {
        Language::Node => ("nodejs", "nodejs", "22.20.0", "2.2.0"),
        Language::Go => ("go", "go", "go1.25.3", "1.38.0"),
        Language::Dotnet => ("dotnet", ".NET", "9.0.10", "1.14.0"),
        Language::Java => ("java", "OpenJDK Runtime Environment", "21.0.9+10-LTS", "1.56.0"),
        Language::Rust => ("rust", "rustc", "1.95.0", "0.31.0"),
        Language::Python => ("python", "cpython", "3.13.9", "1.38.0"),
    };
    let node = rng.pick(&NODES);
    vec![
        ("service.name", facts.name.into()),
        ("service.namespace", "shop".into()),
        ("service.version", version.into()),
        ("service.instance.id", rng.uuid().into()),
        ("deployment.environment.name", "production".into()),
        ("telemetry.sdk.name", "opentelemetry".into()),
        ("telemetry.sdk.language", language.into()),
        ("telemetry.sdk.version", sdk_version.into()),
        ("process.runtime.name", runtime.into()),
        ("process.runtime.version", runtime_version.into()),
        ("process.pid", 1_i64.into()),
        ("host.name", node.0.into()),
        ("host.arch", "arm64".into()),
        ("os.type", "linux".into()),
        ("cloud.provider", "aws".into()),
        ("cloud.region", "eu-central-1".into()),
        ("cloud.availability_zone", node.1.into()),
        ("k8s.cluster.name", "shop-eu".into()),
        ("k8s.namespace.name", "shop".into()),
        ("k8s.node.name", node.0.into()),
        ("k8s.pod.name", pod.into()),
        ("k8s.pod.uid", rng.uuid().into()),
    ]
}

static NODES: [(&str, &str); 5] = [
    ("ip-10-4-0-17.eu-central-1.compute.internal", "eu-central-1a"),
    ("ip-10-4-0-52.eu-central-1.compute.internal", "eu-central-1a"),
    ("ip-10-4-1-33.eu-central-1.compute.internal", "eu-central-1b"),
    ("ip-10-4-1-90.eu-central-1.compute.internal", "eu-central-1b"),
    ("ip-10-4-2-8.eu-central-1.compute.internal", "eu-central-1c"),
];

static USER_AGENTS: [&str; 5] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0",
    "ShopApp/7.2.0 (Android 16; Pixel 9)",
];

const fn product(sku: &'static str, name: &'static str, category: &'static str, price: f64) -> Product {
    Product { sku, name, category, price }
}

pub static CATEGORIES: [&str; 5] = ["outdoor", "kitchen", "books", "garden", "lighting"];

pub static PRODUCTS: [Product; 24] = [
    product("OUT-1001", "Two-person tent", "outdoor", 249.0),
    product("KIT-2001", "Cast iron pan", "kitchen", 49.9),
    product("BOO-3001", "A Field Guide to Clouds", "books", 24.0),
    product("OUT-1002", "Down sleeping bag", "outdoor", 189.0),
    product("KIT-2002", "Chef's knife", "kitchen", 89.0),
    product("GAR-4001", "Pruning shears", "garden", 34.5),
    product("LIG-5001", "Reading lamp", "lighting", 59.0),
    product("OUT-1003", "Trekking poles", "outdoor", 79.95),
    product("KIT-2003", "Pour-over coffee set", "kitchen", 39.0),
    product("BOO-3002", "Bread, Slowly", "books", 32.0),
    product("GAR-4002", "Watering can", "garden", 27.0),
    product("LIG-5002", "Head torch", "lighting", 44.0),
    product("OUT-1004", "Water filter", "outdoor", 64.0),
    product("KIT-2004", "Espresso grinder", "kitchen", 329.0),
    product("BOO-3003", "The Night Train", "books", 14.0),
    product("GAR-4003", "Raised bed kit", "garden", 119.0),
    product("LIG-5003", "Pendant light", "lighting", 139.0),
    product("OUT-1005", "Camping stove", "outdoor", 74.0),
    product("KIT-2005", "Stoneware bowl", "kitchen", 18.0),
    product("BOO-3004", "Maps of Imaginary Places", "books", 45.0),
    product("GAR-4004", "Compost bin", "garden", 84.0),
    product("LIG-5004", "String lights", "lighting", 22.0),
    product("OUT-1006", "Dry bag, 30 l", "outdoor", 29.0),
    product("BOO-3005", "Letters from the Harbour", "books", 12.5),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn facts_are_in_the_order_of_services() {
        for (index, service) in Service::ALL.into_iter().enumerate() {
            assert_eq!(service as usize, index);
            assert!(service.facts().address.starts_with(service.name()), "{service:?}");
        }
    }

    #[test]
    fn pods_and_instance_ids_are_unique() {
        let world = World::new(1);
        let pods: HashSet<_> = world.instances().iter().map(|instance| &instance.pod).collect();
        assert_eq!(pods.len(), world.instances().len());
        let ids: HashSet<_> = world
            .instances()
            .iter()
            .map(|instance| format!("{:?}", instance.resource.iter().find(|(key, _)| *key == "service.instance.id")))
            .collect();
        assert_eq!(ids.len(), world.instances().len());
    }

    #[test]
    fn new_versions_are_there_during_their_faults_only() {
        let world = World::new(5);
        let mut rng = Rng::new(0, 0);
        for second in 0..1_440_u64 {
            let at = 1_767_614_400_000_000_000 + second * 1_000_000_000;
            for (service, version, fault) in
                [(Service::Pricing, "2.4.1", Fault::SlowPricing), (Service::Catalog, "3.12.0", Fault::NPlusOne)]
            {
                let id = world.pick(service, at, &mut rng);
                let picked = world.instance(id).map(|instance| (instance.service, instance.version));
                assert_eq!(picked.map(|(service, _)| service), Some(service));
                if picked.is_some_and(|(_, picked)| picked == version) {
                    assert!(world.schedule().is_active(fault, at));
                }
            }
        }
    }
}
