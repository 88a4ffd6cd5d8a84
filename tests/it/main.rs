//! The whole way, on the real binary.

mod acked;
mod browser;
mod command_line;
mod demo;
mod engines;
mod exporters;
mod formats;
mod leaving;
mod metrics;
mod otlp;
mod real_traces;
mod remote_sampling;
mod repair;
mod replay;
mod sampling;
mod starting;
