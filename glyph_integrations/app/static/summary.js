// Summaries: parts as they are finished, then the whole with its citations and how far they bear it out.

import { events } from "./api.js";
import { answerText, citationList } from "./answer.js";
import { calm, complain } from "./banners.js";
import { $, counted, fill, h, number, progress } from "./dom.js";
import { readerName } from "./reader.js";
import { on, state } from "./state.js";

const STYLES = { brief: "Brief", detailed: "Detailed", bullets: "Bullet points", question: "On a question" };
let running = null;
let wish = { style_of_summary: "brief", scope: "documents" };

export function buildSummary() {
  const out = h("div", { className: "summary-out", ariaLive: "polite" });
  const styles = h("div", { className: "segments", role: "group", ariaLabel: "Style of the summary" });
  const scopes = h("div", { className: "segments", role: "group", ariaLabel: "Summary of" });
  const question = h("input", { type: "text", ariaLabel: "Question", placeholder: "What do these documents say about…", id: "summary-question" });
  const language = h("input", { type: "text", ariaLabel: "Language", placeholder: "Language: as the pages", id: "summary-language", className: "short" });
  const go = h("button", { type: "submit", className: "primary", id: "summarize" }, "Summarize");
  const by = h("span", { className: "muted" });
  const form = h("form", { className: "card summary-form" },
    h("div", { className: "row" }, scopes, styles), question,
    h("div", { className: "row" }, go, language, h("span", { className: "grow" }), by));
  fill($("panel-summary"), form, out);
  const pick = (box, options, key) => fill(box, options.length < 2 ? null : options.map(([value, label]) =>
    h("button", { type: "button", value, ariaPressed: String(wish[key] === value), onclick: () => {
      wish = { ...wish, [key]: value };
      redraw();
    } }, label)));
  const redraw = () => {
    const options = [["documents", "Documents", state.documents.length], ["index", "Knowledge base", state.about.knowledge]].filter(([, , there]) => there);
    if (options.length && !options.some(([name]) => name === wish.scope)) wish.scope = options[0][0];
    pick(scopes, options, "scope");
    pick(styles, Object.entries(STYLES), "style_of_summary");
    question.hidden = wish.style_of_summary !== "question";
    const writes = ["server", "checkpoint"].includes(state.reader.kind);
    language.hidden = !writes;
    by.textContent = writes ? `written by ${readerName()}` : "no model: the most central sentences, chosen";
    form.hidden = !options.length;
    if (!running && !out.querySelector(".summary")) {
      fill(out, h("div", { className: "empty" },
        h("h2", {}, options.length ? "The gist, with its pages" : "Nothing to summarize yet"),
        h("p", {}, options.length
          ? "Long documents are summarized level by level. Every citation opens its page, and every cited sentence is checked against it."
          : "Add a document on the Pages tab first.")));
    }
  };
  on("documents", () => {
    if (!running) fill(out);
    if (state.documents.length) wish.scope = "documents";
    redraw();
  });
  on("reader", redraw);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (running) running.abort();
    else summarize(out, go, { ...wish, question: question.value.trim(), language: language.hidden ? "" : language.value.trim() });
  });
  redraw();
}

async function summarize(out, go, asked) {
  calm();
  const mine = (running = new AbortController());
  const telling = progress(() => mine.abort());
  const parts = h("div", { className: "parts" });
  fill(out, telling.element, parts);
  go.textContent = "Stop";
  telling.say("Beginning…");
  try {
    const body = { ...asked, style: state.style, family: state.family, model: state.reader };
    for await (const event of events("POST", "/api/summary", body, mine.signal)) {
      telling.tell(event);
      if (event.kind === "part") {
        telling.say(`${counted(event.done, "part")} finished`);
        parts.prepend(h("p", { className: "part" }, h("b", {}, nameOf(event)), " ", event.text.slice(0, 300)));
        while (parts.children.length > 4) parts.lastChild.remove();
      }
      if (event.kind === "summary") fill(out, whole(event));
    }
  } catch (error) {
    fill(out, h("p", { className: "note" }, error.name === "AbortError" ? "Stopped." : `No summary: ${error.message}.`));
    complain(error);
  } finally {
    running = null;
    go.textContent = "Summarize";
  }
}

function nameOf(part) {
  const pages = part.pages ? (part.pages[0] === part.pages[1] ? `page ${part.pages[0]}` : `pages ${part.pages[0]}–${part.pages[1]}`) : "";
  return [part.source, pages].filter(Boolean).join(", ") || "All documents";
}

function whole(told) {
  return h("article", { className: "summary card" },
    h("header", { className: "row" },
      h("h2", { className: "grow name" }, told.source || "All documents"), score(told)),
    body(told),
    told.parts.length > 1 ? h("section", {}, h("h3", {}, "Document by document"), told.parts.map((part) =>
      h("details", {}, h("summary", {}, part.source, " ", score(part)), body(part)))) : null,
    h("p", { className: "muted" }, `By ${told.model}`, told.usage.calls ? ` · ${counted(told.usage.calls, "call")} · ${number(told.usage.prompt_tokens)} prompt tokens, ${number(told.usage.saved_tokens)} saved against text` : ""));
}

function score(told) {
  const good = told.faithfulness >= 0.9;
  return h("span", { className: `badge ${good ? "verified" : "unsure"}`, title: "Of the sentences with a citation, the share whose names, numbers and quotations stand on the cited pages" },
    `${Math.round(told.faithfulness * 100)} % borne out`);
}

function body(told) {
  const several = new Set(told.citations.flatMap((citation) => citation.places.map((place) => place.source))).size > 1;
  const list = (title, items) => items.length ? h("details", { className: "sent", open: items.length < 4 }, h("summary", {}, title), h("ul", {}, items.map((item) => h("li", { dir: "auto" }, item)))) : null;
  return h("div", { className: "answer" },
    answerText(told.text, told.citations),
    citationList(told.citations, several),
    list(`${counted(told.unsupported.length, "sentence")} not borne out`, told.unsupported.map((each) => `${each.sentence} — ${each.reason}`)),
    list(`${counted(told.failures.length, "failure")}`, told.failures));
}
