// Markdown as chat models write it, turned into elements.
//
// Safe by construction: the source is only ever put into text nodes and into three attributes that
// are checked (a link's address, a list's start, a cell's alignment); there is no path from text to
// markup. Links keep only http, https and mailto; images become links, so that an answer cannot
// make the browser fetch anything.
//
// Two stages: split() cuts the text into blocks, each with its source; a block becomes elements on
// its own. A MarkdownView keeps the elements of blocks whose source did not change, so a growing
// answer costs the work of its last block, and a selection in an earlier one survives.

import { el } from "./dom.js";

const kMaxDepth = 12; // nesting beyond it is shown as plain text
const kFence = /^ {0,3}(`{3,}|~{3,})([^`]*)$/;
const kHeading = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const kRule = /^ {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const kQuote = /^ {0,3}> ?/;
const kItem = /^( *)([-*+]|\d{1,9}[.)])(?:[ \t]+(.*)|)$/;
const kDelimiterRow = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

export class MarkdownView {
  #root;
  #shown = []; // {source, node}

  constructor(root) {
    this.#root = root;
  }

  // Shows `text`; elements of leading blocks that stayed the same are kept.
  update(text) {
    const blocks = split(text);
    let same = 0;
    while (same < blocks.length && same < this.#shown.length &&
           blocks[same].kind === this.#shown[same].kind &&
           blocks[same].source === this.#shown[same].source) {
      ++same;
    }
    for (const { node } of this.#shown.splice(same)) node.remove();
    for (const block of blocks.slice(same)) {
      const node = blockNode(block, 0);
      this.#root.append(node);
      this.#shown.push({ kind: block.kind, source: block.source, node });
    }
  }
}

// Cuts a text into [{kind, source, ...}], in order.
export function split(text) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const blocks = [];
  for (let at = 0; at < lines.length;) {
    if (!lines[at].trim()) {
      ++at;
      continue;
    }
    const block = fence(lines, at) ?? heading(lines, at) ?? rule(lines, at) ?? quote(lines, at) ??
      table(lines, at) ?? list(lines, at) ?? paragraph(lines, at);
    block.source = lines.slice(at, block.end).join("\n");
    blocks.push(block);
    at = block.end;
  }
  return blocks;
}

function fence(lines, at) {
  const open = kFence.exec(lines[at]);
  if (!open) return null;
  const indent = lines[at].search(/\S/);
  const close = new RegExp(`^ {0,3}${open[1][0]}{${open[1].length},}[ \\t]*$`);
  let end = at + 1;
  while (end < lines.length && !close.test(lines[end])) ++end;
  const margin = new RegExp(`^ {0,${indent}}`);
  const body = lines.slice(at + 1, end).map((line) => line.replace(margin, ""));
  const language = open[2].trim().split(/\s/)[0];
  return { kind: "code", end: Math.min(end + 1, lines.length), language, text: body.join("\n") };
}

function heading(lines, at) {
  const found = kHeading.exec(lines[at]);
  return found && { kind: "heading", end: at + 1, level: found[1].length, text: found[2] ?? "" };
}

function rule(lines, at) {
  return kRule.test(lines[at]) ? { kind: "rule", end: at + 1 } : null;
}

function quote(lines, at) {
  if (!kQuote.test(lines[at])) return null;
  let end = at + 1;
  while (end < lines.length && kQuote.test(lines[end])) ++end;
  const inside = lines.slice(at, end).map((line) => line.replace(kQuote, ""));
  return { kind: "quote", end, text: inside.join("\n") };
}

function table(lines, at) {
  if (!startsTable(lines, at)) return null;
  let end = at + 2;
  while (end < lines.length && lines[end].trim() && lines[end].includes("|")) ++end;
  const aligns = cellsOf(lines[at + 1]).map((cell) => {
    const right = cell.endsWith(":");
    if (cell.startsWith(":")) return right ? "center" : "left";
    return right ? "right" : "";
  });
  const rows = [lines[at], ...lines.slice(at + 2, end)].map(cellsOf);
  return { kind: "table", end, aligns, rows };
}

function startsTable(lines, at) {
  return at + 1 < lines.length && lines[at].includes("|") && kDelimiterRow.test(lines[at + 1]) &&
    lines[at + 1].includes("-") && cellsOf(lines[at]).length === cellsOf(lines[at + 1]).length;
}

// The cells of a row; a bar that is escaped or inside a code span belongs to its cell.
function cellsOf(line) {
  const row = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  const cells = [""];
  let inCode = false;
  for (let i = 0; i < row.length; ++i) {
    if (row[i] === "\\" && row[i + 1] === "|") {
      cells[cells.length - 1] += "|";
      ++i;
    } else if (row[i] === "|" && !inCode) {
      cells.push("");
    } else {
      if (row[i] === "`") inCode = !inCode && row.indexOf("`", i + 1) > 0;
      cells[cells.length - 1] += row[i];
    }
  }
  return cells.map((cell) => cell.trim());
}

// A list ends at a line that is neither an item of its kind nor indented under one.
function list(lines, at) {
  const first = kItem.exec(lines[at]);
  if (!first || first[1].length > 3) return null;
  const ordered = /\d/.test(first[2]);
  const items = [];
  let loose = false;
  let end = at;
  let contentIndent = 0;
  while (end < lines.length) {
    const line = lines[end];
    const item = kItem.exec(line);
    const indent = line.search(/\S/);
    const sameKind = item && /\d/.test(item[2]) === ordered;
    if (!line.trim()) {
      const next = lines.slice(end + 1).find((l) => l.trim()) ?? "";
      const nextItem = kItem.exec(next);
      const goesOn = next.search(/\S/) >= contentIndent ||
        (nextItem && /\d/.test(nextItem[2]) === ordered && nextItem[1].length <= 3);
      if (!next || !goesOn) break;
      loose = true;
      items.at(-1).push("");
    } else if (sameKind && indent < Math.max(contentIndent, 1) && !kRule.test(line)) {
      contentIndent = indent + item[2].length + 1;
      items.push([item[3] ?? ""]);
    } else if (items.length && indent >= Math.min(contentIndent, 2) && indent > 0) {
      items.at(-1).push(line.slice(Math.min(indent, contentIndent)));
    } else if (items.length && lines[end - 1].trim() && !startsBlock(lines, end)) {
      items.at(-1).push(line);
    } else {
      break;
    }
    ++end;
  }
  return {
    kind: "list", end, ordered, loose, start: ordered ? parseInt(first[2], 10) : 1,
    items: items.map((itemLines) => itemLines.join("\n")),
  };
}

function startsBlock(lines, at) {
  return kFence.test(lines[at]) || kHeading.test(lines[at]) || kRule.test(lines[at]) ||
    kQuote.test(lines[at]) || kItem.test(lines[at]) || startsTable(lines, at);
}

function paragraph(lines, at) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !startsBlock(lines, end)) ++end;
  const text = lines.slice(at, end).map((line) => line.trim()).join("\n");
  return { kind: "paragraph", end, text };
}

function blockNode(block, depth) {
  switch (block.kind) {
    case "code": return codeNode(block);
    // The page's own headings come before an answer's: level 1 becomes h3.
    case "heading": return inlineInto(el(`h${Math.min(block.level + 2, 6)}`), block.text);
    case "rule": return el("hr");
    case "quote": return blocksInto(el("blockquote"), block.text, depth + 1);
    case "table": return tableNode(block);
    case "list": return listNode(block, depth);
    default: return inlineInto(el("p"), block.text);
  }
}

function blocksInto(parent, text, depth) {
  if (depth > kMaxDepth) parent.append(el("p", {}, text));
  else for (const block of split(text)) parent.append(blockNode(block, depth));
  return parent;
}

function codeNode(block) {
  return el("div", { class: "code" },
    el("div", { class: "code-bar" },
      el("span", {}, block.language || "text"),
      el("button", { type: "button", class: "quiet", "data-action": "copy-code" }, "Copy code")),
    el("pre", { tabindex: "0", role: "group", "aria-label": `Code, ${block.language || "text"}` },
      el("code", {}, block.text)));
}

function tableNode(block) {
  const rowNode = (cells, tag) => {
    const row = el("tr");
    block.aligns.forEach((align, i) => {
      const scope = tag === "th" ? "col" : null;
      const cell = el(tag, { class: align ? `align-${align}` : null, scope });
      row.append(inlineInto(cell, cells[i] ?? ""));
    });
    return row;
  };
  const [head, ...rest] = block.rows;
  return el("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Table" },
    el("table", {}, el("thead", {}, rowNode(head, "th")),
      el("tbody", {}, ...rest.map((cells) => rowNode(cells, "td")))));
}

function listNode(block, depth) {
  const start = block.ordered && block.start !== 1 ? String(block.start) : null;
  const node = el(block.ordered ? "ol" : "ul", { start });
  for (const text of block.items) {
    const item = el("li");
    const task = /^\[([ xX])\]\s+/.exec(text);
    blocksInto(item, task ? text.slice(task[0].length) : text, depth + 1);
    // A tight item's text is not a paragraph of its own.
    const first = item.firstElementChild;
    if (!block.loose && first?.tagName === "P") first.replaceWith(...first.childNodes);
    if (task) {
      item.prepend(el("input", { type: "checkbox", disabled: true, checked: task[1] !== " ",
        "aria-label": task[1] !== " " ? "Done" : "To do" }), " ");
      item.classList.add("task");
    }
    node.append(item);
  }
  return node;
}

// Appends the inline elements of `text` to `parent`, which it returns.
export function inlineInto(parent, text, depth = 0) {
  if (depth > kMaxDepth) {
    parent.append(text);
    return parent;
  }
  const absent = new Set(); // markers that are known not to close any more: keeps the scan linear
  let plain = "";
  const flush = () => {
    if (plain) parent.append(plain);
    plain = "";
  };
  for (let at = 0; at < text.length;) {
    const found = inlineAt(text, at, absent, depth);
    if (found) {
      flush();
      parent.append(found.node);
      at = found.end;
    } else if (text[at] === "\\" && /[!-/:-@[-`{-~]/.test(text[at + 1] ?? "")) {
      plain += text[at + 1];
      at += 2;
    } else {
      // A run of one marker that opens nothing is plain as a whole.
      const run = /[`*_~]/.test(text[at]) ? runLength(text, at) : 1;
      plain += text.slice(at, at + run);
      at += run;
    }
  }
  flush();
  return parent;
}

// The element that starts at `at`, as {node, end}, or null.
function inlineAt(text, at, absent, depth) {
  switch (text[at]) {
    case "\n": return { node: el("br"), end: at + 1 };
    case "`": return codeSpan(text, at, absent);
    case "*":
    case "_":
    case "~": return emphasis(text, at, absent, depth);
    case "!": return text[at + 1] === "[" ? link(text, at + 1, absent, depth) : null;
    case "[": return link(text, at, absent, depth);
    case "<": return angleLink(text, at);
    case "h": return bareLink(text, at);
    default: return null;
  }
}

function runLength(text, at) {
  let end = at + 1;
  while (text[end] === text[at]) ++end;
  return end - at;
}

function codeSpan(text, at, absent) {
  const length = runLength(text, at);
  const marker = "`".repeat(length);
  if (absent.has(marker)) return null;
  for (let end = text.indexOf(marker, at + length); end >= 0;) {
    const closing = runLength(text, end);
    if (closing === length) {
      let inside = text.slice(at + length, end).replaceAll("\n", " ");
      if (/^ .*[^ ].* $/.test(inside)) inside = inside.slice(1, -1);
      return { node: el("code", {}, inside), end: end + length };
    }
    end = text.indexOf(marker, end + closing);
  }
  absent.add(marker);
  return null;
}

function emphasis(text, at, absent, depth) {
  const sign = text[at];
  const length = Math.min(runLength(text, at), 3);
  if (sign === "~" && length !== 2) return null;
  if (sign === "_" && /\w/.test(text[at - 1] ?? "")) return null;
  if (/\s/.test(text[at + length] ?? " ")) return null;
  const marker = sign.repeat(length);
  if (absent.has(marker)) return null;
  const end = closerOf(text, at + length, marker);
  if (end < 0) {
    absent.add(marker);
    return null;
  }
  const inside = text.slice(at + length, end);
  let node = el(sign === "~" ? "del" : length === 1 ? "em" : "strong");
  inlineInto(node, inside, depth + 1);
  if (length === 3) node = el("em", {}, node);
  return { node, end: end + length };
}

// Where `marker` closes: after a character that is no space, in a run that is long enough (a longer
// run closes with its last characters; a single sign is not closed by the pair of a nested one).
function closerOf(text, from, marker) {
  const sign = marker[0];
  for (let at = text.indexOf(marker, from); at >= 0; at = text.indexOf(marker, at)) {
    const run = runLength(text, at);
    const after = text[at + run] ?? " ";
    const closes = !/\s/.test(text[at - 1]) && text[at - 1] !== "\\" &&
      !(sign === "_" && /\w/.test(after)) && !(marker.length === 1 && run === 2);
    if (closes && at > from) return at + run - marker.length;
    at += run;
  }
  return -1;
}

function link(text, open, absent, depth) {
  if (absent.has("](") || text.indexOf("](", open) < 0) {
    absent.add("](");
    return null;
  }
  let nesting = 0;
  let close = open;
  const limit = Math.min(text.length, open + 1000);
  for (; close < limit; ++close) {
    if (text[close] === "\\") ++close;
    else if (text[close] === "[") ++nesting;
    else if (text[close] === "]" && --nesting === 0) break;
  }
  if (text[close] !== "]" || text[close + 1] !== "(") return null;
  const target = /^\(\s*<?((?:[^\s()<>]|\((?:[^\s()<>])*\))*)>?(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/
    .exec(text.slice(close + 1, close + 2100));
  const address = target && safeAddress(target[1]);
  if (!address) return null;
  const label = text.slice(open + 1, close);
  const node = inlineInto(linkNode(address), label || address, depth + 1);
  return { node, end: close + 1 + target[0].length };
}

function angleLink(text, at) {
  const found = /^<((?:https?:\/\/|mailto:)[^\s<>]{1,2000})>/.exec(text.slice(at, at + 2100));
  const address = found && safeAddress(found[1]);
  if (!address) return null;
  const node = linkNode(address);
  node.append(found[1]);
  return { node, end: at + found[0].length };
}

function bareLink(text, at) {
  if (/\w/.test(text[at - 1] ?? "") || !/^https?:\/\//.test(text.slice(at, at + 8))) return null;
  let shown = /^https?:\/\/[^\s<>"`|]{1,2000}/.exec(text.slice(at, at + 2100))?.[0] ?? "";
  shown = shown.replace(/[.,;:!?'*_~]+$/, "");
  while (shown.endsWith(")") && shown.split("(").length < shown.split(")").length) {
    shown = shown.slice(0, -1);
  }
  const address = safeAddress(shown);
  if (!address) return null;
  const node = linkNode(address);
  node.append(shown);
  return { node, end: at + shown.length };
}

function linkNode(address) {
  return el("a", {
    href: address, target: "_blank", rel: "noopener noreferrer nofollow",
    referrerpolicy: "no-referrer",
  });
}

// The address if it is absolute and of a harmless kind, else null.
export function safeAddress(address) {
  try {
    const url = new URL(address);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
