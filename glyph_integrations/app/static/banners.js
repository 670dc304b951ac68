// What went wrong, where everybody sees it.

import { $, h } from "./dom.js";

export function complain(error, action) {
  if (error.name === "AbortError") return;
  const text = typeof error === "string" ? error : error.message || String(error);
  const gone = error.status === 409;
  const banner = h(
    "div",
    { className: "banner error" },
    h("strong", {}, "That did not work. "),
    h("span", {}, text.charAt(0).toUpperCase() + text.slice(1)),
    gone ? h("button", { className: "quiet", onclick: () => location.reload() }, "Reload") : action || null,
    h("button", { className: "close", ariaLabel: "Dismiss", onclick: () => banner.remove() }, "×"),
  );
  const box = $("banners");
  for (const other of [...box.children]) if (other.textContent === banner.textContent) other.remove();
  box.append(banner);
  while (box.children.length > 3) box.firstChild.remove();
}

export const calm = () => $("banners").replaceChildren();
