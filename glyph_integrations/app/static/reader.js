// Who reads the pages: nobody (quotations), OCR, a model server, a checkpoint on this machine.

import { $, fill, h } from "./dom.js";
import { keep, ring, state } from "./state.js";

export function readerName() {
  const reader = state.reader;
  if (reader.kind === "ocr") return "OCR";
  if (reader.kind === "server") return reader.model || "model server";
  if (reader.kind === "checkpoint") return state.about.readers.checkpoints[reader.number] || "checkpoint";
  return "quotations";
}

function set(values) {
  state.reader = { ...state.reader, ...values };
  keep();
  ring("reader");
}

const field = (label, input, hint) => h("label", { className: "field" }, h("span", {}, label), input, hint ? h("small", { className: "muted" }, hint) : null);

function text(name, options = {}) {
  const input = h("input", { type: "text", spellcheck: false, autocomplete: "off", ...options });
  input.value = state.reader[name] || "";
  input.addEventListener("input", () => set({ [name]: input.value }));
  return input;
}

function serverFields() {
  const { servers, any_server: any } = state.about.readers;
  const urls = servers.map((server) => server.base_url);
  const address = any
    ? text("base_url", { id: "base-url", placeholder: "http://127.0.0.1:8000/v1", inputMode: "url" })
    : h("select", { id: "base-url", onchange: () => choose(address.value) }, ...urls.map((url) => h("option", {}, url)));
  const model = text("model", { id: "model-name", placeholder: "zai-org/Glyph" });
  const choose = (url) => {
    const server = servers.find((each) => each.base_url === url);
    set({ base_url: url, model: server?.model || state.reader.model || "" });
    model.value = state.reader.model;
  };
  if (!state.reader.base_url && urls.length) choose(urls[0]);
  address.value = state.reader.base_url || urls[0] || "";
  const sees = h("select", { id: "sees", onchange: () => set({ sees: sees.value }) },
    h("option", { value: "" }, "as its name says"), h("option", { value: "text" }, "not at all: send text"),
    ...state.about.families.map((family) => h("option", { value: family.name }, `like ${family.name}`)));
  sees.value = state.reader.sees || "";
  return h("div", { className: "fields" },
    any && urls.length ? h("div", { className: "row" }, urls.map((url) => h("button", { type: "button", className: "quiet", onclick: () => {
      address.value = url;
      choose(url);
    } }, url))) : null,
    field("Base URL", address, any ? "Any server that speaks the OpenAI protocol: vLLM, SGLang, Ollama, llama.cpp" : null),
    field("Model", model),
    field("Key", text("api_key", { type: "password", id: "api-key", placeholder: "none" }), "Kept in this page only, and sent to that server only"),
    field("Sees pictures", sees));
}

function checkpointFields() {
  const select = h("select", { id: "checkpoint", onchange: () => set({ number: Number(select.value) }) },
    ...state.about.readers.checkpoints.map((name, i) => h("option", { value: i }, name)));
  select.value = state.reader.number || 0;
  if (state.reader.number === undefined) set({ number: 0 });
  return h("div", { className: "fields" }, field("Checkpoint", select, "Loaded at the first question, which takes a while"));
}

export function buildReader() {
  const offered = state.about.readers;
  const kinds = [
    ["none", "Quotations", "No model: the sentences that share most with the question, quoted.", true, ""],
    ["ocr", "OCR", "Reads the pixels of the pages, here, without a model server; some 20 s a page.", offered.ocr, "pip install 'glyph-integrations[ocr]'"],
    ["server", "Model server", "A vision-language model behind an OpenAI-compatible address.", offered.client && (offered.any_server || offered.servers.length),
      offered.client ? "name it at the start: glyph serve --server URL" : "pip install 'glyph-integrations[openai]'"],
    ["checkpoint", "Model on this machine", "A checkpoint of transformers, loaded here.", offered.checkpoints.length, "name it at the start: glyph serve --checkpoint DIR"],
  ];
  if (!kinds.some(([kind, , , there]) => kind === state.reader.kind && there)) state.reader = { kind: "none" };
  const sheet = $("reader");
  const draw = () => {
    const cards = kinds.map(([kind, title, words, there, how]) => {
      const radio = h("input", { type: "radio", name: "reader-kind", value: kind, checked: state.reader.kind === kind, disabled: !there, onchange: () => {
        set({ kind });
        draw();
        sheet.querySelector(`input[value=${kind}]`).focus();
      } });
      return h("label", { className: `option${there ? "" : " off"}` }, radio, h("span", {}, h("b", {}, title), h("small", {}, there ? words : `${words} Not available: ${how}`)));
    });
    const count = h("select", { id: "reader-k", onchange: () => {
      state.k = Number(count.value);
      keep();
    } }, ...[3, 5, 8, 12, 20].map((k) => h("option", { value: k }, `${k} pages`)));
    count.value = state.k;
    fill(
      sheet,
      h("header", {}, h("h2", {}, "Who reads the pages?"), h("button", { type: "button", className: "close", ariaLabel: "Close", onclick: () => sheet.close() }, "×")),
      h("div", { className: "options" }, cards),
      state.reader.kind === "server" ? serverFields() : null,
      state.reader.kind === "checkpoint" ? checkpointFields() : null,
      field("Pages for a question", count),
      h("div", { className: "row" }, h("span", { className: "grow" }), h("button", { type: "button", className: "primary", onclick: () => sheet.close() }, "Done")),
    );
  };
  $("reader-button").addEventListener("click", () => {
    draw();
    sheet.showModal();
  });
}
