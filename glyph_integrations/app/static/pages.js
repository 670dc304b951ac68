// The pages as they will be sent, what they cost, and what the text would have cost.

import { events, get, picture } from "./api.js";
import { complain } from "./banners.js";
import { $, counted, fill, h, number, progress, ratio } from "./dom.js";
import { keep, on, ring, state } from "./state.js";
import { openPage } from "./viewer.js";

const PORTION = 12;
let running = null;
let account = null;

export function buildPages() {
  const families = h("select", { id: "family", ariaLabel: "Model family" },
    ...state.about.families.map((family) => h("option", { value: family.name }, family.name)));
  families.value = state.family;
  const figures = h("div", { className: "figures" });
  const notes = h("div", { className: "notes" });
  const working = h("div", { className: "working" });
  const grid = h("div", { className: "grid", id: "grid" });
  const more = h("div", { className: "more" });
  fill(
    $("panel-pages"),
    h("div", { className: "card account" },
      h("div", { className: "row" },
        h("label", { htmlFor: "family" }, "Tokens as"), families, h("span", { className: "muted grow" }, "counts them"), working),
      figures, notes),
    grid,
    more,
  );
  families.addEventListener("change", () => {
    state.family = families.value;
    keep();
    const own = state.about.families.find((family) => family.name === state.family).style;
    if (Object.keys(state.style).length === 1 && state.style.preset !== own) ring("preset", own);
    else ring("draw");
  });
  const parts = { figures, notes, working, grid, more };
  on("draw", () => draw(parts));
  new IntersectionObserver((seen) => {
    if (seen.some((entry) => entry.isIntersecting)) more.querySelector("button")?.click();
  }, { rootMargin: "100% 0px" }).observe(more);
}

async function draw(parts) {
  running?.abort();
  if (!state.documents.length) return;
  const mine = (running = new AbortController());
  const telling = progress(() => mine.abort());
  const late = setTimeout(() => fill(parts.working, telling.element), 300);
  parts.grid.classList.add("stale");
  try {
    const wish = { style: state.style, family: state.family };
    for await (const event of events("POST", "/api/preview", wish, mine.signal)) {
      telling.tell(event);
      if (event.kind === "pages") showPages(parts, event.pages);
      if (event.kind === "account") showAccount(parts, event);
    }
  } catch (error) {
    if (mine === running) complain(error);
  } finally {
    clearTimeout(late);
    if (mine === running) {
      fill(parts.working);
      parts.grid.classList.remove("stale");
    }
  }
}

function showPages(parts, pages) {
  parts.grid.classList.remove("stale");
  fill(parts.more);
  fill(parts.grid, pages.map(card));
}

function card(page, position, all) {
  const query = page.file ? { dpi: 96 } : { family: state.family };
  const cheaper = page.tokens < page.text_tokens;
  const image = h("img", {
    src: picture(page.id, query), width: page.width, height: page.height, loading: "lazy", decoding: "async",
    alt: `Page ${page.number} of ${page.source}`,
  });
  return h(
    "figure",
    { className: "page" },
    h("button", { type: "button", className: "paper", ariaLabel: `Open page ${page.number} of ${page.source}`, onclick: () => openPage(page) }, image),
    h("figcaption", {},
      h("b", {}, `Page ${page.number}`),
      h("span", { className: "muted" }, `${page.width}×${page.height}`),
      h("span", { className: cheaper ? "good" : "poor", title: cheaper ? "The page costs less than its text" : "The text is cheaper, so it will be sent as text" },
        `${number(page.tokens)} for ${number(page.text_tokens)}`)),
  );
}

function showAccount(parts, told) {
  account = told;
  const share = Math.min(1, told.tokens / Math.max(1, told.text_tokens));
  const bar = h("div", { className: "bars" },
    h("div", { className: "bar-line text" }, h("span", {}, `${number(told.text_tokens)} tokens as text`)),
    h("div", { className: "bar-line pages" }, h("span", {}, `${number(told.tokens)} as pages`)));
  bar.lastChild.style.width = `${Math.max(2, share * 100)}%`;
  if (told.tokens > told.text_tokens) bar.firstChild.style.width = `${(told.text_tokens / told.tokens) * 100}%`;
  fill(
    parts.figures,
    h("dl", { className: "numbers" },
      figure("Pages", number(told.pages)),
      figure("Characters", number(told.characters)),
      figure("Ratio", ratio(told.text_tokens, told.tokens), told.tokens < told.text_tokens ? "good" : "poor")),
    bar,
  );
  const notes = [];
  if (told.reflowed) notes.push("The text was wrapped by hand, so its lines were joined to fill the page (Line ends: keep all draws it as it is).");
  if (told.missing_count) notes.push(`No font here has ${counted(told.missing_count, "character")} of the text, drawn as codes: ${told.missing.join(" ")}`);
  if (told.tokens >= told.text_tokens) notes.push("For this family the text is cheaper than its pages, so it will be sent as text.");
  fill(parts.notes, notes.map((note) => h("p", { className: "note" }, note)), comparison(told));
  for (const held of told.documents) {
    const known = state.documents.find((other) => other.id === held.id);
    if (known) known.pages = held.pages;
  }
  askForMore(parts);
  ring("account", told);
}

const figure = (name, value, className = "") => h("div", { className }, h("dt", {}, name), h("dd", {}, value));

function comparison(told) {
  const rows = [...told.families].sort((a, b) => a.tokens - b.tokens).map((family) =>
    h("tr", { className: family.name === told.family ? "mine" : "" },
      h("th", { scope: "row" }, family.name),
      h("td", {}, number(family.tokens)),
      h("td", { className: family.tokens < told.text_tokens ? "good" : "poor" }, ratio(told.text_tokens, family.tokens)),
      h("td", {}, family.window ? (family.tokens < family.window ? "fits" : "too long") : "?")));
  const head = ["Family", "Tokens", "Ratio", "Context"].map((word) => h("th", { scope: "col" }, word));
  return h("details", { className: "comparison" }, h("summary", {}, "All model families"),
    h("div", { className: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows))));
}

// Pages beyond the first come in portions, document after document.
function askForMore(parts) {
  const total = account.pages;
  const have = parts.grid.children.length;
  if (have >= total) return fill(parts.more);
  const button = h("button", { type: "button", onclick: () => {
    button.disabled = true;
    loadMore(parts);
  } }, `Show more (${number(total - have)} left)`);
  fill(parts.more, button);
  if (parts.more.getBoundingClientRect().top < 2 * innerHeight && !$("panel-pages").hidden) button.click();
}

async function loadMore(parts) {
  const of = account;
  let first = parts.grid.children.length;
  let held = of.documents[0];
  for (held of of.documents) {
    if (first < held.pages) break;
    first -= held.pages;
  }
  try {
    const query = new URLSearchParams({ document: held.id, first, count: PORTION, family: state.family });
    const { pages } = await get(`/api/pages?${query}`);
    if (of !== account) return;
    parts.grid.append(...pages.map(card));
    if (pages.length) askForMore(parts);
    else fill(parts.more);
  } catch (error) {
    complain(error);
  }
}
