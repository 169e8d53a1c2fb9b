//! The real program: rows measured, single operations against servers that misbehave by script, runs and what is made
//! of them, soaks.

mod baseline;
mod bounds;
mod class;
mod commands;
mod dialects;
mod disturbance;
mod elsewhere;
mod faults;
mod foreign;
mod older;
mod report;
mod resume;
mod rows;
mod run;
mod script;
mod soak;
mod streams;
mod subjects;
mod support;
mod timeline;
mod trial;
mod violence;
