//! What becomes of a frame: the explanation as it goes over the wire.

use axum::Json;
use axum::extract::State;
use overlay_common::abi::Hook;
use overlay_control::explain::{Explanation, LONGEST, Missed, Output, Step};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::JsonBody;
use super::problem::{Kind, Problem};
use super::queries::{awaited, put};
use super::server::{Request, Requests};

/// The path of the resource that frames are sent to.
pub const SIMULATE_PATH: &str = "/v1/trace/simulate";

/// A frame to be explained.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Simulate {
    /// Its bytes in hexadecimal, Ethernet header first, without FCS, with its VLAN tags. Spaces,
    /// colons, dashes and dots between digits are skipped.
    pub frame: String,
    /// The device that it comes in by; may be left out where only one is possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// `xdp`, `tc` or `user`, in place of the hook that the device has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// The whole frame's length, where only its beginning is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u32>,
}

/// The same, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedFrame {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The whole frame's length.
    pub len: u32,
    /// The device that it comes in by.
    pub interface: Option<String>,
    /// The hook there.
    pub hook: Option<Hook>,
}

/// What one stage did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedStep {
    /// `classify`, `admit`, `resolve`, `answer`, `route`, `police`, `decap`, `encap`, `flood`,
    /// `transmit`, `deliver`, `learn`, `defer`, `punt` or `pass`.
    pub stage: String,
    /// What it looked at or for.
    pub asked: String,
    /// What it found, and what follows.
    pub found: String,
    /// Whether the frame, or this copy of it, ended here.
    pub end: bool,
}

/// A frame that leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedOutput {
    /// The device.
    pub interface: String,
    /// The peer that it goes to.
    pub peer: Option<String>,
    /// The frame in a line.
    pub summary: String,
    /// What its tunnel carries, in a line.
    pub inner: Option<String>,
    /// Its bytes in hexadecimal.
    pub frame: String,
}

/// A receiver that gets no copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExplainedMiss {
    /// Who.
    pub to: String,
    /// The reason, as `show drops` has it.
    pub reason: String,
    /// In words.
    pub cause: String,
    /// What would let it have one.
    pub fix: String,
}

/// What becomes of a frame, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explained {
    /// The frame in a line.
    pub frame: String,
    /// What its tunnel carries, in a line.
    pub inner: Option<String>,
    /// The device that it comes in by.
    pub interface: String,
    /// Why that one, where nobody said which.
    pub assumed: Option<String>,
    /// `xdp`, `tc` or `user`.
    pub hook: String,
    /// What each stage did, in the packet's order.
    pub steps: Vec<ExplainedStep>,
    /// `transmit`, `deliver`, `flood`, `answer`, `pass`, `wait`, `absorb` or `drop`.
    pub verdict: String,
    /// Why it is dropped, or its sender told of an error, as `show drops` has it.
    pub reason: Option<String>,
    /// What happened.
    pub cause: String,
    /// What would let it pass; of one that passes, what should be seen to all the same.
    pub fix: Option<String>,
    /// The frames that leave.
    pub outputs: Vec<ExplainedOutput>,
    /// Who gets no copy.
    pub missed: Vec<ExplainedMiss>,
    /// What has to be kept in mind.
    pub notes: Vec<String>,
}

impl From<&Explanation> for Explained {
    fn from(told: &Explanation) -> Self {
        Self {
            frame: told.frame.clone(),
            inner: told.inner.clone(),
            interface: told.interface.clone(),
            assumed: None,
            hook: told.hook.name().to_owned(),
            steps: told.steps.iter().map(step).collect(),
            verdict: told.outcome.name().to_owned(),
            reason: told.reason.map(|reason| reason.name().to_owned()),
            cause: told.cause.clone(),
            fix: told.fix.clone(),
            outputs: told.outputs.iter().map(output).collect(),
            missed: told.missed.iter().map(missed).collect(),
            notes: told.notes.clone(),
        }
    }
}

fn step(step: &Step) -> ExplainedStep {
    let Step { stage, asked, found, is_end } = step.clone();
    ExplainedStep { stage: stage.name().to_owned(), asked, found, end: is_end }
}

fn output(output: &Output) -> ExplainedOutput {
    ExplainedOutput {
        interface: output.interface.clone(),
        peer: output.peer.clone(),
        summary: output.line.clone(),
        inner: output.inner.clone(),
        frame: hex(&output.bytes),
    }
}

fn missed(missed: &Missed) -> ExplainedMiss {
    ExplainedMiss {
        to: missed.to.clone(),
        reason: missed.reason.name().to_owned(),
        cause: missed.advice.cause.clone(),
        fix: missed.advice.fix.clone(),
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes from hexadecimal digits, between which spaces, colons, dashes and dots may stand.
///
/// # Errors
///
/// What is wrong with them, in a sentence.
pub fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let between = |c: &char| !c.is_whitespace() && !matches!(c, ':' | '-' | '.');
    let mut digits = Vec::with_capacity(text.len());
    for c in text.trim().trim_start_matches("0x").chars().filter(between) {
        let digit = c.to_digit(16);
        digits.push(digit.ok_or_else(|| format!("{c:?} is no hexadecimal digit"))? as u8);
    }
    if digits.len() % 2 != 0 {
        return Err(format!("{} hexadecimal digits are no whole bytes", digits.len()));
    }
    if digits.is_empty() {
        return Err("the frame is empty; an Ethernet header has 14 bytes".to_owned());
    }
    Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

impl TryFrom<Simulate> for SimulatedFrame {
    type Error = Problem;

    fn try_from(order: Simulate) -> Result<Self, Problem> {
        let wrong = |detail: String| Problem::new(Kind::Request, detail);
        let bytes = unhex(&order.frame).map_err(|why| wrong(format!("frame: {why}")))?;
        let len = order.length.unwrap_or(0).max(bytes.len() as u32);
        if len > LONGEST {
            let why = format!("a frame of {len} bytes; the longest that a hook sees has {LONGEST}");
            return Err(Problem::new(Kind::TooLong, why));
        }
        let hook = match order.hook.as_deref() {
            None => None,
            Some("xdp" | "xdp-generic") => Some(Hook::Xdp),
            Some("tc") => Some(Hook::Tc),
            Some("user") => Some(Hook::User),
            Some(other) => {
                return Err(wrong(format!(
                    "there is no hook {other:?}; there are xdp, tc and user"
                )));
            }
        };
        Ok(Self { bytes, len, interface: order.interface, hook })
    }
}

/// The resources.
pub fn router() -> OpenApiRouter<Requests> {
    OpenApiRouter::new().routes(routes!(simulate))
}

/// Runs a frame through the path over the tables as they are, which changes nothing, and says
/// what each stage would do.
#[utoipa::path(
    post,
    path = "/v1/trace/simulate",
    tag = "trace",
    request_body = Simulate,
    responses(
        (status = 200, description = "What would become of the frame", body = Explained),
        (status = "default", description = "Whatever goes wrong", body = Problem,
         content_type = "application/problem+json")
    )
)]
async fn simulate(
    State(requests): State<Requests>,
    JsonBody(order): JsonBody<Simulate>,
) -> Result<Json<Explained>, Problem> {
    let frame = order.try_into()?;
    let (reply, answer) = oneshot::channel();
    put(&requests, Request::Simulate { frame, reply }).await?;
    awaited(answer).await?.map(Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_however_people_write_it() {
        for text in
            ["0200ff", "02 00 ff", "02:00:FF", "0x0200ff", "02-00-ff", "0200.ff", " 02\n00ff "]
        {
            assert_eq!(unhex(text), Ok(vec![2, 0, 255]), "{text}");
        }
        assert_eq!(unhex(&hex(&[0, 16, 255])), Ok(vec![0, 16, 255]));
        for (text, why) in [("020", "whole bytes"), ("0g", "'g'"), ("", "empty")] {
            assert!(unhex(text).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn orders_are_checked() {
        let order = |hook: &str| Simulate {
            frame: "00".repeat(14),
            hook: Some(hook.to_owned()),
            ..Simulate::default()
        };
        assert_eq!(SimulatedFrame::try_from(order("xdp-generic")).unwrap().hook, Some(Hook::Xdp));
        let refused = SimulatedFrame::try_from(order("hardware")).unwrap_err();
        assert!(refused.detail.contains("there are xdp, tc and user"), "{refused:?}");
        let long = Simulate { length: Some(LONGEST + 1), ..order("tc") };
        assert_eq!(SimulatedFrame::try_from(long).unwrap_err().status, 413);
        let longer =
            SimulatedFrame::try_from(Simulate { length: Some(60), ..order("tc") }).unwrap();
        assert_eq!((longer.bytes.len(), longer.len), (14, 60));
    }
}
