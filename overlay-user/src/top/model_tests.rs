use super::super::sample::{Health, Rows, Sample};
use super::*;

/// Seconds.
pub fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn health(pid: u64, uptime: u64) -> Health {
    let problems = vec!["peer p0: no route to it".to_owned()];
    Health { name: "gw1".to_owned(), pid, uptime, ports: [2, 2], peers: [3, 2], fdb: 12, problems }
}

fn ports(count: u64) -> Rows {
    let port = |interface: &str, role: &str, segment: Option<&str>, factor: u64| PortRow {
        interface: interface.to_owned(),
        role: role.to_owned(),
        segment: segment.map(str::to_owned),
        hook: Some("xdp".to_owned()),
        up: true,
        rx_packets: count * factor,
        rx_bytes: 100 * count * factor,
        tx_packets: 2 * count * factor,
        tx_bytes: 200 * count * factor,
        ..PortRow::default()
    };
    Rows::Ports(vec![port("eth0", "uplink", None, 1), port("eth1", "access", Some("blue"), 3)])
}

fn peers(peers: u64, count: u64) -> Rows {
    let peer = |index: u64| PeerRow {
        name: format!("p{index}"),
        vtep: format!("192.0.{}.{}", index / 250, index % 250 + 1),
        state: if index == 0 { "unresolved" } else { "ready" }.to_owned(),
        why: (index == 0).then(|| "no route to it".to_owned()),
        rx_packets: count * index,
        rx_bytes: 1000 * count * index,
        ..PeerRow::default()
    };
    Rows::Peers((0..peers).map(peer).collect())
}

fn drops(packets: u64) -> Rows {
    let drop = |reason: &str, packets| DropRow {
        reason: reason.to_owned(),
        place: "eth0".to_owned(),
        hook: "xdp".to_owned(),
        packets,
    };
    Rows::Drops(match packets {
        0 => vec![drop("bad-length", 9)],
        _ => vec![drop("bad-length", 9), drop("unknown-vtep", packets)],
    })
}

/// A sample at a time at which everything has counted to `count`.
pub fn sample(pid: u64, at: u64, count: u64, of_peers: u64) -> Sample {
    let rows = [ports(count), peers(of_peers, count), drops(count * 7 / 10)];
    Sample {
        health: health(pid, at + 60),
        rows: rows.into_iter().map(|rows| (s(at), rows)).collect(),
    }
}

/// A model with one sample.
pub fn model(of_peers: u64) -> Model {
    let choice = Choice { tab: Tab::Peers, ..Choice::default() };
    let mut model = Model::new(choice, s(1));
    model.handle_sample(sample(1, 0, 0, of_peers), s(0));
    model
}

/// A model with rates: 10 packets a second and more.
pub fn busy(of_peers: u64) -> Model {
    let mut model = model(of_peers);
    model.handle_sample(sample(1, 1, 10, of_peers), s(1));
    model
}

fn names(model: &Model) -> Vec<&str> {
    model.shown(0).map(|row| &*row.name).collect()
}

fn rates(model: &Model, tab: Tab) -> Vec<Option<f64>> {
    let (_, rows) = model.answer(tab).unwrap();
    rows.iter().map(|row| row.rates.map(|rates| rates[0])).collect()
}

#[test]
fn a_rate_takes_two_samples() {
    assert_eq!(rates(&model(3), Tab::Peers), [None, None, None]);
    assert_eq!(rates(&busy(3), Tab::Peers), [Some(0.0), Some(10.0), Some(20.0)]);
    assert_eq!(model(3).sums(), [None; 2]);
    let [access, uplink] = busy(3).sums();
    assert_eq!(access, Some([30.0, 3000.0, 60.0, 6000.0]));
    assert_eq!(uplink, Some([10.0, 1000.0, 20.0, 2000.0]));
}

#[test]
fn a_rate_is_over_the_time_between_the_answers() {
    let mut model = model(3);
    let mut late = sample(1, 2, 10, 3);
    late.rows[1].0 = Duration::from_millis(2500);
    model.handle_sample(late, s(3));
    assert_eq!(rates(&model, Tab::Ports), [Some(5.0), Some(15.0)]);
    assert_eq!(rates(&model, Tab::Peers), [Some(0.0), Some(4.0), Some(8.0)]);
}

#[test]
fn what_was_not_dropped_before_was_zero() {
    // A new reason is not in the list before; of a new peer nothing is known.
    let model = busy(3);
    assert_eq!(rates(&model, Tab::Drops), [Some(0.0), Some(7.0)]);
    assert_eq!((model.drop_rate(), model.drops()), (Some(7.0), 16));
    let mut model = busy(3);
    model.handle_sample(sample(1, 2, 20, 4), s(2));
    assert_eq!(rates(&model, Tab::Peers), [Some(0.0), Some(10.0), Some(20.0), None]);
}

#[test]
fn counters_that_go_down_are_a_restart_and_no_rate() {
    // The same process: a port that was taken away and added again.
    let mut same = busy(3);
    same.handle_sample(sample(1, 2, 4, 3), s(2));
    assert_eq!(rates(&same, Tab::Peers), [Some(0.0), None, None]);
    assert_eq!(same.restarted(), None);
    // Another one: nothing has a rate, whether its counters are higher or not.
    let mut other = busy(3);
    other.handle_sample(sample(2, 2, 1000, 3), s(2));
    assert_eq!(rates(&other, Tab::Peers), [None, None, None]);
    assert_eq!(rates(&other, Tab::Drops), [None, None]);
    assert_eq!((other.sums(), other.drop_rate()), ([None; 2], None));
    assert_eq!(other.restarted(), Some(s(0)));
    other.handle_sample(sample(2, 3, 1010, 3), s(3));
    assert_eq!(rates(&other, Tab::Peers), [Some(0.0), Some(10.0), Some(20.0)]);
    assert_eq!(other.restarted(), Some(s(1)));
}

#[test]
fn a_daemon_that_is_away_leaves_what_it_said() {
    let mut model = busy(3);
    model.handle_silence("no daemon answers".to_owned(), s(2));
    model.handle_silence("no daemon answers".to_owned(), s(5));
    assert_eq!(model.away(), Some((s(3), "no daemon answers")));
    assert_eq!(model.len(), 3);
    model.handle_sample(sample(1, 6, 60, 3), s(6));
    assert_eq!(model.away(), None);
    assert_eq!(rates(&model, Tab::Peers), [None, None, None], "nothing to compare with");
}

#[test]
fn rates_over_a_pause_are_none() {
    let mut model = busy(3);
    model.handle_sample(sample(1, 100, 20, 3), s(100));
    assert_eq!(rates(&model, Tab::Peers), [None, None, None]);
}

#[test]
fn rows_are_sorted_both_ways() {
    let mut model = busy(12);
    assert_eq!(names(&model)[..3], ["p11", "p10", "p9"]);
    model.choice.reverse = true;
    model.arrange();
    assert_eq!(names(&model)[..3], ["p0", "p1", "p2"]);
    model.choice = Choice { tab: Tab::Peers, sort: Sort::Name, ..Choice::default() };
    model.arrange();
    assert_eq!(names(&model)[..4], ["p0", "p1", "p10", "p11"]);
    model.choice.sort = Sort::TxBits;
    model.arrange();
    assert_eq!(names(&model)[..4], ["p0", "p1", "p10", "p11"], "of equals, by name");
    // What has no such column is sorted by traffic.
    model.choice.tab = Tab::Drops;
    model.arrange();
    assert_eq!(model.sort(), Sort::Traffic);
    assert_eq!(names(&model), ["unknown-vtep", "bad-length"]);
    model.choice.totals = true;
    model.arrange();
    assert_eq!(names(&model), ["bad-length", "unknown-vtep"], "9 in all, and 7");
}

#[test]
fn the_filter_looks_at_name_and_about() {
    let mut model = busy(12);
    for (filter, shown) in [("P1", 3), ("192.0.0.5", 1), ("UNRES", 1), ("no such", 0), ("", 12)] {
        model.choice.filter = filter.to_owned();
        model.arrange();
        assert_eq!(model.len(), shown, "{filter}");
    }
}

#[test]
fn only_what_is_looked_at_is_asked_for() {
    let mut model = busy(1);
    assert_eq!(model.wanted(), [Tab::Ports, Tab::Peers, Tab::Drops]);
    model.choice.tab = Tab::Drops;
    assert_eq!(model.wanted(), [Tab::Ports, Tab::Drops]);
}

#[test]
fn ports_of_one_device_are_apart() {
    let port = |vlan, protocol: Option<&str>, rx_packets| PortRow {
        interface: "eth1".to_owned(),
        vlan,
        protocol: protocol.map(str::to_owned),
        segment: Some("blue".to_owned()),
        rx_packets,
        ..PortRow::default()
    };
    let rows = |count| {
        let double = port(Some(10), Some("802.1ad"), 2 * count);
        Rows::Ports(vec![port(None, None, count), port(Some(10), Some("802.1q"), 0), double])
    };
    let sample = |at, count| Sample { health: health(1, at), rows: vec![(s(at), rows(count))] };
    let mut model = Model::new(Choice::default(), s(1));
    model.handle_sample(sample(0, 0), s(0));
    model.handle_sample(sample(1, 5), s(1));
    model.choice.sort = Sort::RxPackets;
    model.arrange();
    assert_eq!(names(&model), ["eth1.10ad", "eth1", "eth1.10"]);
    assert_eq!(rates(&model, Tab::Ports), [Some(5.0), Some(0.0), Some(10.0)]);
    assert!(model.shown(0).all(|row| row.bad), "down and without a hook");
}
