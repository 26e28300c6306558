// The list of conversations at the side: choose, rename, delete, keep as a file, read a file back.
//
// It shows what store.js has and tells `actions` ({open(id), renamed(id, title), removed(id),
// imported()}) what happened. On a narrow screen the list lies over the conversation until
// something is chosen.

import { el, notify, plural, saveFile, smallButton } from "./dom.js";
import {
  deleteChat, exportText, importText, listChats, loadChat, preference, saveChat, setPreference,
} from "./store.js";

const narrow = matchMedia("(max-width: 760px)");

export class ChatList {
  #list = document.getElementById("chats");
  #side = document.getElementById("side");
  #toggle = document.getElementById("toggle-side");
  #veil = document.getElementById("veil");
  #current = null;
  #renaming = false;
  #isBusy = () => false;

  constructor(actions, isBusy) {
    this.actions = actions;
    this.#isBusy = isBusy;
    this.#toggle.addEventListener("click", () => this.setOpen(!this.isOpen()));
    this.#veil.addEventListener("click", () => this.setOpen(false));
    document.getElementById("export-all").addEventListener("click", () => this.#exportAll());
    const file = document.getElementById("import-file");
    document.getElementById("import").addEventListener("click", () => file.click());
    file.addEventListener("change", () => this.#import(file));
    narrow.addEventListener("change", () => this.#applyWidth());
    this.#applyWidth();
  }

  isOpen() {
    return document.body.classList.contains("side-open");
  }

  setOpen(open, { remember = true } = {}) {
    document.body.classList.toggle("side-open", open);
    this.#toggle.setAttribute("aria-expanded", String(open));
    this.#veil.hidden = !(open && narrow.matches);
    document.getElementById("main").inert = open && narrow.matches;
    if (narrow.matches) {
      if (open) this.#side.querySelector("button")?.focus();
      else if (this.#side.contains(document.activeElement)) this.#toggle.focus();
    } else if (remember) {
      setPreference("sidebar", open ? "" : "closed");
    }
  }

  #applyWidth() {
    this.setOpen(!narrow.matches && preference("sidebar") !== "closed", { remember: false });
  }

  // Shows the list as it is stored, `currentId` marked.
  show(currentId) {
    this.#current = currentId;
    if (this.#renaming) return; // shown when the name is done
    const entries = listChats();
    const focused = document.activeElement?.closest?.("#chats [data-id]")?.dataset.id;
    this.#list.replaceChildren(...entries.map((entry) => this.#row(entry)));
    if (focused) this.#list.querySelector(`[data-id="${focused}"] .chat-open`)?.focus();
    document.getElementById("no-chats").hidden = entries.length > 0;
    document.getElementById("export-all").disabled = entries.length === 0;
  }

  #row(entry) {
    const current = entry.id === this.#current;
    const title = entry.title || "Untitled";
    const open = el("button", {
      type: "button", class: "chat-open", "aria-current": current ? "true" : null, title,
      onclick: () => {
        if (narrow.matches) this.setOpen(false);
        this.actions.open(entry.id);
      },
      onkeydown: (event) => {
        if (event.key === "F2") this.#rename(entry, row);
        if (event.key === "Delete") this.#remove(entry);
      },
      ondblclick: () => this.#rename(entry, row),
    }, el("span", { class: "chat-title" }, title), this.#isBusy(entry.id) ? busyDot() : null);
    const row = el("li", { class: current ? "chat current" : "chat", "data-id": entry.id }, open,
      el("div", { class: "chat-tools" },
        smallButton("edit", `Rename "${title}"`, () => this.#rename(entry, row)),
        smallButton("download", `Export "${title}" as JSON`, () => this.#export(entry)),
        smallButton("trash", `Delete "${title}"`, () => this.#remove(entry))));
    return row;
  }

  #rename(entry, row) {
    const field = el("input", {
      class: "chat-name", "aria-label": "Name of the conversation", maxlength: "200",
    });
    field.value = entry.title;
    this.#renaming = true;
    const finish = (keep) => {
      if (!this.#renaming) return;
      this.#renaming = false;
      const title = field.value.trim();
      if (keep && title && title !== entry.title) {
        const chat = loadChat(entry.id);
        if (chat) saveChat(Object.assign(chat, { title }));
        this.actions.renamed(entry.id, title);
      }
      this.show(this.#current);
      this.#list.querySelector(`[data-id="${entry.id}"] .chat-open`)?.focus();
    };
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      if (event.isComposing) return;
      event.preventDefault();
      event.stopPropagation();
      finish(event.key === "Enter");
    });
    field.addEventListener("blur", () => finish(true));
    row.replaceChildren(field);
    field.focus();
    field.select();
  }

  #remove(entry) {
    const chat = loadChat(entry.id);
    const rows = [...this.#list.children];
    const index = rows.findIndex((row) => row.dataset.id === entry.id);
    deleteChat(entry.id);
    this.actions.removed(entry.id);
    this.show(this.#current);
    const next = this.#list.children[Math.min(index, this.#list.children.length - 1)];
    (next?.querySelector(".chat-open") ?? document.getElementById("new-chat")).focus();
    if (!chat) return;
    notify(`"${entry.title || "Untitled"}" deleted.`, {
      label: "Undo",
      run: () => {
        saveChat(chat);
        this.show(this.#current);
      },
    });
  }

  #export(entry) {
    const chat = loadChat(entry.id);
    if (!chat) return notify("The conversation is gone.");
    const name = entry.title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 40);
    saveFile(`inferno-${name || "conversation"}.json`, exportText([chat]), "application/json");
  }

  #exportAll() {
    const chats = listChats().map((entry) => loadChat(entry.id)).filter((chat) => chat);
    saveFile("inferno-conversations.json", exportText(chats), "application/json");
  }

  async #import(input) {
    const file = input.files[0];
    input.value = "";
    if (!file) return;
    try {
      const chats = importText(await file.text());
      for (const chat of chats) saveChat(chat);
      this.show(this.#current);
      notify(`${plural(chats.length, "conversation")} imported.`);
    } catch (trouble) {
      notify(`Not imported. ${trouble.message}`);
    }
  }
}

const busyDot = () =>
  el("span", { class: "busy-dot", title: "Answering", role: "img", "aria-label": "answering" });
