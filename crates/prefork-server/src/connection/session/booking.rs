//! Which request is over, and how: in the worker's slot of the scoreboard, and for the access log.

use proto::{Code, Verb};

use super::{Finished, Outcome, Session};
use crate::shared::scoreboard::Field;

#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Ok(Verb, u64),
    Error(Code),
}

impl Session<'_> {
    /// Books the open request's answer before its last bytes go out: were it booked after, a worker killed in
    /// between would leave a client with an answer that the ledger does not know. If they cannot be sent after
    /// all, [`Session::cut`] takes it back.
    pub(super) fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Ok(verb, bytes) => {
                self.slot.add(Field::OkBytes(verb), bytes);
                self.slot.add(Field::Ok(verb), 1);
            }
            Answer::Error(code) => self.slot.add(Field::Error(code), 1),
        }
        self.answered = Some(answer);
    }

    pub(super) fn take_answer_back(&mut self) {
        match self.answered.take() {
            Some(Answer::Ok(verb, bytes)) => {
                self.slot.take_back(Field::Ok(verb), 1);
                self.slot.take_back(Field::OkBytes(verb), bytes);
            }
            Some(Answer::Error(code)) => self.slot.take_back(Field::Error(code), 1),
            None => {}
        }
    }

    /// All output is sent: if it ended with an answer, the request is over. Says whether it is.
    pub(super) fn answer_is_sent(&mut self) -> bool {
        match self.answered.take() {
            Some(Answer::Ok(verb, bytes)) => {
                self.slot.add(Field::SentBytes(verb), bytes);
                self.slot.add(Field::Sent(verb), 1);
                tracing::debug!(verb = verb.as_str(), bytes, "request served");
                self.finish(bytes, Outcome::Ok);
            }
            Some(Answer::Error(code)) => {
                self.slot.add(Field::SentError(code), 1);
                tracing::debug!(code = code.as_str(), "request refused");
                self.finish(0, Outcome::Error(code));
            }
            None => return false,
        }
        self.request_open = false;
        true
    }

    /// The open request is over: the access log, if there is one, is told.
    pub(super) fn finish(&mut self, bytes: u64, outcome: Outcome) {
        if let Some(finished) = &mut self.finished {
            finished.push(Finished {
                verb: self.verb,
                name: self.name.take(),
                bytes,
                outcome,
            });
        }
    }
}
