//! The loops of `overlay top`: the daemon's answers and the user's keys go into the model, the
//! model onto the screen, or as text to scripts.

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ratatui::crossterm::event::Event;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::keys::{Effect, press};
use super::model::{Choice, Model, Sort, Tab};
use super::sample::{self, Sample};
use super::screen::{self, Screen};
use super::{text, view};
use crate::cli::{CommandFailure, no_daemon, written};
use crate::instance::Instance;

/// Asking takes at most this share of the time, of the daemon's too: one part in so many.
const SHARE: u32 = 5;
/// A daemon that has said nothing for so long is told to be silent; it is still waited for.
const SILENCE: Duration = Duration::from_secs(5);

/// What the command line asks for.
#[derive(Debug)]
pub struct Wanted {
    /// Between two samples.
    pub delay: Duration,
    /// What is shown first.
    pub tab: Tab,
    /// What it is sorted by.
    pub sort: Sort,
    /// Whether the other way round.
    pub reverse: bool,
    /// What rows must have.
    pub filter: String,
    /// Where it goes.
    pub output: Output,
}

/// Where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The terminal.
    Screen,
    /// Standard output, so many times; 0: for ever.
    Printed {
        /// How often.
        times: u64,
        /// Whether in JSON.
        json: bool,
    },
}

/// Watches a gateway.
pub async fn run(instance: &Instance, wanted: Wanted) -> Result<(), CommandFailure> {
    let Wanted { delay, tab, sort, reverse, filter, output } = wanted;
    let choice = Choice { tab, sort, reverse, filter, ..Choice::default() };
    let mut model = Model::new(choice, delay);
    let started = Instant::now();
    let tabs = match output {
        Output::Screen => model.wanted(),
        Output::Printed { .. } => Tab::ALL.to_vec(),
    };
    if output == Output::Screen
        && let Some(refusal) = screen::refusal()
    {
        return Err(CommandFailure::Wrong(refusal));
    }
    let first = sample::take(instance, &tabs, || started.elapsed()).await?;
    let first = first.ok_or_else(|| no_daemon(instance))?;
    model.handle_sample(first, started.elapsed());
    match output {
        Output::Screen => Ok(Watch::new(instance, model, started)?.run().await?),
        Output::Printed { times, json } => print(instance, model, started, times, json).await,
    }
}

/// Rates are of one delay each, so the first comes after one.
async fn print(
    instance: &Instance,
    mut model: Model,
    started: Instant,
    times: u64,
    json: bool,
) -> Result<(), CommandFailure> {
    let mut printed = 0;
    let mut cost = Duration::ZERO;
    while times == 0 || printed < times {
        tokio::time::sleep(model.delay.max(cost * SHARE)).await;
        let asked = Instant::now();
        let sample = sample::take(instance, &Tab::ALL, || started.elapsed()).await;
        cost = asked.elapsed();
        match sample {
            Ok(Some(sample)) => model.handle_sample(sample, started.elapsed()),
            // Whoever prints without end goes on when there is a daemon again.
            Ok(None) if times == 0 => model.handle_silence(away(), started.elapsed()),
            Ok(None) => return Err(no_daemon(instance)),
            Err(error) => return Err(error.into()),
        }
        let text = if json { text::json(&model)? } else { text::plain(&model) };
        let separator = if printed > 0 && !json { "\n" } else { "" };
        if !written(&format!("{separator}{text}"))? {
            return Ok(());
        }
        printed += 1;
    }
    Ok(())
}

fn away() -> String {
    "no daemon answers".to_owned()
}

/// What is asked, and what came of it.
type Asked = Result<Option<Sample>>;

/// A screen with everything that changes it.
struct Watch {
    model: Model,
    started: Instant,
    screen: Screen,
    events: mpsc::Receiver<Event>,
    /// To the task that asks the daemon, so that keys need not wait for it.
    questions: mpsc::Sender<Vec<Tab>>,
    answers: mpsc::Receiver<Asked>,
    /// Since when an answer is waited for.
    asked: Option<Instant>,
    next: Instant,
    /// How many rows there was room for.
    page: usize,
    ends: [Signal; 3],
    stop: Signal,
    goes_on: Signal,
}

impl Watch {
    fn new(instance: &Instance, model: Model, started: Instant) -> Result<Self> {
        let (questions, asked) = mpsc::channel(1);
        let (reply, answers) = mpsc::channel(1);
        tokio::spawn(answer(instance.clone(), started, asked, reply));
        let take = |kind| signal(kind).context("cannot take signals");
        let ends = [
            take(SignalKind::terminate())?,
            take(SignalKind::interrupt())?,
            take(SignalKind::hangup())?,
        ];
        let number = |signal: nix::sys::signal::Signal| SignalKind::from_raw(signal as i32);
        let stop = take(number(nix::sys::signal::Signal::SIGTSTP))?;
        let goes_on = take(number(nix::sys::signal::Signal::SIGCONT))?;
        let screen = Screen::enter().context("cannot draw on this terminal")?;
        let next = Instant::now() + model.delay;
        Ok(Self {
            model,
            started,
            screen,
            events: screen::events(),
            questions,
            answers,
            asked: None,
            next,
            page: 0,
            ends,
            stop,
            goes_on,
        })
    }

    async fn run(mut self) -> Result<()> {
        let paint = screen::paint();
        loop {
            self.page = draw(&mut self.screen, &self.model, paint)?;
            let [terminate, interrupt, hangup] = &mut self.ends;
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = hangup.recv() => return Ok(()),
                _ = self.stop.recv() => self.screen.suspend()?,
                _ = self.goes_on.recv() => self.screen.take_again()?,
                event = self.events.recv() => match event {
                    Some(Event::Key(key)) => {
                        let effect = press(&mut self.model, key, self.page);
                        if self.carry_out(effect)? {
                            return Ok(());
                        }
                    }
                    Some(_) => {}
                    None => return Ok(()),
                },
                Some(answer) = self.answers.recv() => self.take(answer),
                () = sleep_until(self.next.into()) => self.tick(),
            }
        }
    }

    /// Whether this is the end.
    fn carry_out(&mut self, effect: Effect) -> io::Result<bool> {
        match effect {
            Effect::Draw => {}
            Effect::Quit => return Ok(true),
            Effect::Redraw => self.screen.redraw()?,
            Effect::Suspend => self.screen.suspend()?,
            Effect::Ask => self.ask(),
        }
        // A delay that was made shorter is not waited for.
        self.next = self.next.min(Instant::now() + self.model.delay);
        Ok(false)
    }

    fn tick(&mut self) {
        let silent = self.asked.map(|since| since.elapsed()).filter(|silent| *silent > SILENCE);
        if silent.is_some() && !self.model.choice.paused {
            let why = "the daemon runs and does not answer".to_owned();
            self.model.handle_silence(why, self.started.elapsed());
        }
        self.next = Instant::now() + self.model.delay;
        self.ask();
    }

    /// One question at a time.
    fn ask(&mut self) {
        if self.asked.is_none() && !self.model.choice.paused {
            let sent = self.questions.try_send(self.model.wanted());
            self.asked = sent.is_ok().then(Instant::now);
        }
    }

    fn take(&mut self, answer: Asked) {
        let cost = self.asked.take().map(|since| since.elapsed()).unwrap_or_default();
        self.next = self.next.max(Instant::now() + cost * (SHARE - 1));
        if self.model.choice.paused {
            return;
        }
        let now = self.started.elapsed();
        match answer {
            Ok(Some(sample)) => self.model.handle_sample(sample, now),
            Ok(None) => self.model.handle_silence(away(), now),
            Err(error) => self.model.handle_silence(format!("{error:#}"), now),
        }
    }
}

fn draw(screen: &mut Screen, model: &Model, paint: view::Paint) -> io::Result<usize> {
    let mut page = 0;
    screen.terminal.draw(|frame| page = view::draw(model, paint, frame))?;
    Ok(page)
}

async fn answer(
    instance: Instance,
    started: Instant,
    mut questions: mpsc::Receiver<Vec<Tab>>,
    reply: mpsc::Sender<Asked>,
) {
    while let Some(tabs) = questions.recv().await {
        let asked = sample::take(&instance, &tabs, || started.elapsed()).await;
        if reply.send(asked).await.is_err() {
            break;
        }
    }
}
