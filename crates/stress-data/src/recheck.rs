//! Which rows of a run are measured again, and whether the ratios between them are what they were.
//!
//! A run made elsewhere cannot be repeated to the second: machines differ. But what a machine is faster in, it is
//! faster in for all cells, more or less: ten times the bytes take about ten times as long, wherever. So every
//! cell gets the factor by which it took longer here, the common factor is the median of those, and a cell whose
//! factor is far from the common one was not measured as the run says, or depends on something that the machines
//! do not have in common.

pub mod choice;
pub mod ratios;

#[cfg(test)]
mod tests;
