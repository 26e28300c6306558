// What the browser keeps: conversations, the settings that the next one starts with, the key, small
// preferences.
//
// Each conversation has a storage entry of its own, so that saving one costs its own size:
//
//   inferno.chats      [{id, title, updated}, ...]  most recently changed first
//   inferno.chat.ID    the conversation
//   inferno.defaults   settings of a conversation that starts
//   inferno.PREFERENCE key, theme, model, sidebar
//
// Whatever is read back, from storage or from an imported file, passes clean*(): unknown fields are
// dropped and a value of a wrong kind becomes its default, so damaged entries cannot break the
// page. Without storage (blocked, or full) the page works on and says so once.

const kPrefix = "inferno.";
export const kExportFormat = "inferno-conversations-1";

// name: [smallest, largest, step, whole numbers only]; an empty field leaves the choice to the
// server.
export const kNumberSettings = {
  temperature: { min: 0, max: 2, step: 0.1, whole: false },
  top_p: { min: 0.01, max: 1, step: 0.05, whole: false },
  top_k: { min: 0, max: 1000, step: 1, whole: true },
  min_p: { min: 0, max: 1, step: 0.05, whole: false },
  max_tokens: { min: 1, max: 1_000_000, step: 1, whole: true },
  seed: { min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, whole: true },
};

// Whether a value is a number that a setting with this limit may have.
export function isWithin(value, limit) {
  return Number.isFinite(value) && value >= limit.min && value <= limit.max &&
    (!limit.whole || Number.isInteger(value));
}

let troubleListener = () => {};

// Calls `listener` with a sentence when something could not be kept.
export function onStorageTrouble(listener) {
  troubleListener = listener;
}

function read(name) {
  try {
    return localStorage.getItem(kPrefix + name);
  } catch {
    return null;
  }
}

function readJson(name) {
  try {
    return JSON.parse(read(name));
  } catch {
    return null;
  }
}

function write(name, text) {
  try {
    if (text === null) localStorage.removeItem(kPrefix + name);
    else localStorage.setItem(kPrefix + name, text);
    return true;
  } catch {
    troubleListener("The browser's storage is full or blocked: this is lost when the page closes.");
    return false;
  }
}

export const preference = (name) => read(name) ?? "";
export const setPreference = (name, value) => write(name, value ? String(value) : null);

// A name that is unique for all practical purposes. (randomUUID exists on secure origins only.)
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function newChat() {
  const now = Date.now();
  return {
    id: newId(), title: "", created: now, updated: now,
    settings: cleanSettings(readJson("defaults")), messages: [],
  };
}

// [{id, title, updated}], most recently changed first.
export function listChats() {
  const list = readJson("chats");
  if (!Array.isArray(list)) return [];
  return list.filter((entry) => typeof entry?.id === "string" && /^[\w-]{1,64}$/.test(entry.id))
    .map(({ id, title, updated }) => ({ id, title: textOf(title), updated: numberOf(updated) }));
}

export function loadChat(id) {
  const chat = readJson(`chat.${id}`);
  return chat ? cleanChat(chat, id) : null;
}

// Keeps the conversation and moves it to the front of the list when it changed.
export function saveChat(chat) {
  const rest = listChats().filter((entry) => entry.id !== chat.id);
  const entry = { id: chat.id, title: chat.title, updated: chat.updated };
  const list = [...rest, entry].sort((a, b) => b.updated - a.updated);
  return write(`chat.${chat.id}`, JSON.stringify(chat)) && write("chats", JSON.stringify(list));
}

export function deleteChat(id) {
  write("chats", JSON.stringify(listChats().filter((entry) => entry.id !== id)));
  write(`chat.${id}`, null);
}

export function saveDefaults(settings) {
  write("defaults", JSON.stringify(settings));
}

// One text with the given conversations, for a file. It holds no key.
export function exportText(chats) {
  const file = { format: kExportFormat, exported: new Date().toISOString(), conversations: chats };
  return JSON.stringify(file, null, 2);
}

// The conversations of such a file, each with a name of its own; throws Error with a sentence.
export function importText(text) {
  let file = null;
  try {
    file = JSON.parse(text);
  } catch {
    throw new Error("The file is not JSON.");
  }
  if (file?.format !== kExportFormat || !Array.isArray(file.conversations)) {
    throw new Error(`The file is not an export of this page (format "${kExportFormat}").`);
  }
  return file.conversations.filter((chat) => chat && typeof chat === "object")
    .map((chat) => cleanChat(chat, newId()));
}

const textOf = (value) => (typeof value === "string" ? value : "");
const numberOf = (value) => (Number.isFinite(value) ? value : 0);

export function cleanSettings(raw) {
  const settings = { system: textOf(raw?.system), stop: [] };
  for (const [name, limit] of Object.entries(kNumberSettings)) {
    const value = raw?.[name];
    settings[name] = isWithin(value, limit) ? value : null;
  }
  if (Array.isArray(raw?.stop)) settings.stop = raw.stop.map(textOf).filter(Boolean).slice(0, 4);
  return settings;
}

function cleanChat(raw, id) {
  const messages = Array.isArray(raw.messages) ? raw.messages : [];
  return {
    id,
    title: textOf(raw.title).slice(0, 200),
    created: numberOf(raw.created),
    updated: numberOf(raw.updated),
    settings: cleanSettings(raw.settings),
    messages: messages.filter((m) => ["user", "assistant"].includes(m?.role)).map(cleanMessage),
  };
}

function cleanMessage(raw) {
  const message = { id: newId(), role: raw.role, content: textOf(raw.content) };
  if (raw.role === "user") return message;
  message.model = textOf(raw.model);
  message.finish = textOf(raw.finish) || "stopped"; // a page that closed while it streamed
  if (raw.stats && typeof raw.stats === "object") message.stats = cleanStats(raw.stats);
  if (typeof raw.error?.message === "string") {
    const { message: text, note } = raw.error;
    message.error = { message: text, note: textOf(note), unauthorized: false };
  }
  return message;
}

function cleanStats(raw) {
  const positive = (value) => (Number.isFinite(value) && value > 0 ? value : null);
  const bins = Array.isArray(raw.trace) ? raw.trace.slice(0, 256) : [];
  const trace = bins.map((count) => positive(count) ?? 0);
  return {
    first: positive(raw.first), rate: positive(raw.rate), total: positive(raw.total),
    tokens: positive(raw.tokens) ?? 0, prompt: positive(raw.prompt), trace,
  };
}
