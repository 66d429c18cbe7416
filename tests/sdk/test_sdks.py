"""The official Python SDKs, unmodified but for the base URL, through the proxy."""

import json
import os
import time
import unittest
import urllib.request

import anthropic
import openai

PROXY = os.environ["SDK_PROXY"]
DASHBOARD = os.environ["SDK_DASHBOARD"]
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}


def openai_client(key="sk-sandbox-key_search", team="search"):
    return openai.OpenAI(base_url=f"{PROXY}/@{team}/openai/v1", api_key=key, max_retries=0)


def anthropic_client(key="sk-ant-sandbox-apikey_assistant"):
    return anthropic.Anthropic(base_url=f"{PROXY}/anthropic", api_key=key, max_retries=0)


def record(request_id, seconds=15):
    """What the books say of a request, once it is posted and settled."""
    deadline = time.monotonic() + seconds
    last = None
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{DASHBOARD}/requests/{request_id}.json") as answer:
                last = json.load(answer)
            if last["attempts"] and all(a["usage"]["source"] for a in last["attempts"]):
                return last
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
        time.sleep(0.1)
    raise AssertionError(f"request {request_id} is not settled in the books: {last}")


class OpenAi(unittest.TestCase):
    def test_chat_is_answered_and_its_usage_stands_in_the_books(self):
        raw = openai_client().chat.completions.with_raw_response.create(
            model="gpt-5.4-mini", messages=[{"role": "user", "content": "tell me about the market"}]
        )
        completion = raw.parse()
        self.assertTrue(completion.choices[0].message.content)
        attempt = record(raw.headers["x-counterfoil-request-id"])["attempts"][0]
        reported = attempt["usage"]["reported"]
        self.assertEqual(reported["input"], completion.usage.prompt_tokens)
        self.assertEqual(reported["output"], completion.usage.completion_tokens)
        self.assertEqual(attempt["model_served"], completion.model)
        self.assertIsInstance(attempt["total"], str)

    def test_a_stream_shows_no_usage_to_a_client_that_did_not_ask(self):
        raw = openai_client().chat.completions.with_raw_response.create(
            model="gpt-5.4-mini", stream=True,
            messages=[{"role": "user", "content": "sandbox: words 30"}],
        )
        text, chunks = "", 0
        for chunk in raw.parse():
            self.assertIsNone(chunk.usage)
            self.assertNotIn("usage", chunk.model_fields_set)
            self.assertTrue(chunk.choices)
            text += chunk.choices[0].delta.content or ""
            chunks += 1
        self.assertEqual(len(text.split()), 30)
        self.assertGreater(chunks, 3)
        attempt = record(raw.headers["x-counterfoil-request-id"])["attempts"][0]
        self.assertEqual(attempt["usage"]["reported"]["output"], 30)

    def test_a_stream_shows_usage_to_a_client_that_asked(self):
        stream = openai_client().chat.completions.create(
            model="gpt-5.4-mini", stream=True, stream_options={"include_usage": True},
            messages=[{"role": "user", "content": "sandbox: words 9"}],
        )
        last = list(stream)[-1]
        self.assertEqual(last.choices, [])
        self.assertEqual(last.usage.completion_tokens, 9)

    def test_tools_are_called(self):
        completion = openai_client().chat.completions.create(
            model="gpt-5.4-mini", messages=[{"role": "user", "content": "weather please"}],
            tools=[{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}],
        )
        call = completion.choices[0].message.tool_calls[0]
        self.assertEqual(call.function.name, "weather")
        self.assertIn("city", json.loads(call.function.arguments))

    def test_embeddings(self):
        answer = openai_client("sk-sandbox-key_index").embeddings.create(
            model="text-embedding-3-small", input=["the first", "the other"]
        )
        self.assertEqual([item.index for item in answer.data], [0, 1])
        self.assertEqual(len(answer.data[0].embedding), 16)

    def test_responses_plain_and_streamed(self):
        client = openai_client()
        answer = client.responses.create(model="gpt-5.4-mini", input="sandbox: words 12")
        self.assertEqual(len(answer.output_text.split()), 12)
        with client.responses.stream(model="gpt-5.4-mini", input="sandbox: words 20") as stream:
            events = [event.type for event in stream]
            final = stream.get_final_response()
        self.assertEqual(events[-1], "response.completed")
        self.assertEqual(final.usage.output_tokens, 20)

    def test_errors_keep_their_type(self):
        with self.assertRaises(openai.AuthenticationError):
            openai_client("sk-unknown").chat.completions.create(
                model="gpt-5.4-mini", messages=[{"role": "user", "content": "hello"}]
            )
        with self.assertRaises(openai.NotFoundError):
            openai_client().chat.completions.create(
                model="gpt-nine", messages=[{"role": "user", "content": "hello"}]
            )
        with self.assertRaises(openai.RateLimitError) as caught:
            openai_client().chat.completions.create(
                model="gpt-5.4-mini", messages=[{"role": "user", "content": "sandbox: status 429"}]
            )
        self.assertEqual(caught.exception.response.headers["retry-after"], "1")

    def test_a_doubled_version_in_the_path_is_answered_with_a_hint(self):
        client = openai.OpenAI(
            base_url=f"{PROXY}/openai/v1/v1", api_key="sk-sandbox-key_search", max_retries=0
        )
        with self.assertRaises(openai.APIStatusError) as caught:
            client.models.list()
        self.assertIn("/v1", str(caught.exception))

    def test_a_hang_up_in_mid_stream_is_settled_as_uncertain(self):
        raw = openai_client().chat.completions.with_raw_response.create(
            model="gpt-5.4-mini", stream=True,
            messages=[{"role": "user", "content": "sandbox: words 4000"}],
        )
        stream = raw.parse()
        for _, _chunk in zip(range(3), stream):
            pass
        stream.response.close()
        attempt = record(raw.headers["x-counterfoil-request-id"])["attempts"][0]
        self.assertEqual(attempt["billing_class"], "uncertain")
        self.assertNotEqual(attempt["usage"]["source"], "reported")

    def test_the_asynchronous_client_streams_too(self):
        import asyncio

        async def words():
            client = openai.AsyncOpenAI(
                base_url=f"{PROXY}/openai/v1", api_key="sk-sandbox-key_search", max_retries=0
            )
            stream = await client.chat.completions.create(
                model="gpt-5.4-mini", stream=True,
                messages=[{"role": "user", "content": "sandbox: words 25"}],
            )
            text = ""
            async for chunk in stream:
                text += chunk.choices[0].delta.content or ""
            await client.close()
            return len(text.split())

        self.assertEqual(asyncio.run(words()), 25)


class Anthropic(unittest.TestCase):
    def test_a_message_is_answered_and_its_usage_stands_in_the_books(self):
        raw = anthropic_client().messages.with_raw_response.create(
            model="claude-sonnet-5", max_tokens=100,
            messages=[{"role": "user", "content": "tell me about the market"}],
        )
        message = raw.parse()
        self.assertTrue(message.content[0].text)
        attempt = record(raw.headers["x-counterfoil-request-id"])["attempts"][0]
        self.assertEqual(attempt["usage"]["reported"]["input"], message.usage.input_tokens)
        self.assertEqual(attempt["usage"]["reported"]["output"], message.usage.output_tokens)

    def test_a_stream_accumulates_to_a_message(self):
        with anthropic_client().messages.stream(
            model="claude-haiku-4-5", max_tokens=100,
            messages=[{"role": "user", "content": "sandbox: words 33"}],
        ) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        self.assertEqual(len(text.split()), 33)
        # The sandbox counts eleven tokens for ten words of this model.
        self.assertEqual(final.usage.output_tokens, 36)

    def test_tools_are_called(self):
        message = anthropic_client().messages.create(
            model="claude-sonnet-5", max_tokens=100,
            tools=[{"name": "weather", "description": "the weather", "input_schema": WEATHER}],
            messages=[{"role": "user", "content": "weather please"}],
        )
        self.assertEqual(message.stop_reason, "tool_use")
        self.assertEqual(message.content[0].name, "weather")

    def test_count_tokens_passes_through(self):
        counted = anthropic_client().messages.count_tokens(
            model="claude-sonnet-5", messages=[{"role": "user", "content": "one two three"}]
        )
        self.assertGreater(counted.input_tokens, 0)

    def test_cached_instructions_land_in_their_own_meters(self):
        instructions = "the " * 1500
        attempts = []
        for _ in range(2):
            raw = anthropic_client().messages.with_raw_response.create(
                model="claude-sonnet-5", max_tokens=50,
                system=[{"type": "text", "text": instructions,
                         "cache_control": {"type": "ephemeral"}}],
                messages=[{"role": "user", "content": "hello"}],
            )
            attempts.append(record(raw.headers["x-counterfoil-request-id"])["attempts"][0])
        self.assertEqual(attempts[0]["usage"]["reported"]["input.cache_write.5m"], 2025)
        self.assertEqual(attempts[1]["usage"]["reported"]["input.cache_read"], 2025)

    def test_errors_keep_their_type(self):
        with self.assertRaises(anthropic.AuthenticationError):
            anthropic_client("sk-unknown").messages.create(
                model="claude-sonnet-5", max_tokens=10,
                messages=[{"role": "user", "content": "hello"}],
            )
        with self.assertRaises(anthropic.RateLimitError):
            anthropic_client().messages.create(
                model="claude-sonnet-5", max_tokens=10,
                messages=[{"role": "user", "content": "sandbox: status 429"}],
            )

    def test_a_hang_up_in_mid_stream_is_settled_as_uncertain(self):
        raw = anthropic_client().messages.with_raw_response.create(
            model="claude-sonnet-5", max_tokens=4000, stream=True,
            messages=[{"role": "user", "content": "sandbox: words 3000"}],
        )
        stream = raw.parse()
        for _, _event in zip(range(4), stream):
            pass
        stream.close()
        attempt = record(raw.headers["x-counterfoil-request-id"])["attempts"][0]
        self.assertEqual(attempt["billing_class"], "uncertain")
        self.assertGreater(attempt["usage"]["reported"]["input"], 0)


if __name__ == "__main__":
    unittest.main()
