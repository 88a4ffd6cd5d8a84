//! Chapter 4 of the cases: compression.

use super::client::{Call, WAYS, Way, Word, compress, encode, frame, gzip, request, span};
use super::server::Server;

fn message(way: Way, number: u64) -> Vec<u8> {
    encode(way, &request(vec![span(number)]))
}

#[tokio::test]
async fn otlp_401_to_403_none_gzip_and_zstd() {
    let server = Server::start().await;
    let mut number = 0;
    for way in WAYS {
        for encoding in ["identity", "gzip", "zstd", "GZIP"] {
            number += 1;
            let packed = compress(&encoding.to_lowercase(), &message(way, number));
            let mut call = Call::compressed(way, encoding, &packed);
            if encoding == "identity" && way == Way::Grpc {
                call.body = frame(0, &packed);
            }
            let reply = call.send(&server).await;
            assert_eq!(reply.word, Word::Ok, "{way:?} {encoding} {}", reply.message);
        }
    }
    let mut call = Call::compressed(Way::Grpc, "gzip", b"");
    call.body = frame(0, &message(Way::Grpc, 100));
    assert_eq!(call.send(&server).await.word, Word::Ok);
    assert_eq!(server.sink.span_count(), 13);
    // The sink gets what the client sent, still compressed.
    let stored = server.sink.stored.lock().unwrap();
    let encodings = stored.iter().filter(|(request, _)| request.encoding == storage::Encoding::Zstd);
    assert_eq!(encodings.filter(|(request, _)| request.body.starts_with(b"\x28\xb5\x2f\xfd")).count(), 3);
}

#[tokio::test]
async fn otlp_404_other_compressions_are_refused_with_those_that_are_taken() {
    let server = Server::start().await;
    for encoding in ["br", "gzip, gzip", "nonsense", "deflate", ""] {
        let reply = Call::compressed(Way::Grpc, encoding, b"x").send(&server).await;
        assert_eq!(reply.word, Word::Other(12), "{encoding}");
        assert_eq!(reply.headers["grpc-accept-encoding"], "identity,gzip,zstd");
        for way in [Way::Protobuf, Way::Json] {
            let reply = Call::compressed(way, encoding, b"x").send(&server).await;
            assert_eq!(reply.status, 415, "{encoding}");
            assert_eq!(reply.headers["accept-encoding"], "gzip, zstd, identity");
        }
    }
}

#[tokio::test]
async fn otlp_405_bodies_that_are_not_what_they_claim_are_bad() {
    let server = Server::start().await;
    for way in WAYS {
        for encoding in ["gzip", "zstd"] {
            let whole = compress(encoding, &message(way, 1));
            let mut wrong = whole.clone();
            let middle = wrong.len() - 6;
            wrong[middle] ^= 0x55;
            for body in [message(way, 1), whole[..whole.len() - 3].to_vec(), [&whole[..], b"trailing"].concat(), wrong]
            {
                assert_eq!(
                    Call::compressed(way, encoding, &body).send(&server).await.word,
                    Word::Bad,
                    "{way:?} {encoding}"
                );
            }
        }
    }
    assert_eq!(server.sink.span_count(), 0);
}

#[tokio::test]
async fn otlp_406_several_members_and_frames_are_all_read() {
    let server = Server::start().await;
    for way in [Way::Grpc, Way::Protobuf] {
        for encoding in ["gzip", "zstd"] {
            // Two requests put together are one that has the spans of both.
            let parts = [message(way, 2 * way as u64 + 1), message(way, 2 * way as u64 + 2)];
            let mut joined: Vec<u8> = parts.iter().flat_map(|part| compress(encoding, part)).collect();
            if encoding == "zstd" {
                joined.extend([0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9]);
            }
            assert_eq!(Call::compressed(way, encoding, &joined).send(&server).await.word, Word::Ok, "{encoding}");
        }
    }
    let stored = server.sink.stored.lock().unwrap();
    assert!(stored.iter().all(|(_, spans)| *spans == 2));
}

#[tokio::test]
async fn otlp_408_clients_that_take_gzip_get_an_answer_they_can_read() {
    let server = Server::start().await;
    for way in WAYS {
        let call = Call::new(way, &message(way, way as u64)).header("accept-encoding", "gzip");
        assert_eq!(call.send(&server).await.word, Word::Ok);
    }
}

#[tokio::test]
async fn otlp_802_and_803_bombs_are_too_large() {
    let server = Server::with(|config| config.limits.request_bytes = 1 << 20).await;
    let zeros = vec![0; 20 << 20];
    for way in WAYS {
        for packed in [gzip(&zeros), zstd::encode_all(&zeros[..], 3).unwrap()] {
            let encoding = if packed.starts_with(&[0x1f, 0x8b]) { "gzip" } else { "zstd" };
            assert!(packed.len() < 1 << 20);
            assert_eq!(Call::compressed(way, encoding, &packed).send(&server).await.word, Word::TooLarge);
        }
    }
    assert_eq!(server.metrics.in_flight_bytes(), 0);
}
