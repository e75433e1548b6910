use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::super::model::tests::{busy, model, s, sample};
use super::*;

/// What is on a screen, line by line, and how many rows it has room for.
fn drawn(model: &Model, width: u16, height: u16) -> (Vec<String>, usize) {
    let (buffer, room) = buffer(model, width, height, false);
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    ((0..height).map(|y| line(y).trim_end().to_owned()).collect(), room)
}

fn buffer(model: &Model, width: u16, height: u16, colour: bool) -> (Buffer, usize) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let mut room = 0;
    terminal.draw(|frame| room = draw(model, Paint { colour }, frame)).unwrap();
    (terminal.backend().buffer().clone(), room)
}

#[test]
fn eighty_by_twenty_four_holds_everything() {
    let (lines, room) = drawn(&busy(3), 80, 24);
    let right = [
        "overlay top  gw1  1 problem  up 1 min 1 s  every 1 s",
        "hosts     in     30 pkt/s  24.0k bit/s   out     60 pkt/s  48.0k bit/s",
        "underlay  in     10 pkt/s  8.00k bit/s   out     20 pkt/s  16.0k bit/s",
        "drops          7 pkt/s   ports 2/2   peers 2/3   fdb 12",
        "! peer p0: no route to it",
        " 1 Ports 2  2 Segments  3 Peers 3  4 Drops 2",
        "  PEER              STATE, VTEP           RX PKT/S  RX BIT/S  TX PKT/S  TX BIT/S",
        "  p2                ready 192.0.0.3             20      160k         0         0",
        "  p1                ready 192.0.0.2             10     80.0k         0         0",
        "! p0                unresolved 192.0.0.          0         0         0         0",
    ];
    assert_eq!(lines[..10], right);
    assert_eq!(lines[23], "by traffic  q quit  ? help  s sort  / filter  p pause  c count");
    assert_eq!(room, 24 - 7 - 1);
}

#[test]
fn a_small_screen_has_what_matters() {
    let (lines, room) = drawn(&busy(30), 40, 10);
    let right = [
        "overlay top  gw1  1 problem  up 1 min 1",
        "! peer p0: no route to it",
        " 1 Ports 2  2 Segments  3 Peers 30  4 Dr",
        "  PEER                RX BIT/S  TX BIT/S",
        "  p29                     2.32M        0",
    ];
    assert_eq!(lines[..4], right[..4]);
    assert!(lines[4].starts_with("  p29") && lines[4].contains("2.32M"), "{}", lines[4]);
    assert_eq!(room, 5);
    assert!(lines[9].starts_with("1-5 of 30  by traffic"), "{}", lines[9]);
}

#[test]
fn a_large_screen_has_room() {
    let (lines, room) = drawn(&busy(5_000), 200, 50);
    assert_eq!(room, 42);
    assert!(lines[7].starts_with("  p4999 ") && lines[7].ends_with('0'), "{}", lines[7]);
    assert!(lines[48].starts_with("  p4958"), "{}", lines[48]);
    assert!(lines[49].starts_with("1-42 of 5000"));
}

#[test]
fn thousands_of_rows_are_scrolled_to_their_end() {
    let mut model = busy(5_000);
    model.scroll = 4_999 - 10;
    let (lines, _) = drawn(&model, 80, 24);
    assert!(lines[7].starts_with("  p10 "), "{}", lines[7]);
    assert!(lines[17].starts_with("! p0"), "{}", lines[17]);
    assert_eq!(lines[18], "");
    assert!(lines[23].starts_with("4990-5000 of 5000"), "{}", lines[23]);
}

#[test]
fn no_rows_and_no_room_are_drawn() {
    let empty = Model::new(super::super::model::Choice::default(), s(1));
    let (lines, _) = drawn(&empty, 80, 24);
    assert!(lines.contains(&"not read yet".to_owned()), "{lines:?}");
    let mut none = busy(3);
    none.choice.filter = "nobody".to_owned();
    none.arrange();
    let (lines, _) = drawn(&none, 80, 24);
    assert!(lines.contains(&"nothing has this text; Esc shows everything".to_owned()));
    for (width, height) in [(1, 1), (80, 1), (1, 24), (3, 3), (80, 6), (80, 7), (80, 8), (19, 14)] {
        drawn(&busy(100), width, height);
        let mut help = busy(100);
        help.help = true;
        drawn(&help, width, height);
    }
}

#[test]
fn what_is_not_known_is_a_dash() {
    let (lines, _) = drawn(&model(3), 80, 24);
    assert!(lines[1].starts_with("hosts     in      - pkt/s      - bit/s"), "{}", lines[1]);
    assert!(lines[7].ends_with("-         -         -         -"), "{}", lines[7]);
}

#[test]
fn absence_restart_and_pause_are_told() {
    let mut model = busy(3);
    model.handle_silence("no daemon answers".to_owned(), s(2));
    model.handle_silence("no daemon answers".to_owned(), s(9));
    let (lines, _) = drawn(&model, 80, 24);
    assert_eq!(lines[4], "! no daemon answers, for 7 s; what is shown is from before");
    assert!(lines[0].contains("AWAY") && lines[7].starts_with("  p2"));
    model.handle_sample(sample(2, 12, 3, 3), s(12));
    model.choice.paused = true;
    let (lines, _) = drawn(&model, 80, 24);
    assert_eq!(lines[4], "! the daemon was restarted 0 s ago");
    assert!(lines[0].ends_with("PAUSED"), "{}", lines[0]);
}

#[test]
fn counters_are_shown_when_asked_for() {
    let mut model = busy(3);
    model.choice.totals = true;
    let (lines, _) = drawn(&model, 80, 24);
    assert!(lines[6].ends_with("RX PKTS  RX BYTES   TX PKTS  TX BYTES"), "{}", lines[6]);
    assert!(lines[7].contains("20     20.0k"), "{}", lines[7]);
}

#[test]
fn without_colour_there_is_none() {
    let colours = |colour| {
        let (buffer, _) = buffer(&busy(3), 80, 24, colour);
        buffer.content.iter().filter(|cell| cell.fg != Color::Reset).count()
    };
    assert_eq!(colours(false), 0);
    assert!(colours(true) > 20);
}

#[test]
fn control_characters_and_wide_letters_stay_in_their_column() {
    assert_eq!(padded("a\x1b[31mb", 12), "a[31mb      ");
    assert_eq!(padded("日本語", 6), "日本  ");
    assert_eq!(padded("abcdef", 4), "abc ");
    assert_eq!(padded("x", 0), "");
}
