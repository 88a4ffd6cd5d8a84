//! Kafka: sending, and receiving in another trace that links back.

use crate::shop::scopes::Layer;
use crate::shop::span::{Attribute, Kind};
use crate::shop::trace::{Here, Message, Trace};
use crate::shop::world::InstanceId;

pub const ORDERS_TOPIC: &str = "orders";
const BROKER: &str = "kafka.shop.svc.cluster.local";
const PARTITIONS: u64 = 6;

impl Trace<'_> {
    /// Sends one message to the topic of orders.
    pub fn kafka_send(&mut self, here: &mut Here, key: String) {
        let mut producer = self.child(here, Kind::Producer, Layer::Kafka, "send orders");
        let partition = self.rng.below(PARTITIONS);
        let body_bytes = self.rng.between(380, 2_400) as i64;
        self.messaging_attributes(&producer, "send", "send");
        self.set(&producer, "messaging.destination.partition.id", partition.to_string());
        self.set(&producer, "messaging.kafka.message.key", key.clone());
        self.set(&producer, "messaging.message.body.size", body_bytes);
        self.work(&mut producer, 2_400.0);
        let offset = self.offset(&producer);
        self.set(&producer, "messaging.kafka.offset", offset);
        self.finish(&producer);
        here.now_unix_nanos = producer.now_unix_nanos;
        let (trace_id, span_id) = self.context(&producer);
        self.sent.push(Message {
            trace_id,
            span_id,
            sent_unix_nanos: producer.now_unix_nanos,
            key,
            partition,
            body_bytes,
            visitor: self.visitor.clone(),
        });
    }

    /// A root that receives a batch: it links to every producer, since it can have no more than one parent.
    pub fn kafka_poll(&mut self, instance: InstanceId, messages: &[Message], start_unix_nanos: u64) -> Here {
        let mut poll = self.root(instance, Kind::Client, Layer::Kafka, "poll orders", start_unix_nanos);
        self.messaging_attributes(&poll, "poll", "receive");
        self.set(&poll, "messaging.consumer.group.name", "notification");
        self.set(&poll, "messaging.batch.message_count", messages.len() as i64);
        for message in messages {
            self.link(&poll, message, link_attributes(message));
        }
        self.work(&mut poll, 1_500.0);
        poll
    }

    pub fn kafka_process(&mut self, here: &Here, message: &Message) -> Here {
        let process = self.child(here, Kind::Consumer, Layer::Kafka, "process orders");
        self.messaging_attributes(&process, "process", "process");
        self.set(&process, "messaging.consumer.group.name", "notification");
        self.set(&process, "messaging.destination.partition.id", message.partition.to_string());
        self.set(&process, "messaging.kafka.message.key", message.key.clone());
        self.set(&process, "messaging.message.body.size", message.body_bytes);
        self.link(&process, message, link_attributes(message));
        self.visitor = message.visitor.clone();
        self.baggage(&process);
        process
    }

    fn messaging_attributes(&mut self, here: &Here, operation: &'static str, operation_type: &'static str) {
        self.set(here, "messaging.system", "kafka");
        self.set(here, "messaging.destination.name", ORDERS_TOPIC);
        self.set(here, "messaging.operation.name", operation);
        self.set(here, "messaging.operation.type", operation_type);
        let client = self.world.instance(here.instance).map(|instance| instance.pod.clone()).unwrap_or_default();
        self.set(here, "messaging.client.id", client);
        self.set(here, "server.address", BROKER);
        self.set(here, "server.port", 9092_u16);
    }

    /// Grows with time, as offsets do.
    fn offset(&self, here: &Here) -> i64 {
        (here.now_unix_nanos / 50_000_000) as i64
    }
}

fn link_attributes(message: &Message) -> Vec<Attribute> {
    vec![("messaging.kafka.message.key", message.key.clone().into())]
}
