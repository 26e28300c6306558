// The server's API as the page needs it: which models there are, and one chat answer as a stream.
//
// Every trouble is an ApiError whose message can be shown as it is. Addresses are relative to the
// page, so it also works behind a proxy that puts it under a path.

export class ApiError extends Error {
  // kind: "http" (the server refused), "stream" (it broke off with an error), "network" (it went
  // away), "protocol" (it said something that is not the API).
  constructor(kind, message, details = {}) {
    super(message);
    this.name = "ApiError";
    this.kind = kind;
    this.status = details.status ?? null;
    this.type = details.type ?? null;
    this.param = details.param ?? null;
  }
}

// [{id, max_model_len}] as GET /v1/models tells.
export async function listModels(key) {
  const response = await request("v1/models", { headers: headersFor(key) });
  const body = await bodyOf(response);
  if (!response.ok) throw refusal(response, body);
  if (!Array.isArray(body?.data)) {
    throw new ApiError("protocol", "The model list is not understood.");
  }
  return body.data.filter((model) => typeof model?.id === "string");
}

// Yields {text, tokens, finish, usage} for each event of the answer; fields that an event lacks are
// null. `tokens` is the running count of generated tokens where the server tells it. Ends when the
// answer is complete; throws ApiError otherwise, or the signal's AbortError.
export async function* streamChat(body, { key, signal }) {
  const response = await request("v1/chat/completions", {
    method: "POST",
    headers: { ...headersFor(key), "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok) throw refusal(response, await bodyOf(response));
  let complete = false;
  for await (const data of serverEvents(response, signal)) {
    if (data === "[DONE]") return;
    const event = parse(data);
    if (event.error) {
      const { message, type, param } = errorParts(event.error);
      throw new ApiError("stream", message, { type, param });
    }
    const choice = event.choices?.[0] ?? null;
    if (choice?.finish_reason) complete = true;
    yield {
      text: choice?.delta?.content ?? null,
      finish: choice?.finish_reason ?? null,
      tokens: event.usage?.completion_tokens ?? null,
      usage: event.usage ?? null,
    };
  }
  if (!complete) throw lost();
}

function headersFor(key) {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

const lost = () =>
  new ApiError("network", "The connection was lost before the answer was complete.");

async function request(address, options) {
  try {
    return await fetch(address, { cache: "no-store", ...options });
  } catch (trouble) {
    if (trouble?.name === "AbortError") throw trouble;
    if (trouble instanceof TypeError && /header/i.test(trouble.message)) {
      throw new ApiError("protocol", "The API key holds characters that cannot be sent.");
    }
    throw new ApiError("network", "The server cannot be reached.");
  }
}

async function bodyOf(response) {
  try {
    return JSON.parse(await response.text());
  } catch {
    return null;
  }
}

function refusal(response, body) {
  const parts = errorParts(body?.error ?? body?.message ?? null);
  let message = parts.message;
  if (response.status === 401) {
    message = "The server asks for an API key, or does not accept the one in the settings.";
  } else if (!message) {
    message = `The server answered ${response.status} ${response.statusText}`.trim() + ".";
  }
  const wait = response.headers.get("Retry-After");
  if (wait && /^\d+$/.test(wait)) message += ` Try again in ${wait} s.`;
  const { type, param } = parts;
  return new ApiError("http", message, { status: response.status, type, param });
}

function errorParts(error) {
  if (typeof error === "string") return { message: error, type: null, param: null };
  const text = (value) => (typeof value === "string" && value ? value : null);
  const [message, type, param] = [error?.message, error?.type, error?.param].map(text);
  return { message: message ?? "", type, param };
}

function parse(data) {
  try {
    const event = JSON.parse(data);
    if (event && typeof event === "object") return event;
  } catch {
    // Said below.
  }
  throw new ApiError("protocol",
    `The server sent an event that is not understood: ${data.slice(0, 80)}`);
}

// The data of each server-sent event (WHATWG HTML, 9.2.6). Letting go of the iterator cancels the
// download.
async function* serverEvents(response, signal) {
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let data = [];
  try {
    for (;;) {
      const { done, value } = await read(reader, signal);
      rest += done ? decoder.decode() + "\n\n" : decoder.decode(value, { stream: true });
      // A carriage return at the very end may be half of a line end: it waits for what follows.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data:")) {
          data.push(line.slice(line[5] === " " ? 6 : 5));
        } else if (!line && data.length) {
          yield data.join("\n");
          data = [];
        }
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function read(reader, signal) {
  try {
    return await reader.read();
  } catch {
    if (signal?.aborted) throw new DOMException("stopped", "AbortError");
    throw lost();
  }
}
