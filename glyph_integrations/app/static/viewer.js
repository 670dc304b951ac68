// One page, large, with cited lines marked; its text beside it for whoever would rather read that.

import { get, picture } from "./api.js";
import { complain } from "./banners.js";
import { $, fill, h } from "./dom.js";

const MARKED_DPI = 144;
const DPIS = [96, 144, 200];
let seen = { id: "", marks: [], dpi: MARKED_DPI, asText: false };

// Opens a page. `marks` are stretches of its text, [start, end] from its beginning.
export function openPage({ id }, marks = []) {
  seen = { ...seen, id, marks };
  const viewer = $("viewer");
  if (!viewer.open) viewer.showModal();
  load();
}

async function load() {
  const wanted = seen.id;
  const marks = seen.marks.map(([start, end]) => `${start}-${end}`).join(",");
  try {
    const page = await get(`/api/text/${encodeURIComponent(wanted)}?${new URLSearchParams({ marks })}`);
    if (wanted === seen.id) showPage(page, marks);
  } catch (error) {
    $("viewer").close();
    complain(error);
  }
}

function showPage(page, marks) {
  const viewer = $("viewer");
  const go = (id) => id && openPage({ id });
  const step = (id, sign, label) =>
    h("button", { type: "button", ariaLabel: label, title: label, disabled: !id, onclick: () => go(id) }, sign);
  const zoom = h("button", { type: "button", title: "Resolution", onclick: () => {
    seen.dpi = DPIS[(DPIS.indexOf(seen.dpi) + 1) % DPIS.length];
    showPage(page, marks);
  } }, `${seen.dpi} dpi`);
  const other = h("button", { type: "button", onclick: () => {
    seen.asText = !seen.asText;
    showPage(page, marks);
  } }, seen.asText ? "Picture" : "Text");
  const body = h("div", { className: "viewer-body", tabIndex: 0 });
  fill(
    viewer,
    h("header", {},
      h("div", { className: "grow" }, h("h2", {}, `Page ${page.number}`), h("span", { className: "muted name" }, page.source)),
      step(page.previous, "←", "Page before"), step(page.next, "→", "Page after"), zoom, other,
      h("button", { type: "button", className: "close", ariaLabel: "Close", onclick: () => viewer.close() }, "×")),
    body,
  );
  zoom.hidden = seen.asText;
  fill(body, seen.asText ? textOf(page) : imageOf(page, marks, body));
  viewer.onkeydown = (event) => {
    if (event.key === "ArrowLeft") go(page.previous);
    if (event.key === "ArrowRight") go(page.next);
  };
  if (seen.asText) body.querySelector("mark")?.scrollIntoView({ block: "center" });
  body.focus();
}

function imageOf(page, marks, body) {
  const image = h("img", { alt: `Page ${page.number}${marks ? ", with the cited lines marked" : ""}; its text is under “Text”` });
  image.addEventListener("load", () => {
    if (page.top !== null) body.scrollTop = page.top * image.clientHeight - body.clientHeight / 3;
  });
  image.addEventListener("error", () => fill(body, h("p", { className: "note" }, "This page cannot be drawn: the file it comes from is not at hand. "), textOf(page)));
  image.src = picture(page.id, { dpi: seen.dpi, ...(marks ? { marks } : {}) });
  return image;
}

function textOf(page) {
  const letters = [...page.text]; // the server counts characters, not UTF-16 units
  const pieces = [];
  let at = 0;
  for (const [start, end] of [...seen.marks].sort((a, b) => a[0] - b[0])) {
    if (start < at) continue;
    pieces.push(letters.slice(at, start).join(""), h("mark", {}, letters.slice(start, end).join("")));
    at = end;
  }
  return h("pre", { className: "page-text", dir: "auto" }, ...pieces, letters.slice(at).join(""));
}
