//! What becomes of frames, in words: each reason with the names and values that decided.

mod gateway;
mod reasons;
mod said;
mod ways;
