//! The visible text of an answer, collected within bounds for our own count.

use std::borrow::Cow;

use crate::dialect::members::{Elements, Members, member, string_text, whole_number};

/// Text beyond this is not kept; the count then says it is of a part.
pub(crate) const LARGEST_TEXT: usize = 1024 * 1024;

/// An answer with more pieces than this is none a model gave.
const MOST_PIECES: usize = 4_096;

/// What a piece of output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutputKind {
    /// What the model answered.
    Content,
    /// A refusal in place of content.
    Refusal,
    /// The name of a tool it calls.
    ToolName,
    /// The arguments of a call.
    ToolArguments,
    /// Its reasoning, as far as it is shown; a summary counts other than what was billed.
    Reasoning,
}

/// Text of one kind in one place of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputPiece {
    /// What it is.
    pub kind: OutputKind,
    /// Which of several answers (`n`).
    pub choice: u64,
    /// Which content block, output item or tool call inside it.
    pub part: u64,
    /// The text.
    pub text: String,
}

/// Everything visible an answer said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputText {
    /// The pieces, in the order they began.
    pub pieces: Vec<OutputPiece>,
    /// Whether text was left out for its size.
    pub truncated: bool,
    limit: usize,
    kept: usize,
}

impl Default for OutputText {
    fn default() -> Self {
        Self::new(LARGEST_TEXT)
    }
}

impl OutputText {
    /// A collection of at most `limit` bytes; zero keeps nothing.
    pub(crate) const fn new(limit: usize) -> Self {
        Self { pieces: Vec::new(), truncated: false, limit, kept: 0 }
    }

    /// How many bytes are kept.
    pub(crate) const fn bytes(&self) -> usize {
        self.kept
    }

    /// Adds a JSON string's text to the piece of this kind and place.
    pub(crate) fn push_json(
        &mut self,
        kind: OutputKind,
        choice: u64,
        part: u64,
        value: Option<&[u8]>,
    ) {
        if self.limit > 0
            && let Some(text) = value.and_then(string_text)
        {
            self.push(kind, choice, part, &text);
        }
    }

    /// Adds text to the piece of this kind and place.
    pub(crate) fn push(&mut self, kind: OutputKind, choice: u64, part: u64, text: &str) {
        if text.is_empty() || self.limit == 0 {
            return;
        }
        let mut room = self.limit.saturating_sub(self.kept).min(text.len());
        if room < text.len() {
            self.truncated = true;
            while !text.is_char_boundary(room) {
                room -= 1;
            }
        }
        let text = text.get(..room).unwrap_or_default();
        if text.is_empty() {
            return;
        }
        let same = |piece: &&mut OutputPiece| {
            piece.kind == kind && piece.choice == choice && piece.part == part
        };
        let full = self.pieces.len() >= MOST_PIECES;
        // The piece that grows is nearly always the last.
        match self.pieces.iter_mut().rev().find(same) {
            Some(piece) => piece.text.push_str(text),
            None if full => {
                self.truncated = true;
                return;
            }
            None => self.pieces.push(OutputPiece { kind, choice, part, text: text.to_owned() }),
        }
        self.kept += text.len();
    }

    /// Takes an OpenAI message or delta: content, refusal, tool calls, reasoning.
    pub(crate) fn take_openai_message(&mut self, choice: u64, message: &[u8]) {
        for found in Members::of(message).into_iter().flatten().map_while(Result::ok) {
            let kind = match &*found.key {
                "content" => OutputKind::Content,
                "refusal" => OutputKind::Refusal,
                "reasoning_content" | "reasoning" => OutputKind::Reasoning,
                "function_call" => {
                    self.take_function(choice, 0, found.value);
                    continue;
                }
                "tool_calls" => {
                    self.take_tool_calls(choice, found.value);
                    continue;
                }
                _ => continue,
            };
            self.push_json(kind, choice, 0, Some(found.value));
        }
    }

    /// Takes the output items of an OpenAI response.
    pub(crate) fn take_openai_output(&mut self, output: &[u8]) {
        let items = Elements::of(output).into_iter().flatten().map_while(Result::ok);
        for (part, item) in (0..).zip(items) {
            match kind_of(item).as_ref() {
                "message" => self.take_blocks(part, member(item, "content")),
                "reasoning" => self.take_blocks(part, member(item, "summary")),
                "function_call" => self.take_function(0, part, item),
                "custom_tool_call" => {
                    self.push_json(OutputKind::ToolName, 0, part, member(item, "name"));
                    self.push_json(OutputKind::ToolArguments, 0, part, member(item, "input"));
                }
                _ => {}
            }
        }
    }

    /// Takes the content blocks of an Anthropic message.
    pub(crate) fn take_anthropic_content(&mut self, content: &[u8]) {
        let blocks = Elements::of(content).into_iter().flatten().map_while(Result::ok);
        for (part, block) in (0..).zip(blocks) {
            self.take_anthropic_block(part, block);
        }
    }

    /// Takes one content block, whole or as it begins in a stream.
    pub(crate) fn take_anthropic_block(&mut self, part: u64, block: &[u8]) {
        match kind_of(block).as_ref() {
            "text" => self.push_json(OutputKind::Content, 0, part, member(block, "text")),
            "thinking" => self.push_json(OutputKind::Reasoning, 0, part, member(block, "thinking")),
            "tool_use" | "server_tool_use" | "mcp_tool_use" => {
                self.push_json(OutputKind::ToolName, 0, part, member(block, "name"));
                // A stream's block begins with an empty input and adds its JSON piece by piece.
                if let Some(input) = member(block, "input").filter(|input| *input != b"{}") {
                    let text = String::from_utf8_lossy(input);
                    self.push(OutputKind::ToolArguments, 0, part, &text);
                }
            }
            _ => {}
        }
    }

    fn take_tool_calls(&mut self, choice: u64, calls: &[u8]) {
        let calls = Elements::of(calls).into_iter().flatten().map_while(Result::ok);
        for (position, call) in (0..).zip(calls) {
            let part = member(call, "index").and_then(whole_number).unwrap_or(position);
            if let Some(function) = member(call, "function") {
                self.take_function(choice, part, function);
            }
        }
    }

    fn take_function(&mut self, choice: u64, part: u64, function: &[u8]) {
        self.push_json(OutputKind::ToolName, choice, part, member(function, "name"));
        self.push_json(OutputKind::ToolArguments, choice, part, member(function, "arguments"));
    }

    fn take_blocks(&mut self, part: u64, blocks: Option<&[u8]>) {
        let blocks = blocks.and_then(|blocks| Elements::of(blocks).ok());
        for block in blocks.into_iter().flatten().map_while(Result::ok) {
            let (kind, key) = match kind_of(block).as_ref() {
                "output_text" => (OutputKind::Content, "text"),
                "refusal" => (OutputKind::Refusal, "refusal"),
                "summary_text" => (OutputKind::Reasoning, "text"),
                _ => continue,
            };
            self.push_json(kind, 0, part, member(block, key));
        }
    }
}

fn kind_of(object: &[u8]) -> Cow<'_, str> {
    member(object, "type").and_then(string_text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_beyond_the_bound_is_left_out_at_a_character_and_said_so() {
        let mut text = OutputText::new(5);
        text.push(OutputKind::Content, 0, 0, "abcé🦀");
        assert_eq!((text.pieces[0].text.as_str(), text.truncated), ("abcé", true));
        text.push(OutputKind::Content, 1, 0, "x");
        assert_eq!(text.pieces.len(), 1);
    }

    #[test]
    fn pieces_grow_in_their_own_place() {
        let mut text = OutputText::default();
        text.take_openai_message(
            0,
            br#"{"content":"a","tool_calls":[{"index":1,
            "function":{"name":"f","arguments":"{"}}]}"#,
        );
        text.take_openai_message(1, br#"{"content":"b","refusal":null}"#);
        text.take_openai_message(
            0,
            br#"{"content":"\u00e9","tool_calls":[{"index":1,
            "function":{"arguments":"}"}}]}"#,
        );
        let read: Vec<_> =
            text.pieces.iter().map(|p| (p.kind, p.choice, p.part, p.text.as_str())).collect();
        assert_eq!(
            read,
            [
                (OutputKind::Content, 0, 0, "aé"),
                (OutputKind::ToolName, 0, 1, "f"),
                (OutputKind::ToolArguments, 0, 1, "{}"),
                (OutputKind::Content, 1, 0, "b"),
            ]
        );
    }
}
