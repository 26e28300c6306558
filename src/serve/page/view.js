// The messages of one conversation on the screen.
//
// One element per message, kept in step by its id: show() brings the whole list up to date,
// update() one message of it. What a button does is told to `actions` ({copy, edit, remove,
// regenerate, resend, openKey}); the view changes no conversation itself.
//
// Scrolling: while the reader is at the end, growing text keeps the end in sight; as soon as the
// reader scrolls up, the view stays where it is and a button leads back.

import {
  copyText, el, icon, notify, plural, rateText, secondsText, smallButton, textButton,
} from "./dom.js";
import { MarkdownView } from "./markdown.js";

const kNearEnd = 40; // px from the end that still count as being there

export class ChatView {
  #list = document.getElementById("messages");
  #scroller = document.getElementById("scroller");
  #toEnd = document.getElementById("to-end");
  #parts = new Map(); // message id -> the elements that change
  #follow = true;
  #lastTop = 0;

  constructor(actions) {
    this.actions = actions;
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.#toEnd.addEventListener("click", () => this.scrollToEnd());
    this.#list.addEventListener("click", (event) => this.#copyCode(event));
    new ResizeObserver(() => this.#keepEnd()).observe(this.#scroller);
  }

  // Shows exactly these messages. `runs` tells the run of a message under way.
  show(messages, runOf) {
    const wanted = new Set(messages.map((message) => message.id));
    for (const [id, part] of this.#parts) {
      if (wanted.has(id)) continue;
      part.root.remove();
      this.#parts.delete(id);
    }
    messages.forEach((message, index) => {
      if (!this.#parts.has(message.id)) this.#parts.set(message.id, this.#build(message));
      const root = this.#parts.get(message.id).root;
      if (this.#list.children[index] !== root) {
        this.#list.insertBefore(root, this.#list.children[index] ?? null);
      }
      this.update(message, runOf(message));
    });
    document.getElementById("welcome").hidden = messages.length > 0;
    this.#list.hidden = messages.length === 0;
    this.#keepEnd();
  }

  update(message, run) {
    const part = this.#parts.get(message.id);
    if (!part) return;
    if (message.role === "user") {
      if (!part.editor) part.body.textContent = message.content;
    } else {
      this.#updateAnswer(part, message, run);
    }
    this.#keepEnd();
  }

  scrollToEnd() {
    this.#follow = true;
    this.#keepEnd();
  }

  // Puts an editor in the place of a message's text.
  edit(message) {
    const part = this.#parts.get(message.id);
    if (!part || part.editor) return;
    const isUser = message.role === "user";
    const label = isUser ? "Edit your message" : "Edit the answer";
    const field = el("textarea", { "aria-label": label, rows: "3" });
    field.value = message.content;
    const close = () => {
      part.editor.remove();
      part.editor = null;
      part.root.classList.remove("editing");
      this.update(message, null);
      part.root.querySelector(".actions button")?.focus({ preventScroll: true });
    };
    const save = (send) => {
      const text = field.value;
      if (isUser && !text.trim()) return;
      close();
      if (send) this.actions.resend(message, text);
      else this.actions.edit(message, text);
    };
    const submit = (event) => {
      event.preventDefault();
      save(isUser);
    };
    part.editor = el("form", { class: "editor", onsubmit: submit }, field,
      el("div", { class: "editor-buttons" },
        el("button", { type: "submit", class: "primary" }, isUser ? "Send" : "Save"),
        isUser ? textButton("Save only", () => save(false)) : null,
        textButton("Cancel", close)));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        close();
      } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        save(isUser);
      }
    });
    field.addEventListener("input", () => growField(field));
    part.root.classList.add("editing");
    part.body.after(part.editor);
    growField(field);
    field.focus();
  }

  #build(message) {
    const isUser = message.role === "user";
    const body = el("div", { class: isUser ? "text" : "markdown" });
    const part = { body, editor: null, markdown: isUser ? null : new MarkdownView(body) };
    const what = isUser ? "message" : "answer";
    const actions = el("div", { class: "actions" },
      isUser ? null : smallButton("refresh", "Regenerate", () => this.actions.regenerate(message)),
      smallButton("copy", `Copy ${what}`, () => this.actions.copy(message)),
      smallButton("edit", `Edit ${what}`, () => this.edit(message)),
      smallButton("trash", `Delete ${what}`, () => this.actions.remove(message)));
    part.heading = el("h2", { class: isUser ? "visually-hidden" : "speaker" }, isUser ? "You" : "");
    part.error = el("div", { class: "error", role: "alert", hidden: true });
    part.figures = el("div", { class: "figures" });
    const foot = el("div", { class: "foot" }, isUser ? null : part.figures, actions);
    part.root = el("article", { class: `message ${message.role}` }, part.heading, body,
      isUser ? null : part.error, foot);
    return part;
  }

  #updateAnswer(part, message, run) {
    const running = Boolean(run && !run.over);
    part.heading.textContent = message.model || "Answer";
    part.root.classList.toggle("running", running);
    part.root.classList.toggle("waiting", running && !message.content);
    part.root.classList.toggle("failed", Boolean(message.error) && !message.content);
    part.root.setAttribute("aria-busy", String(running));
    if (!part.editor && part.shown !== message.content) {
      part.shown = message.content;
      part.markdown.update(message.content);
    }
    this.#showError(part, message);
    this.#showFigures(part, message, run, running);
  }

  #showError(part, message) {
    if (part.shownError === message.error) return;
    part.shownError = message.error;
    part.error.hidden = !message.error;
    if (!message.error) return part.error.replaceChildren();
    const { message: text, note, unauthorized } = message.error;
    const noteNode = note ? el("p", { class: "note" }, note) : null;
    const remedy = unauthorized
      ? textButton("Enter key", () => this.actions.openKey())
      : textButton("Try again", () => this.actions.regenerate(message));
    part.error.replaceChildren(
      icon("alert"), el("div", { class: "error-text" }, el("p", {}, text), noteNode), remedy);
  }

  #showFigures(part, message, run, running) {
    const stats = message.stats;
    if (running && !message.content) {
      const text = `reading the prompt, ${secondsText(run.elapsed())}`;
      return part.figures.replaceChildren(el("span", {}, text));
    }
    const items = [];
    const add = (title, text) => items.push(el("span", { title: title || null }, text));
    if (stats?.tokens) {
      items.push(traceNode(stats));
      if (stats.first) add("Time to first token", `first ${secondsText(stats.first)}`);
      if (stats.rate) add("Tokens per second after the first", `${rateText(stats.rate)} tok/s`);
      add(stats.prompt ? `Prompt: ${plural(stats.prompt, "token")}` : "Tokens of the answer",
        plural(stats.tokens, "token"));
    }
    if (endText(message)) add("", endText(message));
    part.figures.replaceChildren(...items);
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const distance = scrollHeight - scrollTop - clientHeight;
    if (distance <= kNearEnd) this.#follow = true;
    else if (scrollTop < this.#lastTop) this.#follow = false;
    this.#lastTop = scrollTop;
    document.body.classList.toggle("scrolled", scrollTop > 0); // a line under the head
    this.#toEnd.hidden = this.#follow || distance <= kNearEnd;
  }

  #keepEnd() {
    if (this.#follow) this.#scroller.scrollTop = this.#scroller.scrollHeight;
    else this.#scrolled();
  }

  async #copyCode(event) {
    const button = event.target.closest("[data-action=copy-code]");
    if (!button) return;
    const code = button.closest(".code").querySelector("code").textContent;
    const done = await copyText(code);
    notify(done ? "Code copied." : "The browser did not let the page copy.");
  }
}

// Why the answer ended, where that is not its natural end.
function endText(message) {
  switch (message.finish) {
    case "length": return "cut at the token limit";
    case "stopped": return "stopped";
    case "abort": return "ended by the server";
    default: return message.content || message.error || !message.finish ? "" : "empty answer";
  }
}

// The beat of an answer: time runs from sending to the last token; a stroke is a token, a taller
// one several. The gap at the left is the time to the first token.
function traceNode(stats) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "trace");
  svg.setAttribute("viewBox", `0 0 ${Math.max(stats.trace.length, 1)} 12`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const title = document.createElementNS(space, "title");
  title.textContent = "When the tokens came, from sending to the last one";
  const most = Math.max(...stats.trace, 1);
  const strokes = stats.trace.map((count, i) =>
    (count ? `M${i + 0.5} 12V${(8 - 7 * (count / most)).toFixed(1)}` : "")).join("");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", `M0 11.75H${Math.max(stats.trace.length, 1)}`);
  path.setAttribute("class", "trace-base");
  const ticks = document.createElementNS(space, "path");
  ticks.setAttribute("d", strokes || "M0 0");
  svg.append(title, path, ticks);
  return svg;
}

// Makes a text field as tall as its text, up to the limit in style.css.
export function growField(field) {
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
}
