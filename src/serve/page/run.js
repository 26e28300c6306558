// One answer being made: sends the conversation, collects what streams back, measures it.
//
//   WAITING --first text--> STREAMING --end, stop or error--> over
//
// The run writes into its message {content, finish, error, stats} and calls `changed(run)` after
// each event and `ended(run)` exactly once. It knows nothing of what is on the screen; several
// runs, each of its own conversation, can be under way at once.
//
// Measures, in seconds from sending: `first` until the first text came (time to first token),
// `rate` the tokens after the first divided by the time they took, `total` until the last token.
// They are what a client sees, network included.

import { ApiError, streamChat } from "./api.js";
import { kNumberSettings } from "./store.js";

const kTraceBins = 48;

export class Run {
  #abort = new AbortController();
  #arrivals = []; // {at: seconds, count: tokens}
  #began = performance.now();
  #stopped = false;

  constructor(chat, message) {
    this.chat = chat;
    this.message = message;
    this.over = false;
    message.stats = { first: null, rate: null, total: null, tokens: 0, prompt: null, trace: [] };
  }

  // Ends the run as the user's wish; what has come stays.
  stop() {
    this.#stopped = true;
    this.#abort.abort();
  }

  // Seconds since the request was sent.
  elapsed() {
    return (performance.now() - this.#began) / 1000;
  }

  // Runs to the end; never throws. `listener` is {changed(run), ended(run)}.
  async go(model, key, listener) {
    const body = requestOf(this.chat, this.message, model);
    this.#began = performance.now();
    try {
      for await (const event of streamChat(body, { key, signal: this.#abort.signal })) {
        this.#take(event);
        listener.changed(this);
      }
      this.message.finish ||= "stop";
    } catch (trouble) {
      if (this.#stopped) this.message.finish = "stopped";
      else this.#fail(trouble);
    }
    this.#measure();
    this.message.stats.trace = traceOf(this.#arrivals, this.message.stats.total);
    this.over = true;
    listener.ended(this);
  }

  #take(event) {
    const stats = this.message.stats;
    if (event.text) {
      this.message.content += event.text;
      const tokens = event.tokens ?? stats.tokens + 1;
      this.#arrivals.push({ at: this.elapsed(), count: Math.max(tokens - stats.tokens, 1) });
      stats.tokens = tokens;
      this.#measure();
      stats.trace = traceOf(this.#arrivals, stats.total);
    }
    if (event.finish) this.message.finish = event.finish;
    if (event.usage) {
      stats.tokens = event.usage.completion_tokens ?? stats.tokens;
      stats.prompt = event.usage.prompt_tokens ?? stats.prompt;
    }
  }

  #measure() {
    if (!this.#arrivals.length) return;
    const stats = this.message.stats;
    const first = this.#arrivals[0];
    const last = this.#arrivals.at(-1);
    stats.first = first.at;
    stats.total = last.at;
    const rest = stats.tokens - first.count;
    stats.rate = rest > 0 && last.at > first.at ? rest / (last.at - first.at) : null;
  }

  #fail(trouble) {
    const known = trouble instanceof ApiError;
    const parts = known ? [trouble.type, trouble.param, trouble.status] : [];
    const text = known ? trouble.message : `The page failed: ${trouble?.message}`;
    this.message.finish = "error";
    this.message.error = {
      message: text || "The server broke off.",
      note: parts.filter((part) => part !== null).join(" · "),
      unauthorized: known && trouble.status === 401,
    };
    if (!known) console.error(trouble);
  }
}

// The body of POST /v1/chat/completions for the messages before `message`. A setting that is empty
// is not sent. A question that got no answer is left out with it: chat templates want the roles to
// alternate.
export function requestOf(chat, message, model) {
  const before = chat.messages.slice(0, chat.messages.indexOf(message));
  const isAnswered = (m, i) => (m.role === "assistant" ? m.content :
    before[i + 1]?.role !== "assistant" || before[i + 1].content);
  const messages = before.filter(isAnswered).map(({ role, content }) => ({ role, content }));
  const { system } = chat.settings;
  if (system.trim()) messages.unshift({ role: "system", content: system });
  const body = {
    model, messages, stream: true,
    stream_options: { include_usage: true, continuous_usage_stats: true },
  };
  for (const name of Object.keys(kNumberSettings)) {
    if (chat.settings[name] !== null) body[name] = chat.settings[name];
  }
  if (chat.settings.stop.length) body.stop = chat.settings.stop;
  return body;
}

// Tokens that arrived in each of kTraceBins equal parts of the time from sending to the last token.
function traceOf(arrivals, total) {
  const bins = new Array(kTraceBins).fill(0);
  for (const { at, count } of arrivals) {
    bins[Math.min(Math.floor((at / total) * kTraceBins), kTraceBins - 1)] += count;
  }
  return bins;
}
