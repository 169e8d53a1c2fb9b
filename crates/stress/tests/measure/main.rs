//! Cells measured by the real program, and single operations against servers that misbehave by script.

mod cells;
mod dialects;
mod disturbance;
mod elsewhere;
mod faults;
mod foreign;
mod resume;
mod script;
mod support;
mod trial;
mod violence;
