use super::super::model::Sort;
use super::super::model::tests::{busy, s};
use super::*;

fn key(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

fn type_in(model: &mut Model, text: &str) -> Effect {
    text.chars().map(|c| press(model, key(KeyCode::Char(c)), 10)).last().unwrap()
}

#[test]
fn tabs_go_round_and_ask() {
    let mut model = busy(30);
    model.scroll = 5;
    assert_eq!(press(&mut model, key(KeyCode::Tab), 10), Effect::Ask);
    assert_eq!((model.choice.tab, model.scroll), (Tab::Drops, 0));
    press(&mut model, key(KeyCode::Tab), 10);
    assert_eq!(model.choice.tab, Tab::Ports);
    press(&mut model, key(KeyCode::BackTab), 10);
    assert_eq!(model.choice.tab, Tab::Drops);
    for (digit, tab) in "1234".chars().zip(Tab::ALL) {
        press(&mut model, key(KeyCode::Char(digit)), 10);
        assert_eq!(model.choice.tab, tab);
    }
}

#[test]
fn sorting_goes_through_the_columns() {
    let mut model = busy(3);
    type_in(&mut model, "s");
    assert_eq!(model.sort(), Sort::Name);
    type_in(&mut model, "SS");
    assert_eq!(model.sort(), Sort::TxBits);
    type_in(&mut model, "s");
    assert_eq!(model.sort(), Sort::Traffic);
    type_in(&mut model, "r");
    assert_eq!(model.shown(0).next().map(|row| &*row.name), Some("p0"));
}

#[test]
fn a_filter_is_typed_kept_and_left() {
    let mut model = busy(30);
    type_in(&mut model, "/p2q");
    assert_eq!(model.typed.as_deref(), Some("p2q"), "letters are letters");
    assert_eq!(model.len(), 30, "nothing changes before Enter");
    press(&mut model, key(KeyCode::Backspace), 10);
    press(&mut model, key(KeyCode::Enter), 10);
    assert_eq!((model.len(), &*model.choice.filter), (11, "p2"));
    type_in(&mut model, "/x");
    press(&mut model, key(KeyCode::Esc), 10);
    assert_eq!(&*model.choice.filter, "p2");
    assert_eq!(press(&mut model, key(KeyCode::Esc), 10), Effect::Draw);
    assert_eq!(model.len(), 30);
    assert_eq!(press(&mut model, key(KeyCode::Esc), 10), Effect::Quit);
    type_in(&mut model, "/");
    type_in(&mut model, &"x".repeat(500));
    assert_eq!(model.typed.map(|typed| typed.len()), Some(FILTER_MAX));
}

#[test]
fn scrolling_keeps_the_last_page_full() {
    let mut model = busy(25);
    let mut after = |code| {
        press(&mut model, key(code), 10);
        model.scroll
    };
    assert_eq!(after(KeyCode::Up), 0);
    assert_eq!(after(KeyCode::Down), 1);
    assert_eq!(after(KeyCode::PageDown), 11);
    assert_eq!(after(KeyCode::PageDown), 15);
    assert_eq!(after(KeyCode::Down), 15);
    assert_eq!(after(KeyCode::PageUp), 5);
    assert_eq!(after(KeyCode::End), 15);
    assert_eq!(after(KeyCode::Home), 0);
    // Nothing to scroll, and no room at all.
    let mut few = busy(2);
    press(&mut few, key(KeyCode::End), 10);
    assert_eq!(few.scroll, 0);
    press(&mut few, key(KeyCode::PageDown), 0);
    assert!(few.scroll < 2);
}

#[test]
fn the_delay_has_steps_and_ends() {
    let mut model = busy(1);
    type_in(&mut model, "+");
    assert_eq!(model.delay, s(2));
    type_in(&mut model, "----------");
    assert_eq!(model.delay, Duration::from_millis(200));
    model.delay = Duration::from_millis(700);
    type_in(&mut model, "+");
    assert_eq!(model.delay, s(1));
    type_in(&mut model, "++++++++++");
    assert_eq!(model.delay, s(60));
}

#[test]
fn control_keys_work_while_a_filter_is_typed() {
    let mut model = busy(1);
    type_in(&mut model, "/");
    let mut control =
        |letter| press(&mut model, KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL), 10);
    assert_eq!(control('c'), Effect::Quit);
    assert_eq!(control('z'), Effect::Suspend);
    assert_eq!(control('l'), Effect::Redraw);
    assert_eq!(model.typed.as_deref(), Some(""));
}

#[test]
fn pause_counters_help_and_quit() {
    let mut model = busy(1);
    assert_eq!(type_in(&mut model, "p"), Effect::Ask);
    assert!(model.choice.paused);
    type_in(&mut model, " c?");
    assert!(!model.choice.paused && model.choice.totals && model.help);
    type_in(&mut model, "c");
    assert!(model.choice.totals && !model.help, "the key that goes on does nothing else");
    assert_eq!(type_in(&mut model, "?q"), Effect::Quit);
}
