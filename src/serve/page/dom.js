// Small helpers around the document: building elements, the clipboard, numbers for people, short
// notices. Text only ever becomes a text node, so nothing in here can turn a model's words into
// markup.

// el("button", {class: "quiet", "aria-label": "Copy", onclick: f}, "Copy") makes one element. A key
// that starts with "on" is an event listener; null, undefined and false are left out; true is "".
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// An icon of the sprite in index.html.
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

// A small button with an icon, and a name that both a pointer and a screen reader can find.
export function smallButton(name, label, onclick) {
  const properties = {
    type: "button", class: "icon-button small", title: label, "aria-label": label, onclick,
  };
  return el("button", properties, icon(name));
}

// A button that shows its name.
export function textButton(label, onclick, className = "plain") {
  return el("button", { type: "button", class: className, onclick }, label);
}

// Copies text; true when it worked. The clipboard interface exists only on secure origins, and a
// server on the local network is not one, hence the second way.
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const holder = el("textarea", {
      class: "visually-hidden", readonly: true, "aria-hidden": "true",
    });
    holder.value = text;
    const focused = document.activeElement;
    (document.querySelector("dialog[open]") ?? document.body).append(holder);
    holder.select();
    let done = false;
    try {
      done = document.execCommand("copy");
    } catch {
      done = false;
    }
    holder.remove();
    focused?.focus();
    return done;
  }
}

// Offers text as a file to keep.
export function saveFile(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

// 0.213 -> "0.21 s", 75 -> "75 s".
export function secondsText(seconds) {
  if (seconds < 0.0995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(seconds < 0.995 ? 2 : 1)} s`;
  return `${Math.round(seconds)} s`;
}

// 38.42 -> "38.4", 1234.5 -> "1,235".
export function rateText(rate) {
  return rate < 99.95 ? rate.toFixed(1) : Math.round(rate).toLocaleString("en");
}

export function plural(count, word) {
  return `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
}

// Says something once to a screen reader, without showing it.
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

let noticeTimer = 0;

// Shows a short notice at the bottom; with {label, run} it has one button. It goes away by itself,
// later when there is a button to reach.
export function notify(text, action = null) {
  const notice = document.getElementById("notice");
  clearTimeout(noticeTimer);
  const hide = () => {
    notice.hidden = true;
    notice.replaceChildren();
  };
  const children = [el("span", {}, text)];
  if (action) {
    children.push(textButton(action.label, () => {
      hide();
      action.run();
    }, "quiet"));
  }
  notice.replaceChildren(...children);
  notice.hidden = false;
  noticeTimer = setTimeout(hide, action ? 10_000 : 4_000);
}
