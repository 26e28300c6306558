// Applies the chosen colours before the first paint. A classic script, loaded in the head, so that
// no page flashes in the wrong colours; the switch itself is in app.js.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("inferno.theme");
  } catch {
    // Storage is blocked: the system's colours stand.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
