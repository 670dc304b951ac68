// The knowledge base of an index folder: how large it is, searching it, its documents and their pages.

import { get, send } from "./api.js";
import { complain } from "./banners.js";
import { $, bytes, counted, debounce, fill, h, number } from "./dom.js";
import { ring, state } from "./state.js";
import { openPage } from "./viewer.js";

const MODES = { hybrid: "words and meaning", lexical: "words (BM25)", dense: "vectors" };
let source = "";

export function buildKnowledge() {
  const about = state.about.knowledge;
  if (!about) return;
  const results = h("div", { className: "results", ariaLive: "polite" });
  const list = h("ul", { className: "sources" });
  const box = h("input", { type: "search", id: "search", ariaLabel: "Search the knowledge base", placeholder: "Search all pages…" });
  const mode = h("select", { id: "mode", ariaLabel: "How to search" }, ...about.modes.map((name) => h("option", { value: name }, MODES[name])));
  const within = h("div", { className: "within" });
  const filter = h("input", { type: "search", ariaLabel: "Filter documents", placeholder: "Filter documents…" });
  const search = async () => {
    if (!box.value.trim()) return fill(results, hint());
    const began = performance.now();
    try {
      const asked = { question: box.value, mode: mode.value, k: 20, source, scope: "index" };
      const { hits } = await send("POST", "/api/knowledge/search", asked);
      const took = `${counted(hits.length, "page")} in ${Math.round(performance.now() - began)} ms`;
      fill(results,
        h("div", { className: "row" }, h("span", { className: "muted grow" }, hits.length ? took : "No page matches."),
          h("button", { type: "button", className: "quiet", onclick: () => {
            ring("show", "ask");
            ring("ask-index", box.value);
          } }, "Ask this instead")),
        hits.map((hit) => result(hit, about)));
    } catch (error) {
      complain(error);
    }
  };
  const choose = (name) => {
    source = name;
    fill(within, name ? h("button", { type: "button", className: "chip", onclick: () => choose("") }, `in ${name} ×`) : null);
    for (const row of list.children) row.classList.toggle("mine", row.dataset.name === name);
    if (box.value.trim()) search();
    else if (name) readSource(results, name, 0);
    else fill(results, hint());
  };
  const sources = async () => {
    try {
      const told = await get(`/api/knowledge/sources?${new URLSearchParams({ like: filter.value })}`);
      const rows = told.sources.map((row) => {
        const item = h("li", {}, h("button", { type: "button", onclick: () => choose(row.name) }, h("span", { className: "name" }, row.name), h("span", { className: "muted" }, number(row.pages))));
        item.dataset.name = row.name;
        return item;
      });
      const left = told.of - told.sources.length;
      fill(list, rows, left > 0 ? h("li", { className: "muted" }, `and ${number(left)} more: filter by name`) : null);
    } catch (error) {
      complain(error);
    }
  };
  fill(
    $("panel-knowledge"),
    h("div", { className: "card" },
      h("dl", { className: "numbers" },
        figure("Documents", number(about.sources)), figure("Pages", number(about.pages)),
        figure("On disk", bytes(about.bytes)), figure("A page", bytes(about.bytes_per_page)), figure("Vectors of", about.embedder)),
      about.words_only ? h("p", { className: "note" }, `Searched by words alone; its vectors are of ${about.embedder}: start with --embedder to use them.`) : null,
      h("form", { className: "row search", onsubmit: (event) => {
        event.preventDefault();
        search();
      } }, box, about.modes.length > 1 ? mode : null, h("button", { className: "primary" }, "Search")),
      within),
    h("div", { className: "shelves" },
      h("section", { className: "card" }, h("h2", {}, "Documents"), about.sources > 8 ? filter : null, list),
      h("section", {}, results)),
  );
  mode.addEventListener("change", search);
  filter.addEventListener("input", debounce(sources, 200));
  fill(results, hint());
  sources();
}

const hint = () => h("div", { className: "empty" }, h("h2", {}, "Search, or open a document"), h("p", {}, "Each result opens its page with the passage marked. The Ask tab answers from all of them."));

const figure = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));

function result(hit) {
  return h("button", { type: "button", className: "result card", onclick: () => openPage(hit, hit.marks) },
    h("span", { className: "row" }, h("b", { className: "name grow" }, hit.source), h("span", { className: "muted" }, `page ${hit.number}`),
      h("span", { className: "meter", title: `relevance ${hit.relevance}` }, meter(hit.relevance))),
    h("span", { className: "excerpt", dir: "auto" }, hit.excerpt));
}

function meter(share) {
  const bar = h("span", { className: "meter-fill" });
  bar.style.width = `${Math.round(Math.min(1, Math.max(0.03, share)) * 100)}%`;
  return bar;
}

async function readSource(results, name, first) {
  try {
    const { pages, more } = await get(`/api/knowledge/pages?${new URLSearchParams({ source: name, first })}`);
    const rows = pages.map((page) => h("button", { type: "button", className: "result card", onclick: () => openPage(page) },
      h("span", { className: "row" }, h("b", {}, `Page ${page.number}`)), h("span", { className: "excerpt", dir: "auto" }, page.excerpt)));
    if (!first) fill(results);
    results.querySelector(".next")?.remove();
    results.append(...rows);
    if (more) results.append(h("button", { type: "button", className: "next", onclick: () => readSource(results, name, first + pages.length) }, "Show more"));
  } catch (error) {
    complain(error);
  }
}
