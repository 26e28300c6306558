// The page's wiring: which conversation is shown, which answers are under way, what buttons and
// keys do.
//
//   ChatList --open--> app --show--> ChatView          store.js keeps, run.js streams
//   composer --send--> app --Run--> changed, ended --> ChatView
//
// The shown conversation is `chat`; `runs` holds the run of every conversation with an answer under
// way, and a conversation with a run is always the run's own object, shown or not.

import { listModels } from "./api.js";
import { ChatList } from "./chats.js";
import { announce, copyText, notify, plural } from "./dom.js";
import { Run } from "./run.js";
import { SettingsPanel } from "./settings.js";
import {
  deleteChat, listChats, loadChat, newChat, newId, onStorageTrouble, preference, saveChat,
  setPreference,
} from "./store.js";
import { ChatView, growField } from "./view.js";

const kSaveEveryMs = 1000; // how much of a streaming answer a crash of the browser may cost
const kRetryMs = 5000; // how often a server that went away is looked for
const kThemes = ["system", "light", "dark"];
const kStates = { 401: "key needed", 503: "not ready" }; // what a refusal says of the server

const byId = (id) => document.getElementById(id);
const composer = byId("composer");
const modelSelect = byId("model");
const touch = matchMedia("(pointer: coarse) and (hover: none)");

const runs = new Map(); // chat id -> Run
let chat = newChat();
let retryTimer = 0;
let painting = false;

const view = new ChatView({
  copy: async (message) => {
    const done = await copyText(message.content);
    notify(done ? "Copied." : "The browser did not let the page copy.");
  },
  edit: (message, text) => {
    message.content = text;
    touchChat();
    show();
  },
  remove: (message) => {
    undoable("Message deleted.", () => {
      chat.messages.splice(chat.messages.indexOf(message), 1);
    });
    composer.focus({ preventScroll: true });
  },
  regenerate: (message) => answerAgain(message),
  resend: (message, text) => {
    undoable(chat.messages.at(-1) === message ? null : "Later messages were replaced.", () => {
      message.content = text;
      chat.messages.length = chat.messages.indexOf(message) + 1;
    });
    answer();
  },
  openKey: () => settings.open(chat, "api-key"),
});

const chats = new ChatList({
  open: (id) => open(id),
  renamed: (id, title) => {
    for (const known of [chat, runs.get(id)?.chat]) if (known?.id === id) known.title = title;
    showTitle();
  },
  removed: (id) => {
    runs.get(id)?.stop();
    if (chat.id === id) startNew({ focus: false });
  },
}, (id) => runs.has(id));

const settings = new SettingsPanel({
  changed: (changedChat) => {
    if (changedChat.messages.length) saveChat(changedChat);
  },
  keyChanged: () => connect(),
});

// Shows the state that the other functions change.
function show() {
  const run = runs.get(chat.id);
  view.show(chat.messages, (message) => (run?.message === message ? run : null));
  showTitle();
  showSendButton();
}

function showTitle() {
  document.title = chat.title ? `${chat.title} · Inferno` : "Inferno";
  chats.show(chat.id);
}

function showSendButton() {
  const running = runs.has(chat.id);
  const button = byId("send");
  button.classList.toggle("stop", running);
  button.setAttribute("aria-label", running ? "Stop the answer" : "Send");
  button.title = running ? "Stop (Esc)" : "Send (Enter)";
  button.disabled = !running && !composer.value.trim();
}

function open(id) {
  const found = runs.get(id)?.chat ?? loadChat(id);
  if (!found) {
    notify("This conversation is gone.");
    return chats.show(chat.id);
  }
  chat = found;
  show();
  view.scrollToEnd();
  composer.focus({ preventScroll: true });
}

function startNew({ focus = true } = {}) {
  chat = newChat();
  show();
  if (focus) composer.focus();
}

function touchChat() {
  chat.updated = Date.now();
  if (chat.messages.length) saveChat(chat);
  else deleteChat(chat.id);
}

// Makes a change to the shown conversation; with `text`, offers to take it back.
function undoable(text, change) {
  const target = chat;
  const before = target.messages.map((message) => [message, message.content]);
  change();
  dropLostRun(target);
  touchChat();
  show();
  if (!text) return;
  notify(text, {
    label: "Undo",
    run: () => {
      target.messages = before.map(([message, content]) => {
        if (message.role === "user") message.content = content; // an answer may have grown since
        return message;
      });
      dropLostRun(target);
      saveChat(target);
      if (chat.id === target.id) chat = target;
      show();
    },
  });
}

// Ends the run whose message is no longer in the conversation.
function dropLostRun(target) {
  const run = runs.get(target.id);
  if (!run || target.messages.includes(run.message)) return;
  run.stop();
  runs.delete(target.id);
}

function send() {
  const text = composer.value.trim();
  if (!text || runs.has(chat.id)) return;
  composer.value = "";
  growField(composer);
  chat.messages.push({ id: newId(), role: "user", content: text });
  if (!chat.title) chat.title = titleOf(text);
  answer();
}

function titleOf(text) {
  const line = text.replace(/\s+/g, " ");
  return line.length <= 48 ? line : `${line.slice(0, 47).replace(/\s\S*$/, "")}…`;
}

// Answers the last message of the shown conversation.
function answer() {
  if (runs.has(chat.id)) return;
  const model = modelSelect.value;
  const message = { id: newId(), role: "assistant", content: "", model, finish: "" };
  chat.messages.push(message);
  const run = new Run(chat, message);
  runs.set(chat.id, run);
  touchChat();
  show();
  view.scrollToEnd();
  announce("Answering.");
  let saved = performance.now();
  run.go(model, preference("key"), {
    changed: () => {
      repaintSoon();
      if (performance.now() - saved < kSaveEveryMs || !isKept(run)) return;
      saved = performance.now();
      saveChat(run.chat);
    },
    ended: () => ended(run),
  });
}

// False when the conversation, or the answer in it, was deleted meanwhile.
function isKept(run) {
  return run.chat.messages.includes(run.message) &&
    (run.chat === chat || listChats().some((entry) => entry.id === run.chat.id));
}

function ended(run) {
  if (runs.get(run.chat.id) === run) runs.delete(run.chat.id);
  if (isKept(run)) {
    run.chat.updated = Date.now();
    saveChat(run.chat);
  }
  if (run.chat === chat) show();
  else chats.show(chat.id);
  const { finish, stats, error } = run.message;
  const how = finish === "stopped" ? "stopped" : "complete";
  if (!error) announce(`Answer ${how}, ${plural(stats.tokens, "token")}.`);
  else if (!error.unauthorized) connect();
}

function answerAgain(message) {
  const index = chat.messages.indexOf(message);
  if (index < 0) return;
  const later = index + 1 < chat.messages.length;
  // An answer that is only an error needs no way back.
  const answerText = message.content ? "Answer replaced." : null;
  const text = later ? "Later messages were replaced." : answerText;
  undoable(text, () => {
    chat.messages.length = index;
  });
  answer();
}

// One repaint for all events between two frames.
function repaintSoon() {
  if (painting) return;
  painting = true;
  requestAnimationFrame(() => {
    painting = false;
    const run = runs.get(chat.id);
    if (run) view.update(run.message, run);
  });
}

// Asks for the models; while the server is away, asks again every kRetryMs.
async function connect() {
  clearTimeout(retryTimer);
  const state = byId("server-state");
  try {
    const models = await listModels(preference("key"));
    showModels(models);
    state.className = "state ready";
    state.textContent = "ready";
    byId("banner").hidden = true;
  } catch (trouble) {
    state.className = "state away";
    state.textContent = kStates[trouble.status] ?? "unreachable";
    byId("banner-text").textContent = trouble.message;
    byId("banner-key").hidden = trouble.status !== 401;
    byId("banner").hidden = false;
    if (trouble.status !== 401) retryTimer = setTimeout(connect, kRetryMs);
  }
}

function showModels(models) {
  const wanted = modelSelect.value || preference("model");
  modelSelect.replaceChildren(...models.map(({ id }) => new Option(id, id)));
  if (models.some(({ id }) => id === wanted)) modelSelect.value = wanted;
  modelSelect.disabled = models.length === 0;
  const describe = () => {
    const length = models.find(({ id }) => id === modelSelect.value)?.max_model_len;
    modelSelect.title = length ? `Model; room for ${plural(length, "token")}` : "Model";
  };
  modelSelect.onchange = () => {
    setPreference("model", modelSelect.value);
    describe();
  };
  describe();
}

function showTheme() {
  const theme = preference("theme") || "system";
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const button = byId("theme");
  button.title = `Colours: ${theme}`;
  button.setAttribute("aria-label", `Colours: ${theme}. Change.`);
  button.querySelector("use").setAttribute("href", `#icon-theme-${theme}`);
}

function nextTheme() {
  const theme = preference("theme") || "system";
  const next = kThemes[(kThemes.indexOf(theme) + 1) % kThemes.length];
  setPreference("theme", next === "system" ? "" : next);
  showTheme();
  announce(`Colours: ${next}`);
}

function neighbour(step) {
  const list = listChats();
  const at = list.findIndex((entry) => entry.id === chat.id);
  const next = list[at < 0 ? 0 : at + step];
  if (next) open(next.id);
}

const lastOf = (role) => chat.messages.findLast((message) => message.role === role);

const kAltKeys = {
  KeyN: () => startNew(),
  KeyS: () => settings.open(chat),
  KeyM: () => modelSelect.focus(),
  KeyB: () => chats.setOpen(!chats.isOpen()),
  KeyR: () => lastOf("assistant") && answerAgain(lastOf("assistant")),
  KeyC: () => lastOf("assistant") && view.actions.copy(lastOf("assistant")),
  ArrowUp: () => neighbour(-1),
  ArrowDown: () => neighbour(1),
};

function onKey(event) {
  if (event.isComposing || document.querySelector("dialog[open]")) return;
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
  const typing = event.target.closest("input, textarea, select");
  if (event.altKey && !event.ctrlKey && !event.metaKey && kAltKeys[event.code]) {
    event.preventDefault();
    kAltKeys[event.code]();
  } else if (event.key === "Escape") {
    if (matchMedia("(max-width: 760px)").matches && chats.isOpen()) chats.setOpen(false);
    else runs.get(chat.id)?.stop();
  } else if (plain && !typing && event.key === "?") {
    byId("shortcuts").showModal();
  } else if (plain && !typing && event.key === "/") {
    event.preventDefault();
    composer.focus();
  }
}

function onComposerKey(event) {
  if (event.isComposing || event.altKey) return;
  if (event.key === "Enter" && !event.shiftKey && !touch.matches) {
    event.preventDefault();
    send();
  } else if (event.key === "ArrowUp" && !composer.value && lastOf("user") && !runs.has(chat.id)) {
    event.preventDefault();
    view.edit(lastOf("user"));
  }
}

function wire() {
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (runs.has(chat.id)) runs.get(chat.id).stop();
    else send();
  });
  composer.addEventListener("keydown", onComposerKey);
  composer.addEventListener("input", () => {
    growField(composer);
    showSendButton();
  });
  document.addEventListener("keydown", onKey);
  byId("new-chat").addEventListener("click", () => {
    if (matchMedia("(max-width: 760px)").matches) chats.setOpen(false);
    startNew();
  });
  byId("open-settings").addEventListener("click", () => settings.open(chat));
  byId("theme").addEventListener("click", nextTheme);
  byId("open-shortcuts").addEventListener("click", () => byId("shortcuts").showModal());
  byId("close-shortcuts").addEventListener("click", () => byId("shortcuts").close());
  byId("banner-retry").addEventListener("click", connect);
  byId("banner-key").addEventListener("click", () => settings.open(chat, "api-key"));
  for (const starter of document.querySelectorAll(".starter")) {
    starter.addEventListener("click", () => {
      composer.value = starter.textContent.trim();
      send();
    });
  }
  addEventListener("online", connect);
  addEventListener("pagehide", () => {
    for (const run of runs.values()) if (isKept(run)) saveChat(run.chat);
  });
  // Another window of this page changed something.
  addEventListener("storage", (event) => {
    if (event.key === "inferno.theme") showTheme();
    if (event.key === `inferno.chat.${chat.id}` && !runs.has(chat.id)) {
      chat = loadChat(chat.id) ?? newChat();
    }
    show();
  });
  // The time since sending, while nothing comes back yet.
  setInterval(() => {
    const run = runs.get(chat.id);
    if (run && !run.message.content) view.update(run.message, run);
  }, 100);
  onStorageTrouble((text) => notify(text));
}

wire();
showTheme();
const latest = listChats()[0];
chat = (latest && loadChat(latest.id)) || chat;
show();
view.scrollToEnd();
if (!touch.matches) composer.focus();
connect();
