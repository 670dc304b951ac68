// The password of a locked document, asked for when it is needed and forgotten when it was sent.

import { $, fill, h } from "./dom.js";

// What was typed; empty when the person would rather not.
export function askForPassword(name, wrong) {
  const sheet = $("password");
  const box = h("input", { type: "password", autocomplete: "off", id: "document-password", ariaLabel: "Password", maxLength: 500, required: true });
  let typed = "";
  fill(sheet,
    h("form", { className: "fields", onsubmit: (event) => {
      event.preventDefault();
      typed = box.value;
      sheet.close();
    } },
    h("h2", {}, "A password is needed"),
    h("p", { className: "whole" }, `${name} is encrypted.`),
    h("p", { className: wrong ? "poor" : "muted" }, wrong ? "That was not its password." : "It opens with its password, which stays in memory and is written nowhere."),
    box,
    h("div", { className: "row" }, h("span", { className: "grow" }),
      h("button", { type: "button", className: "quiet", onclick: () => sheet.close() }, "Leave it out"),
      h("button", { className: "primary" }, "Open"))));
  sheet.showModal();
  box.focus();
  return new Promise((answer) => {
    sheet.onclose = () => {
      fill(sheet);
      answer(typed);
    };
  });
}
