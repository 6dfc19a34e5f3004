//! The stand-in engine: an OpenAI-compatible server in vLLM's shapes over the model in `engine`.
//!
//! It computes nothing: its answers, its token counts and its load come from the model, and every place a person sees
//! says "simulated". It exists so that a mesh on one machine, and the tests, have engines to route to.
//!
//! Tasks: `driver` owns the engine and ticks once per batch iteration for all streams together (bounded mpsc of
//! commands in; one bounded mpsc per request out); `listen` accepts and owns one task per connection, which end by
//! the cancellation token, or when the client goes. A client that goes drops its receiver, which the driver sees at
//! the next iteration.

mod answer;
mod driver;
mod faults;
mod http;
mod listen;
mod metrics;
mod reply;
mod request;
mod stream;
mod text;

pub use faults::Faults;
pub use listen::{Options, Standin, StandinError};
