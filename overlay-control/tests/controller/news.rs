//! What people are told of stations and peers.

use overlay_control::controller::{Change, LinkInfo, News};

use crate::gateway::{Gateway, TWO_SEGMENTS, UPLINK_INDEX, link, mac, peer, port};

fn stations(gateway: &mut Gateway) -> Vec<Change> {
    let news = std::iter::from_fn(|| gateway.controller.poll_news());
    let changes = news.filter_map(|news| match news {
        News::Station { change, .. } => Some(change),
        News::Peer { .. } => None,
    });
    changes.collect()
}

#[test]
fn what_happens_to_a_station_is_told_once() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    stations(&mut gateway);
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.frame("blue", mac(1), &port("eth1", 0));
    gateway.frame("blue", mac(1), &peer("gw2"));
    gateway.frame("blue", mac(2), &port("eth1", 0));
    assert_eq!(stations(&mut gateway), [Change::Learned, Change::Moved, Change::Learned]);
    gateway.link(LinkInfo { up: false, ..link("eth1", 3) });
    assert_eq!(stations(&mut gateway), [Change::Flushed]);
    gateway.wait(400);
    assert_eq!(stations(&mut gateway), [Change::Aged]);
}

#[test]
fn a_peer_is_told_of_when_the_way_to_it_is_lost_and_found() {
    let mut gateway = Gateway::ready(TWO_SEGMENTS);
    while gateway.controller.poll_news().is_some() {}
    gateway.link(LinkInfo { up: false, ..link("eth0", UPLINK_INDEX) });
    let lost = std::iter::from_fn(|| gateway.controller.poll_news()).find_map(|news| match news {
        News::Peer { name, obstacle: Some(why), was_ready: Some(true), .. } if name == "gw2" => {
            Some(why)
        }
        _ => None,
    });
    assert!(lost.is_some_and(|why| why.contains("eth0")), "the uplink is named");
    gateway.link(link("eth0", UPLINK_INDEX));
    gateway.resolve_all();
    let found = std::iter::from_fn(|| gateway.controller.poll_news()).any(|news| {
        matches!(news, News::Peer { name, obstacle: None, was_ready: Some(false), .. } if name == "gw2")
    });
    assert!(found);
    while gateway.controller.poll_news().is_some() {}
    gateway.wait(5);
    assert_eq!(gateway.controller.poll_news(), None, "nothing has changed");
}
