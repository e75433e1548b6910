//! The controller, driven over simulated time. Every action is applied to a
//! mirror of the tables that checks, after each single one, that nothing points
//! to something that is not there.

mod ageing;
mod filter_errors;
mod gateway;
mod learning;
mod limits;
mod links;
mod lists;
mod loading;
mod mirror;
mod multipath;
mod neighbours;
mod news;
mod next_hops;
mod order;
mod reload;
mod start;
mod tunnels;
mod views;
