//! The count of one attempt: memo, exact up to a cap, sampled beyond it.

use std::collections::BTreeSet;
use std::hash::RandomState;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::answer_frame;
use super::body::Json;
use super::counted::{CountMethod, CountedTokens, NotCounted};
use super::memo::Memo;
use super::model_tokens::{self, ModelTokens};
use super::prompt;
use super::prompt::parts::{self, Prompt};
use super::sample;
use super::text::OutputText;
use super::tokenizer::{self, Encoding, TokenizeError};
use crate::names::Endpoint;

/// What passed by in one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Passed<'a> {
    /// The kind of call.
    pub endpoint: Endpoint,
    /// The model, as spelled by whoever knows it best.
    pub model: &'a str,
    /// The encoding the configuration names for this deployment.
    pub configured: Option<Encoding>,
    /// The request body as the provider got it.
    pub request: &'a [u8],
    /// What was answered; none where no answer came.
    pub answer: Option<&'a OutputText>,
}

/// How much work a count may be.
#[derive(Clone, Copy, Debug)]
pub struct CountLimits {
    /// Text up to this long is counted wholly, longer text is sampled. For each side.
    pub exact_bytes: usize,
    /// After this long a side is not counted on but sampled, unless it is so short that sampling
    /// it is no less work.
    pub patience: Duration,
}

impl Default for CountLimits {
    /// One mebibyte, and a second by the clock: threads of low priority may have to wait.
    fn default() -> Self {
        Self { exact_bytes: 1024 * 1024, patience: Duration::from_secs(1) }
    }
}

/// Counts attempts; shared by all counting threads.
#[derive(Debug, Default)]
pub struct Counter {
    limits: CountLimits,
    memo: Memo,
    places: RandomState,
    draws: AtomicU64,
}

/// Tokens of one side, and how they were found.
type Side = (u64, CountMethod);

impl Counter {
    /// A counter that keeps to these limits.
    pub fn new(limits: CountLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Counts what passed by in an attempt. `go_on` is asked between spans of text; once it says no
    /// the sides not yet counted stay unknown.
    pub fn count(&self, passed: &Passed<'_>, go_on: &dyn Fn() -> bool) -> CountedTokens {
        if !prompt::has_text(passed.endpoint) {
            return CountedTokens::not_counted(NotCounted::NoTextEndpoint);
        }
        let model = model_tokens::resolve(passed.model, passed.configured);
        let mut counted = CountedTokens {
            input: None,
            output: None,
            method: CountMethod::None,
            encoding: Some(model.encoding),
            basis: Some(model.basis),
            estimated_parts: BTreeSet::new(),
            not_counted: None,
        };
        match self.count_input(passed, &model, go_on, &mut counted) {
            Ok((tokens, method)) => {
                counted.input = Some(tokens);
                counted.method = method;
            }
            Err(reason) => blame(&mut counted, reason),
        }
        match passed.answer.map(|answer| self.count_answer(passed.endpoint, answer, &model, go_on))
        {
            None => {}
            Some(Ok((tokens, method))) => {
                counted.output = Some(tokens);
                counted.method = counted.method.max(method);
            }
            Some(Err(reason)) => blame(&mut counted, reason),
        }
        counted
    }

    fn count_input(
        &self,
        passed: &Passed<'_>,
        model: &ModelTokens,
        go_on: &dyn Fn() -> bool,
        counted: &mut CountedTokens,
    ) -> Result<Side, NotCounted> {
        let body = Json::read(passed.request).map_err(|_| NotCounted::UnreadableRequest)?;
        let prompt = prompt::read(passed.endpoint, &body, model)
            .map_err(|_| NotCounted::UnreadableRequest)?;
        counted.estimated_parts.clone_from(&prompt.estimated);
        self.count_prompt(&prompt, model.encoding, go_on)
    }

    fn count_answer(
        &self,
        endpoint: Endpoint,
        answer: &OutputText,
        model: &ModelTokens,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Side, NotCounted> {
        if answer.truncated {
            return Err(NotCounted::AnswerNotKept);
        }
        let texts = answer_frame::texts(answer);
        let (tokens, method) = self.count_texts(model.encoding, &texts, go_on)?;
        Ok((tokens + answer_frame::tokens(endpoint, model.framing, answer), method))
    }

    fn count_prompt(
        &self,
        prompt: &Prompt<'_>,
        encoding: Encoding,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Side, NotCounted> {
        let (mut tokens, mut method) = self.count_texts(encoding, &prompt.texts, go_on)?;
        if let Some(schema) = &prompt.schema {
            let (compact, of_schema) =
                self.count_texts(encoding, std::slice::from_ref(schema), go_on)?;
            tokens += parts::schema_tokens(compact);
            method = method.max(of_schema);
        }
        Ok((tokens.saturating_add_signed(prompt.fixed), method))
    }

    fn count_texts<T: AsRef<str>>(
        &self,
        encoding: Encoding,
        texts: &[T],
        go_on: &dyn Fn() -> bool,
    ) -> Result<Side, NotCounted> {
        let refused = |_: TokenizeError| NotCounted::TokenizerRefused;
        let bytes: usize = texts.iter().map(|text| text.as_ref().len()).sum();
        if bytes <= self.limits.exact_bytes {
            encoding.load();
            let start = Instant::now();
            let is_short = bytes <= sample::SAMPLED_BYTES;
            let patient = || go_on() && (is_short || start.elapsed() < self.limits.patience);
            match self.count_wholly(encoding, texts, patient) {
                Ok(side) => return Ok(side),
                Err(TokenizeError::Stopped) if !go_on() => return Err(NotCounted::ShuttingDown),
                Err(TokenizeError::Stopped) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        let draw = self.draws.fetch_add(1, Ordering::Relaxed);
        let tokens = sample::estimate(encoding, texts, &self.places, draw).map_err(refused)?;
        Ok((tokens, CountMethod::Sampled))
    }

    fn count_wholly<T: AsRef<str>>(
        &self,
        encoding: Encoding,
        texts: &[T],
        go_on: impl Fn() -> bool,
    ) -> Result<Side, TokenizeError> {
        let (mut tokens, mut method) = (0, CountMethod::Exact);
        for text in texts.iter().map(AsRef::as_ref) {
            let name = self.memo.name(encoding, text);
            if let Some(known) = name.and_then(|name| self.memo.recall(name)) {
                tokens += known;
                continue;
            }
            let counted = tokenizer::count_while(encoding, text, &go_on)?;
            tokens += counted.tokens;
            if counted.forced_cut {
                method = CountMethod::ForcedCut;
            } else if let Some(name) = name {
                self.memo.remember(name, counted.tokens);
            }
        }
        Ok((tokens, method))
    }
}

/// Says that a side is missing, and why; the first reason stands.
fn blame(counted: &mut CountedTokens, reason: NotCounted) {
    counted.method = CountedTokens::not_counted(reason).method;
    counted.not_counted.get_or_insert(reason);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metering::counted::EstimatedPart;
    use crate::metering::model_tokens::CountBasis;
    use crate::metering::text::OutputKind;

    const ALWAYS: &dyn Fn() -> bool = &|| true;

    fn chat<'a>(request: &'a [u8], answer: Option<&'a OutputText>) -> Passed<'a> {
        Passed { endpoint: Endpoint::Chat, model: "gpt-4o", configured: None, request, answer }
    }

    fn said(text: &str) -> OutputText {
        let mut answer = OutputText::default();
        answer.push(OutputKind::Content, 0, 0, text);
        answer
    }

    #[test]
    fn an_answer_not_wholly_kept_is_unknown_and_its_prompt_is_counted() {
        let body = br#"{"messages":[{"role":"user","content":"hello"}]}"#;
        let mut answer = said("Hello");
        answer.truncated = true;
        let counted = Counter::default().count(&chat(body, Some(&answer)), ALWAYS);
        assert_eq!((counted.input, counted.output), (Some(8), None));
        assert_eq!(counted.method, CountMethod::SkippedSize);
        assert_eq!(counted.not_counted, Some(NotCounted::AnswerNotKept));
    }

    #[test]
    fn shown_reasoning_is_not_counted() {
        let body = br#"{"messages":[{"role":"user","content":"hello"}]}"#;
        let mut answer = said("Hello there!");
        answer.push(OutputKind::Reasoning, 0, 0, "The user greets me, so I greet back.");
        let counted = Counter::default().count(&chat(body, Some(&answer)), ALWAYS);
        assert_eq!(counted.output, Some(3));
    }

    #[test]
    fn a_plain_call_is_counted_on_both_sides() {
        let body = br#"{"model":"gpt-4o","messages":[{"role":"user","content":"hello world"}]}"#;
        let answer = said("Hello there!");
        let counted = Counter::default().count(&chat(body, Some(&answer)), ALWAYS);
        assert_eq!((counted.input, counted.output), (Some(9), Some(3)));
        assert_eq!(counted.method, CountMethod::Exact);
        assert_eq!((counted.basis, counted.estimated_parts.len()), (Some(CountBasis::ModelMap), 0));
    }

    #[test]
    fn no_answer_is_unknown_and_an_empty_answer_is_none() {
        let body = br#"{"messages":[{"role":"user","content":"hello"}]}"#;
        let counter = Counter::default();
        assert_eq!(counter.count(&chat(body, None), ALWAYS).output, None);
        assert_eq!(
            counter.count(&chat(body, Some(&OutputText::default())), ALWAYS).output,
            Some(0)
        );
    }

    #[test]
    fn a_call_we_cannot_read_still_has_its_answer_counted() {
        let answer = said("Hello there!");
        for body in [&b"not JSON"[..], b"{}", b"[1]", b"", b"{\"messages\":7}"] {
            let counted = Counter::default().count(&chat(body, Some(&answer)), ALWAYS);
            assert_eq!((counted.input, counted.output), (None, Some(3)));
            assert_eq!(counted.method, CountMethod::Failed);
            assert_eq!(counted.not_counted, Some(NotCounted::UnreadableRequest));
        }
    }

    #[test]
    fn a_call_of_a_kind_without_text_is_not_counted_and_says_so() {
        let passed = Passed { endpoint: Endpoint::Images, ..chat(b"{}", None) };
        let counted = Counter::default().count(&passed, ALWAYS);
        assert_eq!(counted, CountedTokens::not_counted(NotCounted::NoTextEndpoint));
    }

    #[test]
    fn a_call_of_a_tool_costs_more_than_its_texts() {
        let body = br#"{"messages":[{"role":"user","content":"hello"}]}"#;
        let mut answer = OutputText::default();
        answer.push(OutputKind::ToolName, 0, 0, "get");
        answer.push(OutputKind::ToolArguments, 0, 0, "{}");
        let counted = Counter::default().count(&chat(body, Some(&answer)), ALWAYS);
        assert_eq!(counted.output, Some(1 + 1 + 7));
    }

    #[test]
    fn a_text_beyond_the_cap_or_beyond_patience_is_sampled() {
        let content = "The stub stays in the book. ".repeat(12_000);
        let body = format!(r#"{{"messages":[{{"role":"user","content":"{content}"}}]}}"#);
        let exact = Counter::default().count(&chat(body.as_bytes(), None), ALWAYS).input.unwrap();
        let limits = CountLimits::default();
        for limits in [
            CountLimits { exact_bytes: 10_000, ..limits },
            CountLimits { patience: Duration::ZERO, ..limits },
        ] {
            let counted = Counter::new(limits).count(&chat(body.as_bytes(), None), ALWAYS);
            assert_eq!(counted.method, CountMethod::Sampled);
            let sampled = counted.input.unwrap();
            assert!(sampled.abs_diff(exact) * 100 <= exact * 5, "{sampled} against {exact}");
        }
    }

    #[test]
    fn a_count_told_to_stop_leaves_unknown_what_it_did_not_reach() {
        let content = "word ".repeat(30_000);
        let body = format!(r#"{{"messages":[{{"role":"user","content":"{content}"}}]}}"#);
        let counted = Counter::default().count(&chat(body.as_bytes(), None), &|| false);
        assert_eq!((counted.input, counted.not_counted), (None, Some(NotCounted::ShuttingDown)));
    }

    #[test]
    fn what_is_remembered_counts_the_same() {
        let content = "A message long enough to be remembered by its hash, and sent every turn.";
        let body = format!(r#"{{"messages":[{{"role":"user","content":"{content}"}}]}}"#);
        let counter = Counter::default();
        let first = counter.count(&chat(body.as_bytes(), None), ALWAYS);
        assert_eq!(counter.count(&chat(body.as_bytes(), None), ALWAYS), first);
    }

    #[test]
    fn a_megabyte_of_picture_is_not_text() {
        let picture = "QUJD".repeat(300_000);
        let body = format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"what?"}},
            {{"type":"image_url","image_url":{{"url":"data:image/png;base64,{picture}"}}}},
            {{"type":"file","file":{{"file_data":"{picture}"}}}},
            {{"type":"input_audio","input_audio":{{"data":"{picture}"}}}}]}}]}}"#
        );
        let counted = Counter::default().count(&chat(body.as_bytes(), None), ALWAYS);
        assert_eq!(counted.method, CountMethod::Exact);
        assert_eq!(counted.input, Some(9 + 765));
        let parts = [EstimatedPart::Image, EstimatedPart::Audio, EstimatedPart::File];
        assert_eq!(counted.estimated_parts, parts.into());
    }
}
