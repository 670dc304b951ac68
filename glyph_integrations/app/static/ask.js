// Questions in turn: each answer as it is made, then its citations.

import { events, send } from "./api.js";
import { answerText, citationList } from "./answer.js";
import { calm, complain } from "./banners.js";
import { $, counted, fill, h, number, progress } from "./dom.js";
import { readerName } from "./reader.js";
import { on, state } from "./state.js";
import { openPage } from "./viewer.js";

const SAMPLE = [
  "When are default parameter values evaluated?",
  "Which exception is raised when a name is not found?",
  "How does a with statement call __enter__ and __exit__?",
];
let running = null;
let scope = "documents"; // or "index"

export function buildAsk() {
  const talk = h("div", { className: "talk", ariaLive: "polite" });
  const box = h("textarea", { rows: 1, id: "question", ariaLabel: "Question", placeholder: "Ask about these pages…" });
  const go = h("button", { type: "submit", className: "primary", id: "ask-button" }, "Ask");
  const clear = h("button", { type: "button", className: "quiet" }, "New conversation");
  const where = h("div", { className: "segments", role: "group", ariaLabel: "Ask of" });
  const form = h("form", { className: "composer card" }, box, h("div", { className: "row" }, where, h("span", { className: "grow" }), clear, go));
  fill($("panel-ask"), talk, form);
  const parts = { talk, box, go, clear };

  const redraw = (parts.redraw = () => {
    const options = [["documents", "Documents", state.documents.length], ["index", "Knowledge base", state.about.knowledge]].filter(([, , there]) => there);
    if (options.length && !options.some(([name]) => name === scope)) scope = options[0][0];
    fill(where, options.length < 2 ? null : options.map(([name, label]) =>
      h("button", { type: "button", ariaPressed: String(scope === name), onclick: () => {
        scope = name;
        redraw();
      } }, label)));
    form.hidden = !options.length;
    if (running) return; // an answer on its way stays in sight
    const past = state.about.talks[scope];
    clear.hidden = !past.length;
    fill(talk, past.length ? past.map(exchange) : empty(parts, options.length));
  });
  on("documents", () => {
    if (state.documents.length && !running) scope = "documents";
    redraw();
  });
  on("tab", (tab) => tab === "ask" && box.focus());
  on("reader", redraw);
  on("ask-index", (text) => {
    scope = "index";
    redraw();
    box.value = text || "";
    box.focus();
  });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (running) {
      if (event.submitter === go) running.abort(); // Enter while an answer comes stops nothing
    } else if (box.value.trim()) ask(parts, box.value.trim());
  });
  clear.addEventListener("click", async () => {
    try {
      await send("DELETE", `/api/conversation/${scope}`);
      state.about.talks[scope] = [];
      redraw();
    } catch (error) {
      complain(error);
    }
  });
  redraw();
}

function empty(parts, ready) {
  const sample = state.documents.some((held) => held.name.startsWith("python_language_reference"));
  const suggest = (text) => h("button", { type: "button", className: "suggestion", onclick: () => ask(parts, text) }, text);
  return h("div", { className: "empty" },
    h("h2", {}, ready ? "Ask, and see where the answer stands" : "Nothing to ask about yet"),
    h("p", {}, ready
      ? state.reader.kind === "none"
        ? "No model is chosen, so answers are quotations: the sentences that share most with your question. Choose another reader above."
        : `Answers come from ${readerName()}; each quotation is checked against the pages.`
      : "Add a document on the Pages tab first."),
    sample && scope === "documents" ? h("div", { className: "suggestions" }, SAMPLE.map(suggest)) : null);
}

function exchange(said) {
  return h("article", { className: "exchange" }, h("h3", { className: "question", dir: "auto" }, said.question), answered(said));
}

function answered(told) {
  const several = new Set(told.citations.flatMap((citation) => citation.places.map((place) => place.source))).size > 1;
  return h("div", { className: "answer" },
    answerText(told.text, told.citations),
    citationList(told.citations, several),
    told.report ? sent(told.report, told.model) : null);
}

function sent(report, model) {
  const words = [];
  if (report.images) words.push(`${counted(report.images, "page")} as images: ${number(report.image_tokens)} tokens for ${number(report.text_tokens_replaced)}`);
  const texts = report.pages.filter((page) => page.sent_as === "text").length;
  if (texts) words.push(`${counted(texts, "page")} as text`);
  if (report.left_out) words.push(`${counted(report.left_out, "page")} left out`);
  words.push(`${number(report.tokens)} tokens in all`);
  const rows = report.pages.map((page) => h("li", {},
    h("button", { type: "button", className: "link", onclick: () => openPage(page) }, `Page ${page.page} of ${page.source}`),
    ` ${page.sent_as}${page.dpi ? `, ${page.dpi} dpi` : ""} · ${page.reason}`));
  return h("details", { className: "sent" }, h("summary", {}, words.join(" · ")), h("ul", {}, rows), h("p", { className: "muted" }, `Read by ${model}`));
}

async function ask(parts, question) {
  calm();
  const mine = (running = new AbortController());
  const telling = progress(() => mine.abort());
  const streamed = h("div", { className: "answer-text streaming", dir: "auto" });
  const thought = h("details", { className: "thought", hidden: true }, h("summary", {}, "Thinking…"), h("p", {}));
  const body = h("div", { className: "answer" }, thought, streamed, telling.element);
  const article = h("article", { className: "exchange" }, h("h3", { className: "question", dir: "auto" }, question), body);
  if (!parts.talk.querySelector(".exchange")) fill(parts.talk);
  parts.talk.append(article);
  article.scrollIntoView({ block: "start", behavior: "smooth" });
  parts.box.value = "";
  parts.go.textContent = "Stop";
  telling.say("Looking for pages…");
  const asked = { question, scope, style: state.style, family: state.family, model: state.reader, k: state.k };
  try {
    for await (const event of events("POST", "/api/ask", asked, mine.signal)) {
      telling.tell(event);
      if (event.kind === "found") telling.say(event.hits.length ? `Found ${counted(event.hits.length, "page")} of ${number(event.of)}; reading…` : "No page found");
      if (event.kind === "reasoning") {
        thought.hidden = false;
        thought.lastChild.append(event.text);
      }
      if (event.kind === "text") streamed.append(event.text);
      if (event.kind === "answer") {
        state.about.talks[asked.scope].push({ question, ...event });
        fill(body, thought, answered(event));
        thought.firstChild.textContent = "Thoughts";
        parts.clear.hidden = false;
      }
    }
  } catch (error) {
    const words = error.name === "AbortError" ? "Stopped." : `No answer: ${error.message}.`;
    fill(body, streamed, h("p", { className: "note" }, words));
    parts.box.value ||= question;
    complain(error);
  } finally {
    running = null;
    if (scope !== asked.scope) parts.redraw(); // the other conversation was chosen meanwhile
    parts.go.textContent = "Ask";
    parts.box.focus();
  }
}
