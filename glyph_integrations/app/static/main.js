// Begins: who we are talking to, which views there are, which one is seen.

import { Refused, get, send } from "./api.js";
import { complain } from "./banners.js";
import { $, fill, h } from "./dom.js";
import { buildAsk } from "./ask.js";
import { buildKnowledge } from "./knowledge.js";
import { buildPages } from "./pages.js";
import { buildReader, readerName } from "./reader.js";
import { buildSide } from "./side.js";
import { buildSummary } from "./summary.js";
import { buildWelcome } from "./welcome.js";
import { on, recall, ring, state } from "./state.js";

const TABS = ["pages", "ask", "summary", "knowledge"];

export function show(name) {
  const empty = !state.documents.length;
  state.tab = name;
  for (const tab of TABS) {
    const chosen = tab === name;
    $(`tab-${tab}`).setAttribute("aria-selected", chosen);
    $(`tab-${tab}`).tabIndex = chosen ? 0 : -1;
    $(`panel-${tab}`).hidden = !chosen || (tab === "pages" && empty);
  }
  $("welcome").hidden = !(name === "pages" && empty);
  document.body.dataset.tab = name;
  document.body.dataset.empty = empty;
  ring("tab", name);
}

function tabs() {
  $("tab-knowledge").hidden = !state.about.knowledge;
  const seen = TABS.filter((tab) => tab !== "knowledge" || state.about.knowledge);
  for (const tab of seen) {
    $(`tab-${tab}`).addEventListener("click", () => show(tab));
    $(`tab-${tab}`).addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = seen[(seen.indexOf(tab) + step + seen.length) % seen.length];
      show(next);
      $(`tab-${next}`).focus();
    });
  }
}

async function enter() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  history.replaceState(null, "", location.pathname);
  await send("POST", "/api/enter", { token });
}

function askForToken() {
  const box = h("input", { type: "password", autocomplete: "off", ariaLabel: "Token", placeholder: "Token" });
  const form = h(
    "form",
    { className: "card gate", onsubmit: async (event) => {
      event.preventDefault();
      try {
        await send("POST", "/api/enter", { token: box.value.trim() });
        location.reload();
      } catch (error) {
        complain(error);
      }
    } },
    h("h1", {}, "This app is private"),
    h("p", {}, "Enter the token that was printed when it was started, or open the whole address from there."),
    box,
    h("button", { className: "primary" }, "Enter"),
  );
  document.body.dataset.empty = true;
  fill($("welcome"), form).hidden = false;
  box.focus();
}

async function begin() {
  try {
    await enter();
    state.about = await get("/api/about");
  } catch (error) {
    if (error instanceof Refused && error.status === 401) askForToken();
    else complain(error);
    return;
  }
  recall();
  state.documents = state.about.documents;
  tabs();
  buildReader();
  buildSide();
  buildWelcome();
  buildPages();
  buildAsk();
  buildSummary();
  buildKnowledge();
  on("documents", () => show(state.tab));
  on("show", show);
  on("reader", () => fill($("reader-button"), h("span", { className: "dot" }), `Reader: ${readerName()}`));
  ring("reader");
  show(!state.documents.length && state.about.knowledge ? "knowledge" : "pages");
  if (state.documents.length) ring("draw");
}

begin();
