// What a document needs to open, asked for when it is needed: its password, forgotten when it was sent, or its encoding.

import { $, fill, h } from "./dom.js";

// What was typed or chosen; empty when the person would rather not.
export const askForOpening = (name, event) => (event.kind === "password" ? askForPassword(name, event) : askForEncoding(name, event));

const askForPassword = (name, { wrong }) => ask(
  h("input", { type: "password", autocomplete: "off", id: "document-password", ariaLabel: "Password", maxLength: 500, required: true }),
  "A password is needed",
  `${name} is encrypted.`,
  wrong ? "That was not its password." : "It opens with its password, which stays in memory and is written nowhere.",
  wrong,
);

const askForEncoding = (name, { wrong, choices }) => {
  const list = h("select", { id: "document-encoding", ariaLabel: "Encoding" }, ...choices.map(([value, label]) => h("option", { value }, label)));
  list.value = likely();
  return ask(
    list,
    "In which encoding?",
    `${name} is not UTF-8, so what its bytes mean has to be said.`,
    wrong ? "It is not in that one." : "If the pages show wrong letters then, remove it and choose another.",
    wrong,
  );
};

function likely() {
  const language = navigator.language.toLowerCase();
  if (/^zh-(tw|hk|mo|hant)/.test(language)) return "big5";
  const usual = { zh: "gb18030", ja: "cp932", ko: "cp949", ru: "cp1251", uk: "cp1251", bg: "cp1251", el: "cp1253", tr: "cp1254",
    he: "cp1255", ar: "cp1256", th: "cp874", vi: "cp1258", pl: "cp1250", cs: "cp1250", hu: "cp1250" };
  return usual[language.slice(0, 2)] || "cp1252";
}

function ask(box, title, what, advice, wrong) {
  const sheet = $("opening");
  let given = "";
  fill(sheet,
    h("form", { className: "fields", onsubmit: (event) => {
      event.preventDefault();
      given = box.value;
      sheet.close();
    } },
    h("h2", {}, title),
    h("p", { className: "whole" }, what),
    h("p", { className: wrong ? "poor" : "muted" }, advice),
    box,
    h("div", { className: "row" }, h("span", { className: "grow" }),
      h("button", { type: "button", className: "quiet", onclick: () => sheet.close() }, "Leave it out"),
      h("button", { className: "primary" }, "Open"))));
  sheet.showModal();
  box.focus();
  return new Promise((answer) => {
    sheet.onclose = () => {
      fill(sheet);
      answer(given);
    };
  });
}
