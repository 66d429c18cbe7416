// The official Node SDKs, unmodified but for the base URL, through the proxy.
import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const proxy = process.env.SDK_PROXY;
const openai = (apiKey = "sk-sandbox-key_search") =>
  new OpenAI({ baseURL: `${proxy}/openai/v1`, apiKey, maxRetries: 0 });
const anthropic = (apiKey = "sk-ant-sandbox-apikey_assistant") =>
  new Anthropic({ baseURL: `${proxy}/anthropic`, apiKey, maxRetries: 0 });
const user = (content) => [{ role: "user", content }];
const weather = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

test("openai: chat", async () => {
  const { data, response } = await openai()
    .chat.completions.create({ model: "gpt-5.4-mini", messages: user("sandbox: words 11") })
    .withResponse();
  assert.equal(data.usage.completion_tokens, 11);
  assert.match(response.headers.get("x-counterfoil-request-id"), /^[0-9a-f-]{36}$/);
  assert.equal(response.headers.get("x-counterfoil-attempts"), "1");
});

test("openai: a stream, and no usage unasked", async () => {
  const stream = await openai().chat.completions.create({
    model: "gpt-5.4-mini", stream: true, messages: user("sandbox: words 40"),
  });
  let text = "";
  for await (const chunk of stream) {
    assert.ok(!("usage" in chunk));
    text += chunk.choices[0].delta.content ?? "";
  }
  assert.equal(text.split(/\s+/).length, 40);
});

test("openai: a tool, embeddings, responses", async () => {
  const client = openai();
  const completion = await client.chat.completions.create({
    model: "gpt-5.4-mini", messages: user("weather please"),
    tools: [{ type: "function", function: { name: "weather", parameters: weather } }],
  });
  assert.equal(completion.choices[0].message.tool_calls[0].function.name, "weather");
  const vectors = await openai("sk-sandbox-key_index").embeddings.create({
    model: "text-embedding-3-small", input: "the first",
  });
  assert.equal(vectors.data[0].embedding.length, 16);
  const answer = await client.responses.create({ model: "gpt-5.4-mini", input: "sandbox: words 6" });
  assert.equal(answer.output_text.split(/\s+/).length, 6);
});

test("openai: errors keep their type, a broken stream is an error", async () => {
  await assert.rejects(
    openai("sk-unknown").chat.completions.create({ model: "gpt-5.4-mini", messages: user("hi") }),
    OpenAI.AuthenticationError,
  );
  await assert.rejects(async () => {
    const stream = await openai().chat.completions.create({
      model: "gpt-5.4-mini", stream: true, messages: user("sandbox: cut sandbox: words 60"),
    });
    for await (const _chunk of stream);
  });
});

test("openai: a hang-up in mid-stream leaves the gateway serving", async () => {
  const stream = await openai().chat.completions.create({
    model: "gpt-5.4-mini", stream: true, messages: user("sandbox: words 2000"),
  });
  for await (const _chunk of stream) break;
  stream.controller.abort();
  const after = await openai().chat.completions.create({
    model: "gpt-5.4-mini", messages: user("sandbox: words 3"),
  });
  assert.equal(after.usage.completion_tokens, 3);
});

test("anthropic: message, stream, tool, error", async () => {
  const client = anthropic();
  const message = await client.messages.create({
    model: "claude-sonnet-5", max_tokens: 60, messages: user("sandbox: words 14"),
  });
  // The sandbox counts 135 tokens for a hundred words of this model.
  assert.equal(message.usage.output_tokens, 18);
  const final = await client.messages
    .stream({ model: "claude-haiku-4-5", max_tokens: 60, messages: user("sandbox: words 21") })
    .finalMessage();
  assert.equal(final.content[0].text.split(/\s+/).length, 21);
  const called = await client.messages.create({
    model: "claude-sonnet-5", max_tokens: 60, messages: user("weather please"),
    tools: [{ name: "weather", input_schema: weather }],
  });
  assert.equal(called.stop_reason, "tool_use");
  await assert.rejects(
    anthropic("sk-unknown").messages.create({
      model: "claude-sonnet-5", max_tokens: 5, messages: user("hi"),
    }),
    Anthropic.AuthenticationError,
  );
});
