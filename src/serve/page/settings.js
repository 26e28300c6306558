// The settings panel: system prompt and sampling of the shown conversation, and the key of the
// server.
//
// A change counts at once for the shown conversation and for those that start later. A field that
// is empty is not sent, so that the server's own default holds; a value outside its limits is said
// beside the field and not kept.

import { el } from "./dom.js";
import { isWithin, kNumberSettings, preference, saveDefaults, setPreference } from "./store.js";

const kLabels = {
  temperature: ["Temperature", "0 always takes the most probable token"],
  top_p: ["Top p", "smallest set of tokens with this share"],
  top_k: ["Top k", "only the k most probable; 0 takes all"],
  min_p: ["Min p", "share of the best token's probability"],
  max_tokens: ["Max tokens", "length of an answer"],
  seed: ["Seed", "the same seed, the same answer"],
};

export class SettingsPanel {
  #dialog = document.getElementById("settings");
  #system = document.getElementById("system-prompt");
  #stop = document.getElementById("stop-strings");
  #key = document.getElementById("api-key");
  #fields = new Map(); // name -> {input, problem}
  #chat = null;

  // `actions` is {changed(chat), keyChanged()}.
  constructor(actions) {
    this.actions = actions;
    const grid = document.getElementById("sampling");
    for (const name of Object.keys(kNumberSettings)) grid.append(this.#numberField(name));
    this.#system.addEventListener("input", () => this.#set("system", this.#system.value));
    this.#stop.addEventListener("input", () => this.#takeStop());
    this.#key.addEventListener("change", () => {
      setPreference("key", this.#key.value.trim());
      this.actions.keyChanged();
    });
    document.getElementById("close-settings").addEventListener("click", () => this.#dialog.close());
    document.getElementById("reset-settings").addEventListener("click", () => this.#reset());
    this.#dialog.addEventListener("click", (event) => {
      if (event.target === this.#dialog) this.#dialog.close(); // the backdrop
    });
  }

  // Opens on the settings of `chat`; `focus` names the element that gets the focus.
  open(chat, focus = "system-prompt") {
    this.#chat = chat;
    this.#fill();
    if (!this.#dialog.open) this.#dialog.showModal();
    document.getElementById(focus).focus();
  }

  #fill() {
    const settings = this.#chat.settings;
    this.#system.value = settings.system;
    this.#stop.value = settings.stop.map(escapeBreaks).join("\n");
    this.#key.value = preference("key");
    document.getElementById("stop-problem").textContent = "";
    for (const [name, { input, problem }] of this.#fields) {
      input.value = settings[name] ?? "";
      problem.textContent = "";
      input.setAttribute("aria-invalid", "false");
    }
  }

  #numberField(name) {
    const [label, hint] = kLabels[name];
    const limit = kNumberSettings[name];
    const input = el("input", {
      id: `setting-${name}`, type: "text", inputmode: limit.whole ? "numeric" : "decimal",
      placeholder: "default", autocomplete: "off", "aria-describedby": `hint-${name}`,
    });
    const problem = el("span", { class: "problem", "aria-live": "polite" });
    input.addEventListener("input", () => this.#takeNumber(name));
    input.addEventListener("keydown", (event) => {
      const direction = { ArrowUp: 1, ArrowDown: -1 }[event.key];
      if (!direction) return;
      event.preventDefault();
      const start = direction > 0 ? limit.min - limit.step : limit.min;
      const now = input.value.trim() ? Number(input.value) : start;
      if (!Number.isFinite(now)) return;
      const next = Math.min(Math.max(now + direction * limit.step, limit.min), limit.max);
      input.value = String(Math.round(next * 100) / 100);
      this.#takeNumber(name);
    });
    this.#fields.set(name, { input, problem });
    return el("div", { class: "field" }, el("label", { for: `setting-${name}` }, label), input,
      el("span", { id: `hint-${name}`, class: "hint" }, el("span", {}, hint), problem));
  }

  #takeNumber(name) {
    const { input, problem } = this.#fields.get(name);
    const limit = kNumberSettings[name];
    const text = input.value.trim().replace(",", ".");
    const value = text === "" ? null : Number(text);
    const good = value === null || isWithin(value, limit);
    const most = limit.max > 1e6 ? "" : ` to ${limit.max.toLocaleString("en")}`;
    const kind = limit.whole ? "a whole number" : "a number";
    problem.textContent = good ? "" : `${kind} from ${limit.min}${most}`;
    input.setAttribute("aria-invalid", String(!good));
    if (good) this.#set(name, value);
  }

  #takeStop() {
    const strings = this.#stop.value.split("\n").filter((line) => line).map(unescapeBreaks);
    const tooMany = strings.length > 4;
    document.getElementById("stop-problem").textContent = tooMany ? "at most 4 lines" : "";
    if (!tooMany) this.#set("stop", strings);
  }

  #set(name, value) {
    this.#chat.settings[name] = value;
    saveDefaults(this.#chat.settings);
    this.actions.changed(this.#chat);
  }

  #reset() {
    const settings = this.#chat.settings;
    for (const name of Object.keys(kNumberSettings)) settings[name] = null;
    settings.stop = [];
    this.#set("system", "");
    this.#fill();
  }
}

function escapeBreaks(text) {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\t", "\\t");
}

function unescapeBreaks(text) {
  return text.replace(/\\([nt\\])/g, (_, sign) => ({ n: "\n", t: "\t", "\\": "\\" })[sign]);
}
